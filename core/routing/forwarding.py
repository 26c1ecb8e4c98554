"""What we tell: our own table as a log of changes, from which each peer is told what it has not heard yet.

Every change stands under an epoch; a newer change of the same prefix takes the older one's place, so the
log is as long as the table. Prefixes that were withdrawn stand in it until every peer that listens has
heard so, and no longer than there is room. Many changes that come together share an epoch, since a peer is
told fifty epochs at a time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias, final

from core.account import AccountId
from core.packet import Address, covers
from core.packet.oer import write_octets, write_uint
from core.routing.auth import passed_on
from core.routing.ccp import (
    UPDATE_FRAME_OCTETS_MAX,
    RouteUpdate,
    TableId,
    encode_update,
    encode_withdrawn,
)
from core.routing.table import Route

UPDATE_OCTETS_MAX: Final = 32_000
"""A packet carries 32,767 octets of data, and some peers take frames of 40,000."""
EPOCHS_PER_UPDATE: Final = 50
"""ilp-connector tells no more at once; epochs in which nothing is left do not count."""
CHANGES_LOOKED_AT: Final = 4_000
"""So many are gone through for one update, in about 4 ms, where most of them say nothing to this peer."""
EPOCHS_MAX: Final = 2**31
"""Half of what an update has octets for; beyond it everybody is told anew, as another table."""
EPOCH_OCTETS_MAX: Final = 10_000
"""So that at least one epoch fits in an update, our own address in every path included."""
EPOCH_ROUTES_MAX: Final = 100
WITHDRAWN_OCTETS: Final = 300
"""What a withdrawn prefix takes beside its name."""
WITHDRAWN_OCTETS_MAX: Final = 70_000_000
"""What withdrawn prefixes that a peer may still have to hear of may take: as many as one peer may have told, with
usual names, so that its end is told whole. A peer that lags further starts anew."""
FORGOTTEN_AT_ONCE: Final = 200
HEARD_AT_ONCE: Final = 2_000
"""More than an update tells, and no more than takes about 2 ms."""

MayTell: TypeAlias = Callable[[Route], bool]
"""Whether a route may be told to a peer; where not, it is withdrawn there."""


@final
@dataclass(slots=True)
class _Entry:
    """The last change of a prefix."""

    epoch: int
    route: Route | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """How one peer is told."""

    table_id: TableId
    """The id under which this peer knows our table."""
    may_tell: MayTell
    only_under: tuple[str, ...] = ()
    """Prefixes that are told at all; empty is all."""
    withdraw_others: bool = False
    """Whether what is not told now may have been told before, and is to be taken back."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An update on its way, and what it says."""

    octets: bytes
    from_epoch: int
    to_epoch: int
    routes: int
    withdrawn: int


@final
class ForwardingLog:
    """Our own table, as peers are told it."""

    __slots__ = (
        "_by_next_hop",
        "_entries",
        "_epochs",
        "_open_octets",
        "_order",
        "_own_hop",
        "_sealed",
        "_withdrawn",
        "_withdrawn_octets",
        "_withdrawn_octets_max",
        "current",
        "floor",
        "own",
    )

    def __init__(
        self, own: Address, *, withdrawn_octets_max: int = WITHDRAWN_OCTETS_MAX
    ) -> None:
        self.own: Final = own
        self._withdrawn_octets = 0
        self._withdrawn_octets_max = withdrawn_octets_max
        self._own_hop = write_octets(own.encode())
        self._entries: dict[str, _Entry] = {}
        self._epochs: dict[int, dict[str, None]] = {}
        self._order: list[int] = []
        """The epochs in which something is left, and some in which nothing is."""
        self._by_next_hop: Counter[AccountId] = Counter()
        self._withdrawn: OrderedDict[str, None] = OrderedDict()
        """The oldest withdrawal first; a dict would look for its first entry among all that are gone."""
        self._open_octets = 0
        self._sealed = True
        self.current = 0
        """How many epochs there are: the last one is this less one."""
        self.floor = 0
        """Whoever has heard less than this has missed a withdrawal that is forgotten, and starts anew."""

    def __len__(self) -> int:
        return len(self._entries) - len(self._withdrawn)

    @property
    def entries(self) -> int:
        """How many changes the log holds, withdrawals included."""
        return len(self._entries)

    @property
    def is_worn(self) -> bool:
        """Whether its epochs come to an end."""
        return self.current >= EPOCHS_MAX

    def routes(self) -> Iterable[Route]:
        """Return every route that is told."""
        return (entry.route for entry in self._entries.values() if entry.route is not None)

    def count(self, may_tell: Callable[[AccountId], bool]) -> int:
        """Return how many routes lead to next hops of which `may_tell` says so."""
        return sum(
            routes for next_hop, routes in self._by_next_hop.items() if may_tell(next_hop)
        )

    def put(self, prefix: str, route: Route | None) -> bool:
        """Tell this of a prefix from now on; return whether that is news."""
        entry = self._entries.get(prefix)
        if entry is None:
            if route is None:
                return False  # nobody has ever heard of it
            entry = self._entries[prefix] = _Entry(-1, route)
        else:
            if entry.route == route:
                return False
            self._leave_epoch(prefix, entry)
            self._count(entry.route, -1)
            entry.route = route
        self._count(route, 1)
        if route is None:
            self._withdrawn[prefix] = None
            self._withdrawn_octets += WITHDRAWN_OCTETS + len(prefix)
        else:
            self._unwithdraw(prefix)
        entry.epoch = self._epoch_for(self._octets(prefix, route))
        self._epochs[entry.epoch][prefix] = None
        if self._withdrawn_octets > self._withdrawn_octets_max:
            self._forget_withdrawn(FORGOTTEN_AT_ONCE)
        return True

    def seal(self) -> None:
        """Let the next change stand in an epoch of its own."""
        self._sealed = True

    def heard(self, epoch: int) -> None:
        """Forget some of what was withdrawn before `epoch`: every peer that listens has heard it."""
        for _ in range(HEARD_AT_ONCE):
            prefix = next(iter(self._withdrawn), None)
            if prefix is None or (entry := self._entries[prefix]).epoch >= epoch:
                return
            self._forget(prefix, entry)

    def tell(self, listener: Listener, from_epoch: int, *, hold_down_ms: int) -> Told:
        """Return the update that follows `from_epoch`; one that says nothing new is a heartbeat."""
        self._sealed = True  # what comes later must not slip into an epoch that was told
        routes: list[bytes] = []
        withdrawn: list[bytes] = []
        room = UPDATE_OCTETS_MAX - UPDATE_FRAME_OCTETS_MAX
        said = 0
        to_epoch = self.current
        start = bisect_left(self._order, from_epoch)
        looked = 0
        for epoch in islice(self._order, start, None):
            prefixes = self._epochs.get(epoch, ())
            looked += 1 + len(prefixes)
            new, gone = self._epoch(prefixes, listener)
            size = sum(map(len, new)) + sum(map(len, gone))
            if size > room or said == EPOCHS_PER_UPDATE or looked > CHANGES_LOOKED_AT:
                to_epoch = epoch
                break
            room -= size
            said += bool(size)
            routes += new
            withdrawn += gone
        frame = RouteUpdate(
            table_id=listener.table_id,
            current_epoch=self.current,
            from_epoch=from_epoch,
            to_epoch=to_epoch,
            hold_down_ms=hold_down_ms,
            speaker=self.own,
        )
        return Told(
            octets=encode_update(frame, routes, withdrawn),
            from_epoch=from_epoch,
            to_epoch=to_epoch,
            routes=len(routes),
            withdrawn=len(withdrawn),
        )

    def _epoch(
        self, prefixes: Iterable[str], listener: Listener
    ) -> tuple[list[bytes], list[bytes]]:
        """Return what one epoch says to one peer: routes, and prefixes that lead nowhere any more."""
        new: list[bytes] = []
        gone: list[bytes] = []
        for prefix in prefixes:
            route = self._entries[prefix].route
            wanted = listener.only_under
            if wanted and not any(covers(one, prefix) for one in wanted):
                if listener.withdraw_others:
                    gone.append(encode_withdrawn(prefix))
            elif route is None or not listener.may_tell(route):
                gone.append(encode_withdrawn(prefix))
            else:
                new.append(_encode(route, self._own_hop))
        return new, gone

    def _epoch_for(self, octets: int) -> int:
        """Return the epoch that a change of this size stands in: the last one, if there is room and nobody knows it."""
        last = self.current - 1
        if (
            self._sealed
            or self._open_octets + octets > EPOCH_OCTETS_MAX
            or last not in self._epochs
            or len(self._epochs[last]) >= EPOCH_ROUTES_MAX
        ):
            self._epochs[self.current] = {}
            self._order.append(self.current)
            self.current += 1
            self._sealed = False
            self._open_octets = 0
        self._open_octets += octets
        return self.current - 1

    def _leave_epoch(self, prefix: str, entry: _Entry) -> None:
        prefixes = self._epochs[entry.epoch]
        del prefixes[prefix]
        if not prefixes:
            del self._epochs[entry.epoch]
            if len(self._order) > 2 * len(self._epochs) + 100:
                self._order = list(self._epochs)

    def _octets(self, prefix: str, route: Route | None) -> int:
        """Return what a change takes in an update."""
        size = len(prefix) + 3
        if route is not None:
            size += 40 + len(self._own_hop) + sum(len(hop) + 3 for hop in route.path)
        return size

    def _count(self, route: Route | None, by: int) -> None:
        if route is not None:
            self._by_next_hop[route.next_hop] += by

    def _forget_withdrawn(self, count: int) -> None:
        for prefix in [
            prefix for prefix, _ in zip(self._withdrawn, range(count), strict=False)
        ]:
            self._forget(prefix, self._entries[prefix])

    def _forget(self, prefix: str, entry: _Entry) -> None:
        self.floor = max(self.floor, entry.epoch + 1)
        self._leave_epoch(prefix, entry)
        del self._entries[prefix]
        self._unwithdraw(prefix)

    def _unwithdraw(self, prefix: str) -> None:
        if prefix in self._withdrawn:
            del self._withdrawn[prefix]
            self._withdrawn_octets -= WITHDRAWN_OCTETS + len(prefix)


def _encode(route: Route, own_hop: bytes) -> bytes:
    """Return a route as we tell it: ourselves first on the way, its proof hashed once more, no properties."""
    return b"".join((
        write_octets(route.prefix.encode()),
        write_uint(len(route.path) + 1),
        own_hop,
        *(write_octets(hop.encode()) for hop in route.path),
        passed_on(route.auth),
        b"\x01\x00",
    ))  # fmt: skip
