"""Incoming: a packet that came already gets the answer that it got, and is neither sent nor booked again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Generic, Protocol, TypeAlias, TypeVar, final

from core.account import AccountId
from core.clock import Clock
from core.node_address import NodeAddress
from core.packet import ErrorCode, Prepare, Reject, Reply
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict

REMEMBER_SECONDS: Final = 30.0
"""As long as a packet is held at most: what comes later has expired."""
ANSWERS_MAX: Final = 100_000
"""About 500 octets each with a short answer: 50 MB. So it remembers all of 3,300 packets a second."""
OCTETS_MAX: Final = 32 * 1024 * 1024
"""Of the answers themselves, which have up to 32 KB each."""

_Key: TypeAlias = tuple[AccountId, bytes]


@final
class _UnderWay:
    """A packet whose answer is not known yet."""

    __slots__ = ("amount", "answer", "expires_at_ms")

    def __init__(self, amount: int, expires_at_ms: int) -> None:
        self.amount = amount
        self.expires_at_ms = expires_at_ms
        self.answer: asyncio.Future[Reply] | None = None
        """Made by the first duplicate: nearly no packet has one."""


@final
class _Answered:
    """A packet whose answer is kept."""

    __slots__ = ("amount", "at", "expires_at_ms", "reply")

    def __init__(self, packet: _UnderWay, reply: Reply, at: float) -> None:
        self.amount = packet.amount
        self.expires_at_ms = packet.expires_at_ms
        self.reply = reply
        self.at = at


@final
class Duplicates:
    """The packets of this process that are under way, and the answers of those that lately were."""

    __slots__ = ("_answered", "_clock", "_octets", "_under_way", "answers_max", "octets_max")

    def __init__(
        self, clock: Clock, *, answers_max: int = ANSWERS_MAX, octets_max: int = OCTETS_MAX
    ) -> None:
        self._clock = clock
        self._under_way: dict[_Key, _UnderWay] = {}
        self._answered: dict[_Key, _Answered] = {}
        """In the order in which they were answered: the first are the first to be forgotten."""
        self._octets = 0
        self.answers_max = answers_max
        self.octets_max = octets_max

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._answered)

    def answer_of(self, key: _Key, prepare: Prepare) -> Reply | None:
        """Return what was answered to this very packet, or to one that offered no less, no shorter."""
        found = self._answered.get(key)
        if found is None or not _covers(found, prepare) or self._is_old(found):
            return None
        return found.reply

    def under_way(self, key: _Key, prepare: Prepare) -> _UnderWay | None:
        """Return the packet under way of which this is a copy, or which has come round to us again."""
        found = self._under_way.get(key)
        return found if found is not None and _covers(found, prepare) else None

    def begin(self, key: _Key, prepare: Prepare) -> _UnderWay:
        """Note that a packet is on its way; of two that differ in amount or time, the later is noted."""
        packet = self._under_way[key] = _UnderWay(prepare.amount, prepare.expires_at_ms)
        return packet

    def end(self, key: _Key, packet: _UnderWay, reply: Reply | None) -> None:
        """Keep its answer, and give it to whoever waits for it; None is for one that was given up."""
        if self._under_way.get(key) is packet:
            del self._under_way[key]
        if packet.answer is not None and not packet.answer.done():
            if reply is None:
                packet.answer.cancel()
            else:
                packet.answer.set_result(reply)
        if reply is None:
            return
        before = self._answered.pop(key, None)
        if before is not None:
            self._octets -= len(before.reply.octets)
        self._answered[key] = _Answered(packet, reply, self._clock.monotonic())
        self._octets += len(reply.octets)
        self._forget()

    def _forget(self) -> None:
        answered = self._answered
        while answered:
            key = next(iter(answered))
            oldest = answered[key]
            is_within = len(answered) <= self.answers_max and self._octets <= self.octets_max
            if is_within and not self._is_old(oldest):
                return
            del answered[key]
            self._octets -= len(oldest.reply.octets)

    def _is_old(self, answered: _Answered) -> bool:
        return self._clock.monotonic() - answered.at >= REMEMBER_SECONDS


class Identified(Protocol):
    """An account that can be told from another, and named."""

    @property
    def id(self) -> AccountId: ...
    @property
    def username(self) -> str: ...


A = TypeVar("A", bound=Identified)


@final
@dataclass(frozen=True, slots=True)
class DuplicatesService(Generic[A]):
    """Send a packet on once, however often it comes.

    The same account, condition, destination and data are the same packet. A copy gets the answer of
    the first, and waits for it where it must. One that offers less, or for less long, while the first
    is under way has gone round in a circle, and is told so: to wait would be to wait for itself. One
    that offers more, or for longer, is a new offer.

    What is for this node alone (`peer.`) is asked again and again, and passes. What is kept is kept
    in memory, by this process: after a restart, and at another node on the same store, a copy is a
    new packet.
    """

    next: IncomingService[A]
    duplicates: Duplicates
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        prepare = request.prepare
        if prepare.destination.startswith("peer."):
            return await self.next.handle(request)
        duplicates = self.duplicates
        key = _key(request)
        if (answer := duplicates.answer_of(key, prepare)) is not None:
            return answer
        first = duplicates.under_way(key, prepare)
        if first is not None:
            return await self._share(request, first)

        packet = duplicates.begin(key, prepare)
        reply: Reply | None = None
        try:
            reply = await self.next.handle(request)
            return reply
        finally:
            duplicates.end(key, packet, reply)

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        prepare = request.prepare
        if prepare.destination.startswith("peer."):
            return await self.next.explain(request)
        key = _key(request)
        answer = self.duplicates.answer_of(key, prepare)
        if isinstance(answer, Reject):
            return (Step("duplicates", Verdict.REJECTS, answer.message, answer),)
        if answer is not None:
            sentence = "This very packet was fulfilled a moment ago, and gets the same answer."
            return (Step("duplicates", Verdict.ANSWERS, sentence),)
        first = self.duplicates.under_way(key, prepare)
        if first is not None and not _is_same(first, prepare):
            reject = self._loop(request)
            return (Step("duplicates", Verdict.REJECTS, reject.message, reject),)
        if first is not None:
            sentence = "This very packet is under way, and gets the answer that comes."
            return (Step("duplicates", Verdict.ANSWERS, sentence),)
        step = Step("duplicates", Verdict.PASSES, "No such packet came a moment ago.")
        return (step, *await self.next.explain(request))

    async def _share(self, request: IncomingRequest[A], first: _UnderWay) -> Reply:
        if not _is_same(first, request.prepare):
            return self._loop(request)
        if first.answer is None:
            first.answer = asyncio.get_running_loop().create_future()
        answer = first.answer
        await asyncio.wait([answer])  # whoever stops waiting leaves it to the others
        if answer.cancelled():
            return self.address.reject(
                ErrorCode.INTERNAL_ERROR,
                "This packet came twice, and the first was given up before it was answered; "
                "its answer is not known.",
            )
        return answer.result()

    def _loop(self, request: IncomingRequest[A]) -> Reject:
        return self.address.reject(
            ErrorCode.UNREACHABLE,
            f"A packet to {request.prepare.destination} came from {request.from_account.username} a "
            "second time while the first is under way: its routes lead in a circle.",
        )


def _key(request: IncomingRequest[A]) -> _Key:
    return request.from_account.id, sha256(request.prepare.unchanging).digest()


def _covers(first: _UnderWay | _Answered, prepare: Prepare) -> bool:
    return first.amount >= prepare.amount and first.expires_at_ms >= prepare.expires_at_ms


def _is_same(first: _UnderWay, prepare: Prepare) -> bool:
    return first.amount == prepare.amount and first.expires_at_ms == prepare.expires_at_ms
