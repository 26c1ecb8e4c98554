"""The messages of route exchange, octet by octet: as ilp-protocol-ccp writes them, and as nobody should."""

from __future__ import annotations

import tracemalloc
import uuid
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.errors import PacketError
from core.packet import Fulfill, Prepare, parse_reply
from core.routing.ccp import (
    CONDITION,
    CONTROL_DESTINATION,
    FULFILLMENT,
    NO_TABLE,
    UPDATE_DESTINATION,
    Mode,
    RouteControl,
    RouteProperty,
    RouteUpdate,
    ToldRoute,
)
from tests.core.packet.vectors import load

VECTORS = load("ilp-protocol-ccp/ccp.json")
HOSTILE = load("interledger-rs/ccp.json")["fuzz_payloads"]

KINDS: dict[str, type[RouteControl | RouteUpdate]] = {
    "control": RouteControl,
    "update": RouteUpdate,
}


def message(kind: str, fields: dict[str, Any]) -> RouteControl | RouteUpdate:
    """Return what a vector's fields say."""
    if kind == "control":
        return RouteControl(
            Mode(fields["mode"]),
            uuid.UUID(fields["lastKnownRoutingTableId"]).bytes,
            fields["lastKnownEpoch"],
            tuple(fields["features"]),
        )
    return RouteUpdate(
        table_id=uuid.UUID(fields["routingTableId"]).bytes,
        current_epoch=fields["currentEpochIndex"],
        from_epoch=fields["fromEpochIndex"],
        to_epoch=fields["toEpochIndex"],
        hold_down_ms=fields["holdDownTime"],
        speaker=fields["speaker"],
        new_routes=tuple(
            ToldRoute(
                route["prefix"],
                tuple(route["path"]),
                bytes.fromhex(route["authHex"]),
                tuple(
                    RouteProperty(
                        each["id"],
                        bytes.fromhex(each["valueHex"]),
                        is_optional=each["optional"],
                        is_transitive=each["transitive"],
                        is_partial=each["partial"],
                        is_utf8=each["utf8"],
                    )
                    for each in route["props"]
                ),
            )
            for route in fields["newRoutes"]
        ),
        withdrawn=tuple(fields["withdrawnRoutes"]),
    )


@pytest.mark.parametrize("vector", VECTORS["payloads"], ids=lambda v: v["kind"])
def test_a_published_message_is_read_and_written(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])
    expected = message(vector["kind"], vector["fields"])

    assert KINDS[vector["kind"]].decode(octets) == expected
    assert expected.encode() == octets


@pytest.mark.parametrize("vector", VECTORS["packets"], ids=lambda v: v["kind"])
def test_a_published_packet_is_read_and_written(vector: dict[str, Any]) -> None:
    packet = Prepare(bytearray.fromhex(vector["hex"]))
    kind = vector["kind"]
    expected = message(kind, vector["fields"])

    assert KINDS[kind].decode(packet.data) == expected
    built = Prepare.build(
        amount=0,
        expires_at_ms=packet.expires_at_ms,
        condition=CONDITION,
        destination={"control": CONTROL_DESTINATION, "update": UPDATE_DESTINATION}[kind],
        data=expected.encode(),
    )
    assert built.octets == packet.octets


@pytest.mark.parametrize("vector", VECTORS["responses"])
def test_a_published_answer_is_a_yes(vector: dict[str, Any]) -> None:
    reply = parse_reply(bytes.fromhex(vector["hex"]))

    assert isinstance(reply, Fulfill)
    assert reply.fulfillment == FULFILLMENT
    if vector["canonical"]:
        assert reply == Fulfill.build(FULFILLMENT)


@pytest.mark.parametrize("vector", VECTORS["bad_responses"])
def test_a_published_wrong_answer_is_none(vector: dict[str, Any]) -> None:
    reply = parse_reply(bytes.fromhex(vector["hex"]))

    assert isinstance(reply, Fulfill)
    assert reply.fulfillment != FULFILLMENT


@pytest.mark.parametrize("vector", HOSTILE, ids=lambda v: v["name"])
def test_what_once_made_another_node_allocate_is_refused_for_next_to_nothing(
    vector: dict[str, Any],
) -> None:
    decode = KINDS[vector["payload"]].decode
    octets = bytes.fromhex(vector["hex"])
    tracemalloc.start()

    with pytest.raises(PacketError):
        decode(octets)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_claim_of_a_million_routes_is_refused_before_one_is_read() -> None:
    empty = RouteUpdate(
        table_id=NO_TABLE,
        current_epoch=1,
        from_epoch=0,
        to_epoch=1,
        hold_down_ms=45_000,
        speaker=ADDRESSES[0],
    ).encode()

    with pytest.raises(PacketError, match="1000000 entries are due and 2 octets are there"):
        RouteUpdate.decode(empty[:-4] + bytes.fromhex("030f4240") + b"\0\0")


# --- For any message

ADDRESSES: list[Any] = ["test.a", "test.b.c", "g.x", "test." + "long" * 60]
octets_32 = st.binary(min_size=32, max_size=32)
epochs = st.integers(0, 2**32 - 1)
properties = st.builds(
    RouteProperty,
    id=st.integers(0, 2**16 - 1),
    value=st.binary(max_size=200),
    is_optional=st.just(True),
    is_transitive=st.just(True),
    is_partial=st.booleans(),
    is_utf8=st.booleans(),
)
routes = st.builds(
    ToldRoute,
    prefix=st.sampled_from(["", "test", *ADDRESSES]),
    path=st.lists(st.sampled_from(ADDRESSES), max_size=5).map(tuple),
    auth=octets_32,
    properties=st.lists(properties, max_size=2).map(tuple),
)
updates = st.builds(
    RouteUpdate,
    table_id=st.binary(min_size=16, max_size=16),
    current_epoch=epochs,
    from_epoch=st.just(3),
    to_epoch=st.integers(3, 2**32 - 1),
    hold_down_ms=epochs,
    speaker=st.sampled_from(ADDRESSES),
    new_routes=st.lists(routes, max_size=6).map(tuple),
    withdrawn=st.lists(st.sampled_from(ADDRESSES), max_size=6).map(tuple),
)
controls = st.builds(
    RouteControl,
    mode=st.sampled_from(Mode),
    table_id=st.binary(min_size=16, max_size=16),
    epoch=epochs,
    features=st.lists(st.text(max_size=20), max_size=3).map(tuple),
)


@given(updates | controls)
def test_what_is_written_is_read_again(told: RouteControl | RouteUpdate) -> None:
    assert type(told).decode(told.encode()) == told
    assert type(told).decode(told.encode() + b"more") == told, "octets behind are ignored"


@given(updates | controls, st.data())
def test_a_message_cut_off_anywhere_is_refused_at_an_octet_within_it(
    told: RouteControl | RouteUpdate, data: st.DataObject
) -> None:
    octets = told.encode()
    cut = octets[: data.draw(st.integers(0, len(octets) - 1))]

    with pytest.raises(PacketError) as caught:
        type(told).decode(cut)

    assert 0 <= caught.value.octet <= len(cut)


@given(updates | controls, st.data())
def test_a_wrong_octet_is_refused_or_makes_another_message(
    told: RouteControl | RouteUpdate, data: st.DataObject
) -> None:
    octets = bytearray(told.encode())
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))

    try:
        found = type(told).decode(octets)
    except PacketError as error:
        assert 0 <= error.octet <= len(octets)
    else:
        again = type(told).decode(found.encode())
        assert again.encode() == found.encode()


@pytest.mark.parametrize(
    ("flags", "written"),
    [(0x00, 0x40), (0x20, 0x40), (0x80, 0x80), (0xA0, 0x80), (0xF0, 0xF0), (0x4F, 0x40)],
)
def test_flags_that_cannot_be_are_written_as_ilp_connector_writes_them(
    flags: int, written: int
) -> None:
    route = ToldRoute("test.a", (), bytes(32), (RouteProperty(1, b""),))
    update = RouteUpdate(
        table_id=NO_TABLE,
        current_epoch=1,
        from_epoch=0,
        to_epoch=1,
        hold_down_ms=1,
        speaker=ADDRESSES[0],
        new_routes=(route,),
    )
    octets = bytearray(update.encode())
    at = octets.index(b"\x40\x00\x01\x00")
    octets[at] = flags

    assert RouteUpdate.decode(octets).encode()[at] == written


def test_a_mode_that_there_is_not_is_refused() -> None:
    octets = bytearray(RouteControl(Mode.SYNC, NO_TABLE, 0).encode())
    octets[0] = 2

    with pytest.raises(PacketError, match="the mode is 2; 0 is Idle and 1 is Sync"):
        RouteControl.decode(octets)


def test_an_update_that_goes_back_is_refused() -> None:
    octets = bytearray(
        RouteUpdate(
            table_id=NO_TABLE,
            current_epoch=9,
            from_epoch=5,
            to_epoch=9,
            hold_down_ms=1,
            speaker=ADDRESSES[0],
        ).encode()
    )
    octets[27] = 4

    with pytest.raises(PacketError, match="from epoch 5 back to 4"):
        RouteUpdate.decode(octets)


def test_more_features_than_anybody_has_are_refused_unread() -> None:
    octets = RouteControl(Mode.SYNC, NO_TABLE, 0, ("",) * 32_000).encode()

    with pytest.raises(PacketError, match="32000 features are more than 100"):
        RouteControl.decode(octets)


def test_properties_beyond_a_hundred_are_stepped_over_and_the_routes_stay() -> None:
    property_ = RouteProperty(1, b"value")
    routes = tuple(
        ToldRoute(f"test.r{number}", (ADDRESSES[0],), bytes(32), (property_,) * 60)
        for number in range(3)
    )
    update = RouteUpdate(
        table_id=NO_TABLE,
        current_epoch=1,
        from_epoch=0,
        to_epoch=1,
        hold_down_ms=1,
        speaker=ADDRESSES[0],
        new_routes=routes,
        withdrawn=(ADDRESSES[1],),
    )

    found = RouteUpdate.decode(update.encode())

    assert [len(route.properties) for route in found.new_routes] == [60, 40, 0]
    assert [route.prefix for route in found.new_routes] == ["test.r0", "test.r1", "test.r2"]
    assert found.withdrawn == (ADDRESSES[1],)
    with pytest.raises(PacketError):
        RouteUpdate.decode(update.encode()[:-40])


@pytest.mark.parametrize("count", [8_192, 8_193])
def test_more_withdrawn_prefixes_than_there_can_be_are_refused_unread(count: int) -> None:
    octets = RouteUpdate(
        table_id=NO_TABLE,
        current_epoch=1,
        from_epoch=0,
        to_epoch=1,
        hold_down_ms=1,
        speaker=ADDRESSES[0],
        withdrawn=("g",) * count,
    ).encode()

    if count > 8_192:
        with pytest.raises(PacketError, match="it withdraws 8193 prefixes, 8192 at most"):
            RouteUpdate.decode(octets)
    else:
        assert len(RouteUpdate.decode(octets).withdrawn) == count
