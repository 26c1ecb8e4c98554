"""A node from its start to its end: what it sees of the store, its place among others, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from core.account import Account, AccountId, NewTokens, RoutingRelation, Secret
from core.config import NodeConfig
from core.errors import NodeFenced, SettingError, StoreUnavailable
from core.ledger.books import Transfer
from core.ledger.lease import LEASE_SECONDS
from core.node import Node
from core.packet import ErrorCode, Reject, Reply, address
from core.routing.routes import build_routes
from core.routing.table import Route, RouteSource, RoutingTable
from core.service import OutgoingRequest
from core.stores.record import Stores, open_stores
from core.telemetry.history import Resolution
from core.testing.builders import CONDITION, account, fulfill, prepare
from core.testing.chain import Chain, FakeLink
from core.testing.clock import FakeClock

ALICE, BOB, CAROL = account("alice"), account("bob"), account("carol")


class Held:
    """A next hop that answers when the test says."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.release = asyncio.Event()

    async def answer(self, _: OutgoingRequest[Account]) -> Reply:
        self.asked.set()
        await self.release.wait()
        return fulfill()


def hold(chain: Chain) -> Held:
    held = Held()
    chain.link.far_side.answer = held.answer
    return held


# --- What it sees of the store


async def test_what_another_process_changes_is_in_force_after_the_next_look() -> None:
    chain = await Chain.build(ALICE)
    assert isinstance(await chain.handle(prepare()), Reject)

    await chain.stores.accounts.insert_account(BOB, NewTokens())
    await chain.node.refresh_if_changed()

    assert await chain.handle(prepare(data=b"another packet")) == fulfill()


async def test_looking_again_without_a_change_loads_nothing() -> None:
    chain = await Chain.build(ALICE)
    before = chain.node.changes

    await chain.node.refresh_if_changed()
    assert chain.node.changes == before
    await chain.stores.rates.replace_prices({"USD": Decimal(2)})
    await chain.node.refresh_if_changed()

    assert chain.node.changes == before + 1
    assert chain.node.rate_table.prices == {"USD": Decimal(2)}


async def test_an_account_that_has_not_changed_stays_the_same_object() -> None:
    """Links keep connections beside the account that they are for."""
    chain = await Chain.build(ALICE, BOB)
    alice, bob = (chain.node.directory.by_id(one.id) for one in (ALICE, BOB))

    await chain.stores.accounts.update_account(replace(BOB, label="Bob"), NewTokens())
    await chain.node.refresh_if_changed()

    assert chain.node.directory.by_id(ALICE.id) is alice
    assert chain.node.directory.by_id(BOB.id) is not bob


async def test_a_token_of_a_new_account_is_known_after_a_refresh() -> None:
    chain = await Chain.build(ALICE)
    tokens = NewTokens(ilp_over_http_incoming=Secret("bobs-token"))
    await chain.stores.accounts.insert_account(BOB, tokens)

    await chain.node.refresh()

    digest = chain.stores.accounts.hash_token("bobs-token")
    found = chain.node.directory.by_token_hash(digest)
    assert found is not None
    assert found.username == "bob"


async def test_a_change_under_way_is_not_missed() -> None:
    """The versions are read before the rows, so a change in between is seen at the next look."""
    chain = await Chain.build(ALICE)
    load = chain.stores.accounts.load_accounts

    class Interrupted:
        async def load_accounts(self) -> object:
            found = await load()
            await chain.stores.accounts.insert_account(BOB, NewTokens())
            return found

        def __getattr__(self, name: str) -> object:
            return getattr(chain.stores.accounts, name)

    node = chain.node
    node.stores = replace(chain.stores, accounts=cast("Any", Interrupted()))  # type: ignore[misc]
    await node.refresh()
    node.stores = chain.stores  # type: ignore[misc]
    assert node.directory.by_id(BOB.id) is None

    await node.refresh_if_changed()

    assert node.directory.by_id(BOB.id) is not None


def test_a_static_route_wins_over_an_accounts_address_and_that_over_the_default() -> None:
    static = {"test.node.bob": CAROL.id, "": ALICE.id}

    table = RoutingTable(build_routes([ALICE, BOB, CAROL], static))

    def hop(destination: str) -> AccountId | None:
        route = table.look_up(destination)
        return None if route is None else route.next_hop

    assert hop("test.node.bob.x") == CAROL.id
    assert hop("test.node.carol.x") == CAROL.id
    assert hop("test.elsewhere") == ALICE.id


def test_the_rest_goes_to_the_only_parent_unless_there_is_a_default_route() -> None:
    parent = account("parent", routing_relation=RoutingRelation.PARENT)
    other = account("other", routing_relation=RoutingRelation.PARENT)

    assert Route("", parent.id, RouteSource.DEFAULT) in build_routes([ALICE, parent], {})
    assert not [route for route in build_routes([parent, other], {}) if not route.prefix]
    assert [r.next_hop for r in build_routes([parent], {"": ALICE.id}) if not r.prefix] == [
        ALICE.id
    ]


# --- Start


def make_node(stores: Stores, clock: FakeClock, **settings: Any) -> Node:
    config = NodeConfig(store=stores.url, name="test", **settings)
    return Node(stores, clock, config, lambda *_: FakeLink())


async def test_a_node_that_has_not_started_lets_nothing_in() -> None:
    clock = FakeClock()
    node = make_node(await open_stores("memory:", clock), clock)

    assert (node.is_ready, node.problems()) == (False, ("This node is starting.",))
    await node.start()
    assert (node.is_ready, node.problems()) == (True, ())
    await node.stop(0)
    assert not node.is_ready


@pytest.mark.logs_warning
async def test_the_address_that_was_given_is_kept_and_a_new_one_replaces_it() -> None:
    clock = FakeClock()
    stores = await open_stores("memory:", clock)
    addresses = []
    for given in ("test.first", None, "test.second", None):
        node = make_node(stores, clock, ilp_address=None if given is None else address(given))
        await node.start()
        addresses.append(node.address.current)
        await node.stop(0)

    assert addresses == ["test.first", "test.first", "test.second", "test.second"]


async def test_a_store_that_lacks_something_is_refused_with_its_name() -> None:
    class Half:
        async def prepare(self, transfer: object) -> None: ...

    stores = replace(await open_stores("memory:", FakeClock()), books=cast("Any", Half()))

    with pytest.raises(SettingError, match=r"memory: lacks books\.abandon.*books\.fulfill"):
        await make_node(stores, FakeClock()).start()


# --- Stop


async def test_a_stopping_node_answers_what_is_in_flight_and_refuses_what_comes() -> None:
    chain = await Chain.build(ALICE, BOB)
    held = hold(chain)

    async with asyncio.TaskGroup() as tasks:
        under_way = tasks.create_task(chain.handle(prepare()))
        await held.asked.wait()
        stopping = tasks.create_task(chain.node.stop(30))
        await asyncio.sleep(0)
        refused = await chain.handle(prepare())
        assert not stopping.done()
        held.release.set()

    assert under_way.result() == fulfill()
    assert isinstance(refused, Reject)
    assert (refused.code, refused.message) == (b"T00", "This node is stopping.")
    assert chain.link.closed
    assert await chain.stores.leases.nodes() == ()


@pytest.mark.parametrize("answered", [True, False])
async def test_a_node_with_an_open_leg_ends_without_signing_off(*, answered: bool) -> None:
    """So that recovery finds it: whether the next hop fulfilled is not known."""
    chain = await Chain.build(ALICE, BOB)
    late = Reject.build(ErrorCode.TRANSFER_TIMED_OUT, triggered_by="test.node", message="late")

    def times_out(request: OutgoingRequest[Account]) -> Reply:
        request.left_open = True
        return late

    chain.link.far_side.answer = times_out
    assert await chain.handle(prepare()) == late
    if answered:
        (request,) = chain.link.far_side.requests
        assert request.on_late_reply is not None
        request.on_late_reply(
            Reject.build(ErrorCode.UNREACHABLE, triggered_by="test.bob", message="no")
        )

    await chain.node.stop(0)

    assert len(await chain.stores.leases.nodes()) == (0 if answered else 1)


@pytest.mark.logs_warning
async def test_what_a_node_says_at_its_start_is_what_the_audit_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also of packets that the one before it had left undecided before it ended."""
    caplog.set_level(logging.INFO)
    clock = FakeClock()
    url = f"sqlite:///{tmp_path}/node/signalbox.db"
    config = NodeConfig(store=url, ilp_address=address("test.node"))
    before = await open_stores(url, clock)
    for one in (ALICE, BOB):
        await before.accounts.insert_account(one, NewTokens())
    await before.leases.sign_on("before")
    transfer = Transfer(
        from_account=ALICE.id,
        to_account=BOB.id,
        incoming_amount=7,
        outgoing_amount=7,
        conversion=None,
        destination="test.node.bob",
        condition=CONDITION,
        expires_at_ms=clock.now_ms() + 1_000,
    )
    for number in range(3):
        pending = await before.books.prepare(transfer)
        if number:
            await before.books.expire(pending)
            await before.books.strand(pending)
    await before.close()  # without signing off

    stores = await open_stores(url, clock)
    node = Node(stores, clock, config, lambda *_: FakeLink())
    await node.start()
    try:
        assert (await stores.books.audit()).unknown == 3
    finally:
        await node.stop(0)
        await stores.close()

    assert "with 1 packet under way: the books have 3 undecided packets now" in caplog.text
    assert (
        "node 2 is test.node, with 2 accounts, 2 routes and 3 undecided packets" in caplog.text
    )


# --- Its place among the node processes


@pytest.mark.logs_warning
async def test_a_node_that_was_declared_dead_relays_nothing_and_becomes_a_new_one(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    url = f"sqlite:///{tmp_path}/node/signalbox.db"
    stores, others = await open_stores(url, clock), await open_stores(url, clock)
    for one in (ALICE, BOB):
        await stores.accounts.insert_account(one, NewTokens())
    link, held = FakeLink(), Held()
    link.far_side.answer = held.answer
    config = NodeConfig(store=url, ilp_address=address("test.node"), name="sleeper")
    node = Node(stores, clock, config, lambda *_: link)
    chain = Chain(stores, clock, node, link)
    node.lease = await stores.leases.sign_on("sleeper")
    await node.refresh()
    node.gate.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            packet = prepare(expires_in_ms=3_600_000)
            under_way = tasks.create_task(chain.handle(packet))
            await held.asked.wait()
            # The machine was asleep; another node has settled by rule what this one had pending.
            clock.advance(seconds=LEASE_SECONDS + 1)
            await others.leases.sign_on("other")
            assert (await others.books.recover()).transfers == 1
            held.release.set()

        assert isinstance(under_way.result(), Reject)
        refused = await chain.handle(prepare(expires_in_ms=3_600_000))
        assert isinstance(refused, Reject)
        assert "declared dead" in refused.message

        await node.renew()
        await node.afterwards.finish(5)

        assert node.lease.number == 3
        assert node.is_ready
        assert (await stores.books.balance(BOB.id)).payable == 100
        assert (await stores.books.balance(ALICE.id)).net == 0
        assert (await stores.books.unknown_transfers(limit=10)) == []
        assert (await stores.books.audit()).findings == ()
    finally:
        await stores.close()
        await others.close()


@pytest.mark.logs_warning
async def test_store_trouble_is_a_problem_until_it_is_over() -> None:
    chain = await Chain.build(ALICE)
    troubled = [StoreUnavailable("the disk is full")]

    async def renew() -> None:
        if troubled:
            raise troubled.pop()

    assert not await chain.node._attempt("renew", renew)
    assert "the disk is full" in chain.node.problems()[0]
    assert await chain.node._attempt("renew", renew)
    assert chain.node.problems() == ()


@pytest.mark.logs_warning
async def test_a_fault_of_ours_is_a_problem_that_is_shown_and_ends_nothing() -> None:
    chain = await Chain.build(ALICE)
    faults = [ZeroDivisionError("oh")]

    async def history() -> None:
        if faults:
            raise faults.pop()

    assert not await chain.node._attempt("history", history)
    assert "A fault of this program (history)" in chain.node.problems()[0]
    assert await chain.node._attempt("history", history)
    assert chain.node.problems() == ()


@pytest.mark.logs_warning
async def test_a_fenced_node_is_closed_once_whoever_finds_it_out() -> None:
    chain = await Chain.build(ALICE)

    async def fails() -> None:
        raise NodeFenced("dead")

    await chain.node._attempt("poll", fails)
    chain.node.fence()

    assert not chain.node.is_ready
    await chain.node.renew()
    assert chain.node.is_ready


# --- What is written down


async def test_each_second_of_traffic_is_a_point_of_history_with_the_balance() -> None:
    chain = await Chain.build(ALICE, BOB)
    start_s = chain.clock.now_ms() // 1000
    await chain.handle(prepare(100))
    await chain.handle(prepare(destination="test.nobody"))

    chain.clock.advance(seconds=1)
    await chain.node.upkeep.end_step()

    points = await chain.stores.history.read(
        Resolution.SECOND, from_s=start_s, until_s=start_s + 10, points_max=100
    )
    by_account = {point.account: point for point in points}
    alice, bob = by_account[ALICE.id], by_account[BOB.id]
    assert (alice.prepares, alice.fulfills, alice.rejects) == (2, 1, 1)
    assert (alice.incoming_amount, alice.net, alice.reject_codes) == (100, -100, {"F02": 1})
    assert (bob.outgoing_amount, bob.net, bob.prepares) == (100, 100, 0)


async def test_a_balance_that_moves_without_a_packet_is_a_point_too_and_a_still_one_is_none() -> (
    None
):
    chain = await Chain.build(ALICE)
    start_s = chain.clock.now_ms() // 1000
    await chain.stores.books.correct(ALICE.id, 70, "opening balance")

    for _ in range(3):
        chain.clock.advance(seconds=1)
        await chain.node.upkeep.end_step()

    points = await chain.stores.history.read(
        Resolution.SECOND, from_s=start_s, until_s=start_s + 10, points_max=100
    )
    assert [(point.account, point.net) for point in points] == [(ALICE.id, 70)]


async def test_old_journal_rows_are_folded_and_the_books_still_hold() -> None:
    chain = await Chain.build(ALICE, BOB)
    for number in range(10):
        await chain.handle(prepare(10, data=bytes((number,))))
    chain.clock.advance(seconds=24 * 3600 + 1)

    await chain.node.upkeep.roll_up()

    report = await chain.stores.books.audit()
    assert (report.findings, (await chain.stores.books.balance(BOB.id)).payable) == ((), 100)
