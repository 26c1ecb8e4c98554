"""What the practice network's traffic does to its accounts, by its numbers: nothing is started."""

from __future__ import annotations

import random

import pytest

from core.practice.network import (
    CAROLS_PACKET_CENTS,
    CREDIT_CENTS,
    GWEI_SCALE,
    PAID_CENTS,
    PRICES,
    SPREAD,
    THRESHOLD_GWEI,
    USD_SCALE,
    Neighbour,
    traffic_lanes,
)

HOUR_SECONDS = 3_600
CAROL = "test.me.carol"
LANES = traffic_lanes(
    {
        name: Neighbour(name, f"test.{name}", f"http://{name}", "", "", "")
        for name in ("alice", "bob")
    },
    our_url="http://us",
    carol=CAROL,
    token=lambda direction, name: f"{direction}-{name}",
)
FROM_CAROL = [lane for lane in LANES if lane.url == "http://us/accounts/carol/ilp"]
TO_CAROL = [lane for lane in LANES if lane.destination.startswith(CAROL)]


def cents(gwei: int) -> int:
    price = PRICES["ETH"] / PRICES["USD"]
    return int(gwei * int(price) * (1 - SPREAD) * 10**USD_SCALE // 10**GWEI_SCALE)


def owed_at_most(seed: int) -> int:
    """Play an hour, and return how much Carol owed when she owed most, in cents."""
    luck = random.Random(seed)
    moves: list[tuple[float, int]] = []
    for lane in (*FROM_CAROL, *TO_CAROL):
        at = luck.expovariate(lane.packets_per_second)
        while at < HOUR_SECONDS:
            amount = luck.randint(lane.amount_min, lane.amount_max)
            if lane in TO_CAROL:
                moves.append((at, -cents(amount)))
            elif amount <= CAROLS_PACKET_CENTS:
                moves.append((at, amount))
            at += luck.expovariate(lane.packets_per_second)
    owed = most = PAID_CENTS
    for _, amount in sorted(moves):
        owed += amount
        most = max(most, owed)
    return most


@pytest.mark.parametrize("seed", range(20))
def test_in_an_hour_the_traffic_leaves_a_newcomer_half_of_carols_credit(seed: int) -> None:
    assert owed_at_most(seed) < CREDIT_CENTS // 2


def test_debts_grow_until_they_are_settled_and_some_packets_are_too_large() -> None:
    to_bob = sum(
        lane.packets_per_second * (lane.amount_min + lane.amount_max) / 2
        for lane in LANES
        if lane.url == "http://alice/accounts/shop/ilp"
    )

    assert THRESHOLD_GWEI / to_bob < 60, "a settlement a minute, at least"
    assert any(lane.amount_min > CAROLS_PACKET_CENTS for lane in FROM_CAROL)
