"""In any network, whatever dies and comes back: packets arrive wherever there is a way, and go in no circle."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings, strategies as st

from core.packet import address
from tests.core.routing.network import CHILD, Net

NAMES = ("aa", "bb", "cc", "dd", "ee")
LINKS = [(one, two) for at, one in enumerate(NAMES) for two in NAMES[at + 1 :]]
LONG_ENOUGH = 4 * 45.0
"""Four hold-downs: what a dead node told is forgotten a hop a hold-down at the slowest, and here are five."""


async def network(links: Sequence[tuple[str, str]]) -> Net:
    net = Net()
    for name in NAMES:
        net.node(name)
    for one, two in links:
        await net.connect(one, two)
    for name in NAMES:
        # Beside its own address, which its neighbours have an account for, what nobody has.
        shop = address(f"test.shop-{name}")
        await net.nodes[name].add(f"shop-{name}", CHILD, ilp_address=shop)
    return net


def walk(net: Net, start: str, destination: str) -> str:
    """Follow the next hops; return where that ends, or why it does not."""
    at = start
    for _ in NAMES:
        hop = net.nodes[at].next_hop(f"test.shop-{destination}.till")
        if hop is None:
            return "nowhere"
        if hop == f"shop-{destination}":
            return "arrived"
        if net.nodes[hop].is_dead:
            return f"dead {hop}"
        at = hop
    return "in a circle"


def reachable(net: Net, links: Sequence[tuple[str, str]], start: str) -> set[str]:
    alive = {name for name in NAMES if not net.nodes[name].is_dead}
    found, new = {start}, {start}
    while new:
        new = {
            b
            for one, two in links
            for a, b in ((one, two), (two, one))
            if a in new and b in alive
        } - found
        found |= new
    return found


def check(net: Net, links: Sequence[tuple[str, str]]) -> None:
    for start in NAMES:
        if net.nodes[start].is_dead:
            continue
        there = reachable(net, links, start)
        ends: Mapping[str, str] = {name: walk(net, start, name) for name in NAMES}
        expected = {name: "arrived" if name in there else "nowhere" for name in NAMES}
        assert ends == expected, f"from {start}, with {links}"


@pytest.mark.timeout(300)
@given(
    links=st.lists(st.sampled_from(LINKS), unique=True, min_size=3),
    dying=st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=2),
)
@settings(max_examples=12, deadline=None)
def test_packets_arrive_before_and_after_nodes_die_and_when_they_are_back(
    links: list[tuple[str, str]], dying: list[str]
) -> None:
    async def story() -> None:
        net = await network(links)
        await net.run(6)
        check(net, links)

        for name in dying:
            net.nodes[name].is_dead = True
        await net.run(LONG_ENOUGH)
        check(net, links)

        for name in dying:
            net.nodes[name].is_dead = False
        await net.run(70)
        check(net, links)

    asyncio.run(story())
