"""Our own table as a log: what is told from which epoch on, how much at once, and what is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.account import AccountId
from core.packet import address
from core.routing.ccp import RouteUpdate
from core.routing.forwarding import (
    CHANGES_LOOKED_AT,
    EPOCHS_PER_UPDATE,
    WITHDRAWN_OCTETS,
    ForwardingLog,
    Listener,
    Told,
)
from core.routing.table import Route, RouteSource

OWN = address("test.us")
BOB, CAROL = AccountId("bob"), AccountId("carol")


def route(prefix: str, next_hop: AccountId = BOB, *path: str) -> Route:
    return Route(prefix, next_hop, RouteSource.LEARNED, path, bytes(32))


def listener(
    *, not_over: AccountId | None = None, only_under: tuple[str, ...] = (), anew: bool = False
) -> Listener:
    return Listener(
        table_id=bytes(16),
        may_tell=lambda each: each.next_hop != not_over,
        only_under=only_under,
        withdraw_others=anew,
    )


EVERYBODY = listener()


def tell(log: ForwardingLog, epoch: int, whom: Listener = EVERYBODY) -> Told:
    return log.tell(whom, epoch, hold_down_ms=45_000)


def put_singly(log: ForwardingLog, count: int, *, start: int = 0) -> None:
    """Make so many changes, each in an epoch of its own."""
    for number in range(start, start + count):
        log.put(f"test.n{number}", route(f"test.n{number}"))
        log.seal()


def apply(octets: bytes, table: dict[str, tuple[str, ...]]) -> None:
    """Do what a peer does with an update."""
    update = RouteUpdate.decode(octets)
    for prefix in update.withdrawn:
        table.pop(prefix, None)
    for each in update.new_routes:
        table[each.prefix] = each.path


def test_fifty_epochs_are_told_at_once_and_the_rest_follows() -> None:
    log = ForwardingLog(OWN)
    put_singly(log, 2 * EPOCHS_PER_UPDATE + 1)

    spans = []
    epoch = 0
    while epoch < log.current:
        told = tell(log, epoch)
        spans.append((told.from_epoch, told.to_epoch, told.routes))
        epoch = told.to_epoch

    assert spans == [(0, 50, 50), (50, 100, 50), (100, 101, 1)]


def test_changes_that_come_together_share_an_epoch_until_it_was_told() -> None:
    log = ForwardingLog(OWN)
    log.put("test.a", route("test.a"))
    log.put("test.b", route("test.b"))
    assert log.current == 1

    tell(log, 0)
    log.put("test.c", route("test.c"))

    assert log.current == 2
    assert tell(log, 1).routes == 1


def test_a_change_takes_the_place_of_the_one_before() -> None:
    log = ForwardingLog(OWN)
    put_singly(log, 3)

    log.put("test.n0", route("test.n0", CAROL))
    log.put("test.n1", None)

    update = RouteUpdate.decode(tell(log, 0).octets)
    assert [each.prefix for each in update.new_routes] == ["test.n2", "test.n0"]
    assert update.withdrawn == ("test.n1",)
    assert (len(log), log.entries) == (2, 3)


def test_what_is_no_news_makes_no_epoch() -> None:
    log = ForwardingLog(OWN)
    log.put("test.a", route("test.a"))
    log.seal()

    assert not log.put("test.a", route("test.a"))
    assert not log.put("test.never", None)
    assert log.current == 1


def test_nothing_new_is_a_heartbeat() -> None:
    log = ForwardingLog(OWN)
    put_singly(log, 3)

    told = tell(log, 3)

    assert (told.from_epoch, told.to_epoch, told.routes, told.withdrawn) == (3, 3, 0, 0)


@pytest.mark.parametrize("together", [False, True], ids=["one an epoch", "many an epoch"])
def test_changes_that_say_nothing_to_a_peer_are_passed_over_thousands_at_a_time(
    together: bool,
) -> None:
    log = ForwardingLog(OWN)
    for number in range(3 * CHANGES_LOOKED_AT):
        log.put(f"test.n{number}", route(f"test.n{number}"))
        if not together:
            log.seal()
    whom = listener(only_under=("test.other",))

    epoch = updates = 0
    while epoch < log.current:
        told = tell(log, epoch, whom)
        assert (told.routes, told.withdrawn) == (0, 0)
        epoch, updates = told.to_epoch, updates + 1

    assert updates == (4 if together else 6), "an epoch takes a look, too"


def test_what_may_not_be_told_is_withdrawn_and_what_is_filtered_is_not_mentioned() -> None:
    log = ForwardingLog(OWN)
    log.put("test.red", route("test.red"))
    log.put("test.blue", route("test.blue", CAROL))

    towards_bob = RouteUpdate.decode(tell(log, 0, listener(not_over=BOB)).octets)
    assert towards_bob.withdrawn == ("test.red",)
    assert [each.prefix for each in towards_bob.new_routes] == ["test.blue"]
    filtered = RouteUpdate.decode(tell(log, 0, listener(only_under=("test.red",))).octets)
    assert filtered.withdrawn == ()
    assert [each.prefix for each in filtered.new_routes] == ["test.red"]
    changed = tell(log, 0, listener(only_under=("test.red",), anew=True))
    assert RouteUpdate.decode(changed.octets).withdrawn == ("test.blue",)


def test_a_withdrawal_is_forgotten_once_all_have_heard_it() -> None:
    log = ForwardingLog(OWN)
    put_singly(log, 3)
    log.put("test.n1", None)
    heard_by_all = log.current
    log.seal()
    log.put("test.n2", None)

    log.heard(heard_by_all)

    assert log.entries == 2, "n1 is forgotten, n2 is not"
    assert log.floor == heard_by_all
    assert tell(log, heard_by_all).withdrawn == 1


@pytest.mark.parametrize("length", [1, 900])
def test_withdrawals_that_nobody_hears_are_bounded_by_what_they_take(length: int) -> None:
    room = 500 * (WITHDRAWN_OCTETS + len("test.nnnnn") + length)
    log = ForwardingLog(OWN, withdrawn_octets_max=room)
    for number in range(1_000):
        prefix = f"test.n{number:04}{'x' * length}"
        log.put(prefix, route(prefix))
        log.put(prefix, None)

    assert 0 < log.entries <= 500
    assert 0 < log.floor < log.current


@pytest.mark.parametrize("length", [10, 200, 1_000])
def test_an_update_fits_in_a_packet_whatever_the_paths_and_our_own_name(length: int) -> None:
    log = ForwardingLog(address("test." + "u" * (length)))
    path = ["test." + "h" * min(length, 900)] * 4
    for number in range(500):
        log.put(f"test.n{number}", route(f"test.n{number}", BOB, *path))

    epoch = routes = 0
    while epoch < log.current:
        told = tell(log, epoch)
        assert len(told.octets) <= 32_767
        assert told.to_epoch > epoch, "it goes on"
        epoch, routes = told.to_epoch, routes + told.routes

    assert routes == 500


changes = st.lists(
    st.tuples(
        st.sampled_from([f"test.n{n}" for n in range(8)]),
        st.sampled_from([None, BOB, CAROL]),
        st.sampled_from(["", "test.hop"]),
        st.booleans(),
    ),
    max_size=60,
)


@given(changes, st.data())
def test_whoever_hears_every_update_has_the_table_that_is_told_to_him(
    made: list[tuple[str, AccountId | None, str, bool]], data: st.DataObject
) -> None:
    """However the changes fall, and whenever the peer is told: split horizon included."""
    log = ForwardingLog(OWN)
    whom = listener(not_over=CAROL)
    table: dict[str, tuple[str, ...]] = {}
    epoch = 0
    for prefix, next_hop, hop, tell_now in made:
        path = (hop,) if hop else ()
        log.put(prefix, None if next_hop is None else route(prefix, next_hop, *path))
        if tell_now:
            told = tell(log, epoch, whom)
            apply(told.octets, table)
            epoch = told.to_epoch
            if data.draw(st.booleans()):
                log.heard(epoch)
    while epoch < log.current:
        told = tell(log, epoch, whom)
        apply(told.octets, table)
        epoch = told.to_epoch

    assert table == {
        each.prefix: (OWN, *each.path) for each in log.routes() if each.next_hop != CAROL
    }
    assert log.count(lambda next_hop: next_hop != CAROL) == len(table)
