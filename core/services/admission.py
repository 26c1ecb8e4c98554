"""Incoming: how many packets may be in flight at once, and whether any may come in at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from core.account import AccountId
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict

IN_FLIGHT_MAX: Final = 20_000
"""All packets together: about 2 KB each, so 40 MB at the very most."""
IN_FLIGHT_PER_ACCOUNT_MAX: Final = 2_000
"""One account's packets: a tenth, so that whoever never fulfills leaves the others nine tenths of the room."""


@final
class Gate:
    """What is in flight now, and whether more may come: closed while the node stops or is fenced."""

    __slots__ = ("_by_account", "_closed", "_empty", "_total", "account_max", "total_max")

    def __init__(
        self, *, total_max: int = IN_FLIGHT_MAX, account_max: int = IN_FLIGHT_PER_ACCOUNT_MAX
    ) -> None:
        self.total_max = total_max
        self.account_max = account_max
        self._total = 0
        self._by_account: dict[AccountId, int] = {}
        self._closed: str | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def open(self) -> None:
        """Let packets in."""
        self._closed = None

    def close(self, sentence: str) -> None:
        """Let no packet in from now on; `sentence` tells whoever sends one why."""
        self._closed = sentence

    @property
    def closed(self) -> str | None:
        """Why no packet may come in, or None where they may."""
        return self._closed

    @property
    def in_flight(self) -> int:
        return self._total

    def in_flight_of(self, account: AccountId) -> int:
        return self._by_account.get(account, 0)

    def problem(self, account: AccountId) -> tuple[ErrorCode, str] | None:
        """Return why a packet of this account may not come in now, or None where it may."""
        if self._closed is not None:
            return ErrorCode.INTERNAL_ERROR, self._closed
        if self._total >= self.total_max:
            return (
                ErrorCode.CONNECTOR_BUSY,
                f"This node has {self._total} packets in flight, as many as it takes at once.",
            )
        count = self._by_account.get(account, 0)
        if count >= self.account_max:
            return (
                ErrorCode.CONNECTOR_BUSY,
                f"Your account has {count} packets in flight, as many as one may have at once.",
            )
        return None

    def enter(self, account: AccountId) -> None:
        self._total += 1
        self._by_account[account] = self._by_account.get(account, 0) + 1
        if self._total == 1:
            self._empty.clear()

    def leave(self, account: AccountId) -> None:
        self._total -= 1
        left = self._by_account[account] - 1
        if left:
            self._by_account[account] = left
        else:
            del self._by_account[account]
        if self._total == 0:
            self._empty.set()

    async def drained(self) -> None:
        """Return once nothing is in flight."""
        await self._empty.wait()


class Identified(Protocol):
    """An account that can be told from another."""

    @property
    def id(self) -> AccountId: ...


A = TypeVar("A", bound=Identified)


@final
@dataclass(frozen=True, slots=True)
class AdmissionService(Generic[A]):
    """Bound what is in flight, and keep count of it, so that the node can drain before it ends.

    It stands before whatever costs time: a packet that is refused here has cost next to nothing.
    """

    next: IncomingService[A]
    gate: Gate
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        gate = self.gate
        account = request.from_account.id
        if (reject := self._reject(account)) is not None:
            return reject
        gate.enter(account)
        try:
            return await self.next.handle(request)
        finally:
            gate.leave(account)

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        account = request.from_account.id
        if (reject := self._reject(account)) is not None:
            return (Step("admission", Verdict.REJECTS, reject.message, reject),)
        step = Step(
            "admission",
            Verdict.PASSES,
            f"{self.gate.in_flight} of {self.gate.total_max} packets are in flight, "
            f"{self.gate.in_flight_of(account)} of {self.gate.account_max} of this account.",
        )
        return (step, *await self.next.explain(request))

    def _reject(self, account: AccountId) -> Reject | None:
        problem = self.gate.problem(account)
        return None if problem is None else self.address.reject(*problem)
