"""Which node processes share a store, on every backend."""

from __future__ import annotations

import os

import pytest

from core.errors import NodeFenced
from core.ledger.lease import LEASE_SECONDS, RENEW_SECONDS
from core.stores import Stores
from core.testing.clock import FakeClock
from tests.core.stores.people import ALICE, BOB, NOBODY, add_alice_and_bob


async def test_a_node_signs_on_with_a_number_of_its_own(
    stores: Stores, clock: FakeClock
) -> None:
    lease = await stores.leases.sign_on("box")

    assert lease.number > 0
    assert (lease.name, lease.pid) == ("box", os.getpid())
    assert lease.started_at_ms == lease.renewed_at_ms == clock.now_ms()
    assert lease.ended_at_ms is None
    assert await stores.leases.nodes() == (lease,)


async def test_a_number_is_never_given_twice(stores: Stores) -> None:
    first = await stores.leases.sign_on("box")
    await stores.leases.sign_off()

    second = await stores.leases.sign_on("box")

    assert second.number > first.number


async def test_nobody_is_there_before_signing_on_and_after_signing_off(stores: Stores) -> None:
    assert await stores.leases.nodes() == ()

    await stores.leases.sign_on("box")
    await stores.leases.sign_off()

    assert await stores.leases.nodes() == ()
    await stores.leases.sign_off()


async def test_a_node_that_renews_stays_alive(stores: Stores, clock: FakeClock) -> None:
    lease = await stores.leases.sign_on("box")

    for _ in range(LEASE_SECONDS // RENEW_SECONDS + 2):
        clock.advance(seconds=RENEW_SECONDS)
        await stores.leases.renew()

    (node,) = await stores.leases.nodes()
    assert node.number == lease.number
    assert node.renewed_at_ms == clock.now_ms()
    assert node.started_at_ms == lease.started_at_ms


async def test_a_node_that_was_late_but_not_declared_dead_lives_on(
    stores: Stores, clock: FakeClock
) -> None:
    await stores.leases.sign_on("box")
    clock.advance(seconds=10 * LEASE_SECONDS)

    await stores.leases.renew()

    assert len(await stores.leases.nodes()) == 1


async def test_who_has_not_signed_on_cannot_renew(stores: Stores) -> None:
    with pytest.raises(NodeFenced):
        await stores.leases.renew()

    await stores.leases.sign_on("box")
    await stores.leases.sign_off()

    with pytest.raises(NodeFenced):
        await stores.leases.renew()


async def test_who_holds_a_connection_is_seen_the_one_that_has_held_it_longest_first(
    stores: Stores,
) -> None:
    await add_alice_and_bob(stores)
    first = (await stores.leases.sign_on("box")).number
    await stores.leases.hold({ALICE: 5, NOBODY: 5}, ())
    second = (
        await stores.leases.sign_on("box")
    ).number  # the first has died, and was not found yet
    await stores.leases.hold({ALICE: 3, BOB: 9}, ())

    assert await stores.leases.holders() == {ALICE: [second, first], BOB: [second]}

    await stores.leases.hold({ALICE: 7}, [BOB, NOBODY])
    assert await stores.leases.holders() == {ALICE: [first, second]}

    await stores.leases.sign_off()
    assert await stores.leases.holders() == {ALICE: [first]}


async def test_who_has_not_signed_on_holds_nothing(stores: Stores) -> None:
    await add_alice_and_bob(stores)

    with pytest.raises(NodeFenced):
        await stores.leases.hold({ALICE: 1}, ())

    assert await stores.leases.holders() == {}
