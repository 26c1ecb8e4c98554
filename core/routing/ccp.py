"""Route exchange between peers (CCP), octets in and octets out: the control and the update message.

There is no RFC; what is written here is what `ilp-protocol-ccp` and interledger-rs write. Both messages
are the data of a Prepare without money whose condition everybody can fulfill. A control message asks a
peer to tell its routes, from a place in its table on; an update tells them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from core.errors import PacketError
from core.packet import Address, is_prefix
from core.packet.address import ADDRESS_OCTETS_MAX, parse_address
from core.packet.oer import read_octets, read_uint, write_octets, write_uint

CONTROL_DESTINATION: Final = "peer.route.control"
UPDATE_DESTINATION: Final = "peer.route.update"
FULFILLMENT: Final = bytes(32)
CONDITION: Final = bytes.fromhex(
    "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
)
"""SHA-256 of 32 zero octets: a message between peers moves no money."""

TABLE_ID_OCTETS: Final = 16
NO_TABLE: Final = bytes(TABLE_ID_OCTETS)
"""The id that stands for no table known."""
AUTH_OCTETS: Final = 32

FEATURES_MAX: Final = 100
WITHDRAWN_MAX: Final = 8_192
"""In one update: no more addresses have room in a packet, and shorter prefixes are never told."""
PROPERTIES_KEPT: Final = 100
"""Of one update; what comes behind them is stepped over, since they are of no use to anybody and take long to read."""

TableId: TypeAlias = bytes
"""16 octets, a UUID: one table of one peer, from its first epoch to its last."""


class Mode(enum.IntEnum):
    """Whether whoever sends a control message wants updates."""

    IDLE = 0
    SYNC = 1


@final
@dataclass(frozen=True, slots=True)
class RouteControl:
    """Tell me your routes from here on, or tell me nothing more."""

    mode: Mode
    table_id: TableId
    """The table that the sender knows of whom it asks; `NO_TABLE` for none."""
    epoch: int
    """How far it knows that table."""
    features: tuple[str, ...] = ()
    """Extensions that the sender knows; nobody has any."""

    def encode(self) -> bytes:
        """Return the message as the data of a packet."""
        return b"".join((
            bytes((self.mode,)),
            self.table_id,
            self.epoch.to_bytes(4, "big"),
            write_uint(len(self.features)),
            *(write_octets(feature.encode()) for feature in self.features),
        ))  # fmt: skip

    @classmethod
    def decode(cls, octets: bytes | bytearray | memoryview) -> RouteControl:
        """Return the message in `octets`; what stands behind it is ignored.

        Raises:
            PacketError: it is none.
        """
        view = memoryview(octets)
        fixed = 1 + TABLE_ID_OCTETS + 4
        if len(view) < fixed:
            raise PacketError("the message ends within its fixed fields", octet=len(view))
        try:
            mode = Mode(view[0])
        except ValueError:
            raise PacketError(
                f"the mode is {view[0]}; 0 is Idle and 1 is Sync", octet=0
            ) from None
        count, at = _read_count(view, fixed)
        if count > FEATURES_MAX:
            raise PacketError(
                f"{count} features are more than {FEATURES_MAX}, and there is none", octet=fixed
            )
        features = []
        for _ in range(count):
            feature, after = read_octets(view, at)
            features.append(_utf8(feature, octet=at))
            at = after
        return cls(
            mode,
            bytes(view[1 : 1 + TABLE_ID_OCTETS]),
            int.from_bytes(view[1 + TABLE_ID_OCTETS : fixed], "big"),
            tuple(features),
        )


_OPTIONAL: Final = 0x80
_TRANSITIVE: Final = 0x40
_PARTIAL: Final = 0x20
_UTF8: Final = 0x10


@final
@dataclass(frozen=True, slots=True)
class RouteProperty:
    """Something more about a route; no implementation has any, and they end here."""

    id: int
    value: bytes
    is_optional: bool = False
    is_transitive: bool = True
    is_partial: bool = False
    is_utf8: bool = False

    def encode(self) -> bytes:
        """Return it with the flags that the field writes: what must be understood is passed on, and whole."""
        flags = _UTF8 if self.is_utf8 else 0
        if self.is_optional:
            flags |= _OPTIONAL
        if self.is_transitive or not self.is_optional:
            flags |= _TRANSITIVE
            if self.is_partial and self.is_optional:
                flags |= _PARTIAL
        return bytes((flags,)) + self.id.to_bytes(2, "big") + write_octets(self.value)


@final
@dataclass(frozen=True, slots=True)
class ToldRoute:
    """One route as it is told: how to get to a prefix, and what proves who said so first."""

    prefix: str
    path: tuple[Address, ...]
    """The nodes on the way, who tells it first; interledger-rs tells its own address with none."""
    auth: bytes
    """The origin's keyed hash of the prefix, hashed once by every node that passes the route on."""
    properties: tuple[RouteProperty, ...] = ()

    def encode(self) -> bytes:
        """Return the route as a part of an update."""
        return b"".join((
            write_octets(self.prefix.encode()),
            write_uint(len(self.path)),
            *(write_octets(hop.encode()) for hop in self.path),
            self.auth,
            write_uint(len(self.properties)),
            *(each.encode() for each in self.properties),
        ))  # fmt: skip


def encode_withdrawn(prefix: str) -> bytes:
    """Return a prefix that leads nowhere any more, as a part of an update."""
    return write_octets(prefix.encode())


_UPDATE_FIXED: Final = TABLE_ID_OCTETS + 4 * 4
UPDATE_FRAME_OCTETS_MAX: Final = _UPDATE_FIXED + (3 + ADDRESS_OCTETS_MAX) + 2 * 5
"""What an update has beside its routes, at most."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RouteUpdate:
    """What changed in the table of whoever sends it, from one epoch to another."""

    table_id: TableId
    current_epoch: int
    """How far the table goes."""
    from_epoch: int
    to_epoch: int
    """How far it goes with this update."""
    hold_down_ms: int
    """How long all that was told holds when nothing more is heard."""
    speaker: Address
    new_routes: tuple[ToldRoute, ...] = ()
    withdrawn: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Return the message as the data of a packet."""
        return encode_update(
            self,
            [route.encode() for route in self.new_routes],
            [encode_withdrawn(prefix) for prefix in self.withdrawn],
        )

    @classmethod
    def decode(cls, octets: bytes | bytearray | memoryview) -> RouteUpdate:
        """Return the message in `octets`; what stands behind it is ignored.

        Raises:
            PacketError: it is none. Nothing is set aside for what a count only claims.
        """
        view = memoryview(octets)
        if len(view) < _UPDATE_FIXED:
            raise PacketError("the message ends within its fixed fields", octet=len(view))
        numbers = [
            int.from_bytes(view[at : at + 4], "big")
            for at in range(TABLE_ID_OCTETS, _UPDATE_FIXED, 4)
        ]
        if numbers[2] < numbers[1]:
            raise PacketError(
                f"it goes from epoch {numbers[1]} back to {numbers[2]}",
                octet=TABLE_ID_OCTETS + 8,
            )
        speaker, at = read_octets(view, _UPDATE_FIXED)
        speaker_address = parse_address(speaker, octet=_UPDATE_FIXED)
        count, at = _read_count(view, at)
        reader = _RouteReader(view)
        new_routes = []
        for _ in range(count):
            route, at = reader.read(at)
            new_routes.append(route)
        count, after = _read_count(view, at)
        if count > WITHDRAWN_MAX:
            raise PacketError(
                f"it withdraws {count} prefixes, {WITHDRAWN_MAX} at most", octet=at
            )
        at = after
        withdrawn = []
        for _ in range(count):
            prefix, at = _read_prefix(view, at)
            withdrawn.append(prefix)
        return cls(
            table_id=bytes(view[:TABLE_ID_OCTETS]),
            current_epoch=numbers[0],
            from_epoch=numbers[1],
            to_epoch=numbers[2],
            hold_down_ms=numbers[3],
            speaker=speaker_address,
            new_routes=tuple(new_routes),
            withdrawn=tuple(withdrawn),
        )


def read_update(octets: bytes | bytearray | memoryview) -> RouteUpdate:
    """Return the update that a peer tells.

    Raises:
        PacketError: it is none, or one of a table that could not be told from none, and would never end.
    """
    update = RouteUpdate.decode(octets)
    if update.table_id == NO_TABLE:
        raise PacketError("the table's id is all zeros, which stands for no table", octet=0)
    return update


def encode_update(
    update: RouteUpdate, new_routes: list[bytes], withdrawn: list[bytes]
) -> bytes:
    """Return an update's octets around routes that are encoded already; its own lists do not count."""
    return b"".join((
        update.table_id,
        update.current_epoch.to_bytes(4, "big"),
        update.from_epoch.to_bytes(4, "big"),
        update.to_epoch.to_bytes(4, "big"),
        update.hold_down_ms.to_bytes(4, "big"),
        write_octets(update.speaker.encode()),
        write_uint(len(new_routes)),
        *new_routes,
        write_uint(len(withdrawn)),
        *withdrawn,
    ))  # fmt: skip


@final
class _RouteReader:
    """Reads the routes of one update; most of them have a path that another one has too."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._paths: dict[bytes, tuple[Address, ...]] = {}
        self._properties_left = PROPERTIES_KEPT

    def read(self, at: int) -> tuple[ToldRoute, int]:
        """Return the route that begins at `at`, and the octet behind it."""
        view = self._view
        prefix, path_at = _read_prefix(view, at)
        hops, at = _read_count(view, path_at)
        for _ in range(hops):
            at = _step_over(view, at)
        path = self._path(path_at, at)
        auth = bytes(view[at : at + AUTH_OCTETS])
        if len(auth) < AUTH_OCTETS:
            raise PacketError("the message ends within a route's auth", octet=len(view))
        at += AUTH_OCTETS
        count, at = _read_count(view, at)
        if not count:
            return ToldRoute(prefix, path, auth), at
        properties = []
        for _ in range(count):
            if self._properties_left:
                self._properties_left -= 1
                each, at = _read_property(view, at)
                properties.append(each)
            else:
                at = _step_over(view, at + 3)
        return ToldRoute(prefix, path, auth, tuple(properties)), at

    def _path(self, start: int, end: int) -> tuple[Address, ...]:
        octets = bytes(self._view[start:end])
        known = self._paths.get(octets)
        if known is not None:
            return known
        hops, at = read_uint(self._view, start)
        path = []
        for _ in range(hops):
            hop, after = read_octets(self._view, at)
            path.append(parse_address(hop, octet=at))
            at = after
        found = self._paths[octets] = tuple(path)
        return found


def _step_over(view: memoryview, at: int) -> int:
    """Return the octet behind an octet string."""
    if at < len(view) and view[at] < 0x80 and at + view[at] < len(view):
        return at + 1 + view[at]
    return read_octets(view, at)[1]


def _read_count(view: memoryview, at: int) -> tuple[int, int]:
    """Return how many things follow; each has at least one octet, and a claim of more is refused."""
    if at + 1 < len(view) and view[at] == 1:
        count, after = view[at + 1], at + 2  # as nearly every one is
    else:
        count, after = read_uint(view, at)
    if count > len(view) - after:
        raise PacketError(
            f"{count} entries are due and {len(view) - after} octets are there", octet=at
        )
    return count, after


def _read_prefix(view: memoryview, at: int) -> tuple[str, int]:
    octets, after = read_octets(view, at)
    try:
        prefix = str(octets, "ascii")
    except UnicodeDecodeError:
        prefix = "?"
    if not is_prefix(prefix):
        raise PacketError(f"{bytes(octets[:64])!r} is no prefix of an ILP address", octet=at)
    return prefix, after


def _read_property(view: memoryview, at: int) -> tuple[RouteProperty, int]:
    if len(view) - at < 3:
        raise PacketError("the message ends within a route's property", octet=len(view))
    flags = view[at]
    value, after = read_octets(view, at + 3)
    return (
        RouteProperty(
            int.from_bytes(view[at + 1 : at + 3], "big"),
            bytes(value),
            is_optional=bool(flags & _OPTIONAL),
            is_transitive=bool(flags & _TRANSITIVE),
            is_partial=bool(flags & _PARTIAL),
            is_utf8=bool(flags & _UTF8),
        ),
        after,
    )


def _utf8(octets: memoryview, *, octet: int) -> str:
    try:
        return str(octets, "utf-8")
    except UnicodeDecodeError:
        raise PacketError("a feature's name is no UTF-8", octet=octet) from None
