"""The decoders of route exchange, and what becomes of whatever they accept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.packet import address
from core.routing.ccp import Mode, RouteControl, RouteProperty, RouteUpdate, ToldRoute
from core.routing.importing import ImportRules
from core.routing.learned import Standings
from core.testing.builders import account

_PEER = account("bob", ilp_address=address("test.bob"))
_RULES: Final = ImportRules(address("test.us"), _PEER, Standings([_PEER]))


def route_control(octets: bytes) -> None:
    """What a peer asks of our routes."""
    control = RouteControl.decode(octets)
    encoded = control.encode()
    assert RouteControl.decode(encoded) == control
    assert len(encoded) <= len(octets)


def route_update(octets: bytes) -> None:
    """What a peer tells of its own, and which of that is taken."""
    update = RouteUpdate.decode(octets)
    encoded = update.encode()
    # Flags that cannot be, and integers with zeros before them, are written as they should be.
    again = RouteUpdate.decode(encoded)
    assert again.encode() == encoded
    assert len(encoded) <= len(octets)
    assert len(update.new_routes) + len(update.withdrawn) <= len(octets)
    for route in update.new_routes:
        if not _RULES.refusal(route.prefix, route.path, update.speaker):
            assert route.prefix.startswith("test.")
            assert "test.us" not in route.path


ROUTE_TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target for target in (route_control, route_update)
}

ROUTE_SEEDS: Final = (
    RouteControl(Mode.SYNC, bytes(16), 7, ("one", "two")).encode(),
    RouteUpdate(
        table_id=bytes(16),
        current_epoch=9,
        from_epoch=3,
        to_epoch=5,
        hold_down_ms=45_000,
        speaker=address("test.bob"),
        new_routes=(
            ToldRoute("test.x", (address("test.bob"), address("test.x")), bytes(32)),
            ToldRoute("test.y", (), bytes(32), (RouteProperty(1, b"value", is_utf8=True),)),
        ),
        withdrawn=("test.z", "test.w"),
    ).encode(),
)
