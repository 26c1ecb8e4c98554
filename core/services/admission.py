"""Incoming: how much may be in flight at once, and whether anything may come in at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from core.account import AccountId, Asset, format_amount
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reply
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict

IN_FLIGHT_MAX: Final = 20_000
"""All packets together: about 2 KB each, so 40 MB at the very most."""
IN_FLIGHT_PER_ACCOUNT_MAX: Final = 2_000
"""One account's packets: a tenth, so that whoever never fulfills leaves the others nine tenths of the room."""


class AdmittedAccount(Protocol):
    """An account whose operator may have limited what is in flight of it; None leaves it to the node."""

    @property
    def id(self) -> AccountId: ...
    @property
    def username(self) -> str: ...
    @property
    def asset(self) -> Asset: ...
    @property
    def packets_in_flight_limit(self) -> int | None: ...
    @property
    def amount_in_flight_limit(self) -> int | None: ...


A = TypeVar("A", bound=AdmittedAccount)


@final
class _InFlight:
    """What is in flight of one account."""

    __slots__ = ("amount", "packets")

    def __init__(self) -> None:
        self.packets = 0
        self.amount = 0


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
        self._by_account: dict[AccountId, _InFlight] = {}
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

    def in_flight_of(self, account: AccountId) -> tuple[int, int]:
        """Return how many packets, and how much, an account has in flight."""
        found = self._by_account.get(account)
        return (0, 0) if found is None else (found.packets, found.amount)

    def packets_max(self, account: AdmittedAccount) -> int:
        """Return how many packets of this account may be in flight."""
        limit = account.packets_in_flight_limit
        return self.account_max if limit is None else limit

    def problem(self, account: AdmittedAccount, amount: int) -> tuple[ErrorCode, str] | None:
        """Return why a packet of this account may not come in now, or None where it may."""
        if self._closed is not None:
            return ErrorCode.INTERNAL_ERROR, self._closed
        if self._total >= self.total_max:
            return ErrorCode.CONNECTOR_BUSY, (
                f"This node has {self._total} packets in flight, as many as it takes at once; try "
                "again once some of them are answered."
            )
        found = self._by_account.get(account.id)
        packets, carried = (0, 0) if found is None else (found.packets, found.amount)
        if packets >= self.packets_max(account):
            return ErrorCode.CONNECTOR_BUSY, (
                f"{account.username} has {packets} packets in flight, and may have "
                f"{self.packets_max(account)} at once; try again once some of them are answered."
            )
        limit = account.amount_in_flight_limit
        if limit is not None and carried + amount > limit:
            retry = (
                "that is more than the limit will ever allow"
                if amount > limit
                else "try again once some of it is answered"
            )
            asset = account.asset
            return ErrorCode.INSUFFICIENT_LIQUIDITY, (
                f"{account.username} may have {format_amount(limit, asset)} in flight, has "
                f"{format_amount(carried, asset)}, and this packet carries "
                f"{format_amount(amount, asset)}; {retry}."
            )
        return None

    def enter(self, account: AccountId, amount: int) -> None:
        self._total += 1
        found = self._by_account.get(account)
        if found is None:
            found = self._by_account[account] = _InFlight()
        found.packets += 1
        found.amount += amount
        if self._total == 1:
            self._empty.clear()

    def leave(self, account: AccountId, amount: int) -> None:
        self._total -= 1
        found = self._by_account[account]
        found.packets -= 1
        found.amount -= amount
        if not found.packets:
            del self._by_account[account]
        if self._total == 0:
            self._empty.set()

    async def drained(self) -> None:
        """Return once nothing is in flight."""
        await self._empty.wait()


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
        account = request.from_account
        amount = request.prepare.amount  # before anyone behind us changes it
        problem = gate.problem(account, amount)
        if problem is not None:
            return self.address.reject(*problem)
        gate.enter(account.id, amount)
        try:
            return await self.next.handle(request)
        finally:
            gate.leave(account.id, amount)

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        gate, account = self.gate, request.from_account
        problem = gate.problem(account, request.prepare.amount)
        if problem is not None:
            reject = self.address.reject(*problem)
            return (Step("admission", Verdict.REJECTS, reject.message, reject),)
        packets, carried = gate.in_flight_of(account.id)
        sentence = (
            f"{gate.in_flight} of {gate.total_max} packets are in flight, {packets} of "
            f"{gate.packets_max(account)} of {account.username}"
        )
        limit = account.amount_in_flight_limit
        if limit is not None:
            asset = account.asset
            sentence += (
                f", which carry {format_amount(carried, asset)} of the "
                f"{format_amount(limit, asset)} that may be"
            )
        step = Step("admission", Verdict.PASSES, sentence + ".")
        return (step, *await self.next.explain(request))
