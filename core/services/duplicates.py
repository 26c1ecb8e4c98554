"""Incoming: a packet that came already gets the answer that it got, and is neither sent nor booked again."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import Final, Generic, NewType, Protocol, TypeVar, final

from core.account import AccountId
from core.clock import Clock
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, parse_reply
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict

REMEMBER_SECONDS: Final = 30.0
"""As long as a packet is held at most. What comes later has expired, but where its sender gave it more time."""
ANSWERS_MAX: Final = 100_000
"""About 350 octets each with a short answer: 35 MB. So it remembers all of 3,300 packets a second."""
OCTETS_MAX: Final = 32 * 1024 * 1024
"""Of long answers, which have up to 32 KB each, in all; of one more the fulfillment alone is kept."""
SHORT_OCTETS: Final = 300
"""An answer of ours is hardly longer; there is room for as many as are kept, 30 MB at most."""

_Key = NewType("_Key", bytes)
_Answered = NewType("_Answered", bytes)
"""Its key, amount and expiry, when it was answered, and the answer, one after the other.

A hundred thousand of these are kept. So they are octets, which the garbage collector never looks at:
as many objects would hold up the loop while it does.
"""
_KEY_OCTETS: Final = 32
_BEFORE_THE_ANSWER: Final = Struct(f">{_KEY_OCTETS}sQQd")


@final
class _Packet:
    """A packet that is under way."""

    __slots__ = ("amount", "answer", "expires_at_ms")

    def __init__(self, amount: int, expires_at_ms: int) -> None:
        self.amount = amount
        self.expires_at_ms = expires_at_ms
        self.answer: asyncio.Future[Reply] | None = None
        """Made by the first duplicate: nearly no packet has one."""

    def is_like(self, prepare: Prepare) -> bool:
        """Tell whether it offered the very same."""
        return self.amount == prepare.amount and self.expires_at_ms == prepare.expires_at_ms


@final
class Duplicates:
    """The packets of this process that are under way, and the answers of those that lately were."""

    __slots__ = (
        "_answers",
        "_clock",
        "_octets",
        "_oldest_first",
        "_under_way",
        "answers_max",
        "octets_max",
    )

    def __init__(
        self, clock: Clock, *, answers_max: int = ANSWERS_MAX, octets_max: int = OCTETS_MAX
    ) -> None:
        self._clock = clock
        self._under_way: dict[_Key, _Packet] = {}
        """Of two that differ in amount or time, the later."""
        self._answers: dict[_Key, _Answered] = {}
        """Of two that differ in amount or time, the later."""
        self._oldest_first: deque[_Answered] = deque()
        """In the order in which they were answered: the first are the first to be forgotten."""
        self._octets = 0
        self.answers_max = answers_max
        self.octets_max = octets_max

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._oldest_first)

    def answer(self, key: _Key, prepare: Prepare) -> bytes | None:
        """Return the answer of the packet of which this is a copy, or which has come round to us again."""
        found = self._answers.get(key)
        if found is None:
            return None
        _, amount, expires_at_ms, at = _BEFORE_THE_ANSWER.unpack_from(found)
        if not _covers(amount, expires_at_ms, prepare):
            return None
        if self._clock.monotonic() - at >= REMEMBER_SECONDS:
            return None
        return found[_BEFORE_THE_ANSWER.size :]

    def under_way(self, key: _Key, prepare: Prepare) -> _Packet | None:
        """Return the packet that is under way of which this is a copy, or which has come round to us again."""
        found = self._under_way.get(key)
        if found is None or not _covers(found.amount, found.expires_at_ms, prepare):
            return None
        return found

    def begin(self, key: _Key, prepare: Prepare) -> _Packet:
        """Note that a packet is on its way."""
        packet = self._under_way[key] = _Packet(prepare.amount, prepare.expires_at_ms)
        return packet

    def end(self, key: _Key, packet: _Packet, reply: Reply | None) -> None:
        """Keep its answer, and give it to whoever waits for it; None is for one that was given up."""
        if self._under_way.get(key) is packet:
            del self._under_way[key]
        if reply is None:
            if packet.answer is not None:
                packet.answer.cancel()
            return
        if packet.answer is not None:
            packet.answer.set_result(reply)
        now = self._clock.monotonic()
        oldest_first = self._oldest_first
        while oldest_first and self._forgets(oldest_first[0], now):
            self._forget()
        octets = bytes(reply.octets)
        if len(octets) > SHORT_OCTETS and self._octets + len(octets) > self.octets_max:
            # Strangers choose how long answers are, and nobody may have another's packet sent on twice.
            if not isinstance(reply, Fulfill):  # the next hop said no: that may be sent again
                return
            octets = bytes(Fulfill.build(reply.fulfillment).octets)
        self._octets += _long(len(octets))
        head = _BEFORE_THE_ANSWER.pack(key, packet.amount, packet.expires_at_ms, now)
        answered = _Answered(head + octets)
        self._answers[key] = answered
        oldest_first.append(answered)

    def _forgets(self, oldest: _Answered, now: float) -> bool:
        """Tell whether its time is up, or its place is needed."""
        if len(self._oldest_first) >= self.answers_max:
            return True
        at: float = _BEFORE_THE_ANSWER.unpack_from(oldest)[-1]
        return now - at >= REMEMBER_SECONDS

    def _forget(self) -> None:
        oldest = self._oldest_first.popleft()
        self._octets -= _long(len(oldest) - _BEFORE_THE_ANSWER.size)
        key = _Key(oldest[:_KEY_OCTETS])
        if self._answers.get(key) is oldest:  # and no later offer of the same
            del self._answers[key]


def _covers(amount: int, expires_at_ms: int, prepare: Prepare) -> bool:
    """Tell whether it offered no less, and for no shorter."""
    return amount >= prepare.amount and expires_at_ms >= prepare.expires_at_ms


def _long(octets: int) -> int:
    """Return how much of the room for long answers one of so many octets takes."""
    return octets if octets > SHORT_OCTETS else 0


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
    in memory, by this process: after a restart, and at another node on the same store, the books
    know a copy of what moved money.
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
        answer = duplicates.answer(key, prepare)
        if answer is not None:
            return parse_reply(answer)
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
        octets = self.duplicates.answer(key, prepare)
        first = self.duplicates.under_way(key, prepare)
        if octets is None and first is None:
            step = Step("duplicates", Verdict.PASSES, "No such packet came a moment ago.")
            return (step, *await self.next.explain(request))
        answer = None if octets is None else parse_reply(octets)
        if answer is None and first is not None and not first.is_like(prepare):
            answer = self._loop(request)
        if isinstance(answer, Reject):
            return (Step("duplicates", Verdict.REJECTS, answer.message, answer),)
        sentence = (
            "This very packet is under way, and gets the answer that comes."
            if answer is None
            else "This very packet was fulfilled a moment ago, and gets the same answer."
        )
        return (Step("duplicates", Verdict.ANSWERS, sentence),)

    async def _share(self, request: IncomingRequest[A], first: _Packet) -> Reply:
        if not first.is_like(request.prepare):
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
    digest = sha256(request.from_account.id.encode() + b"\0")
    digest.update(request.prepare.unchanging)
    return _Key(digest.digest())
