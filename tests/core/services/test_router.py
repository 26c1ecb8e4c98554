"""The router: the longest prefix by whole segments, and a sentence where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.account import Account, AccountDirectory
from core.node_address import NodeAddress
from core.packet import Reject, address
from core.routing.table import Route, RouteSource, RoutingTable
from core.service import IncomingRequest, Trace
from core.services.router import RouterService
from core.testing.builders import account, incoming, prepare
from core.testing.services import FakeOutgoing

ADDRESS = NodeAddress(address("test.node"))
NAMES = ("alice", "bob", "bobby", "carol", "parent")


class Setting:
    """A router with accounts of these names and the routes that a test gives."""

    def __init__(self, routes: dict[str, str], **changed: Account) -> None:
        self.accounts = {name: changed.get(name, account(name)) for name in NAMES}
        directory, self.behind = AccountDirectory(), FakeOutgoing()
        directory.replace(list(self.accounts.values()), {})
        table = RoutingTable(
            Route(prefix, account(name).id, RouteSource.STATIC)
            for prefix, name in routes.items()
        )
        self.router = RouterService(self.behind, table, directory, ADDRESS)

    async def hop(self, destination: str, sender: str = "alice") -> str:
        """Return who gets it, or the code and message of the reject."""
        request = incoming(prepare(destination=destination), sender=self.accounts[sender])
        reply = await self.router.handle(request)
        if isinstance(reply, Reject):
            assert self.behind.requests == []
            assert reply.triggered_by == "test.node"
            return f"{reply.code.decode()} {reply.message}"
        return self.behind.requests.pop().to_account.username


@pytest.mark.parametrize(
    ("destination", "hop"),
    [
        ("test.bob", "bob"),
        ("test.bob.x.y", "bob"),
        ("test.bobby", "bobby"),
        ("test.bobby.x", "bobby"),
        ("test.bob.carol", "carol"),
        ("test.bob.carol.x", "carol"),
        ("test.bob.carolina", "bob"),
        ("test.bobb", "parent"),
        ("test.x", "parent"),
    ],
)
async def test_the_longest_prefix_wins_by_whole_segments(destination: str, hop: str) -> None:
    setting = Setting(
        {"test.bob": "bob", "test.bobby": "bobby", "test.bob.carol": "carol", "": "parent"}
    )

    assert await setting.hop(destination) == hop


async def test_no_route_is_f02_and_names_the_destination() -> None:
    assert (
        await Setting({"test.bob": "bob"}).hop("test.bobby.x")
        == "F02 This node has no route to test.bobby.x."
    )


@pytest.mark.parametrize("destination", ["peer.config", "peer.settle", "peer.x", "self.x"])
async def test_what_is_for_one_link_is_never_forwarded_not_even_by_the_default_route(
    destination: str,
) -> None:
    answer = await Setting({"": "bob", "peer": "bob"}).hop(destination)

    assert answer.startswith(f"F02 {destination} is never forwarded")


@pytest.mark.parametrize("destination", ["g.bob", "test1.bob", "private.bob"])
async def test_another_network_is_never_reached_from_here(destination: str) -> None:
    answer = await Setting({"": "bob", destination: "bob"}).hop(destination)

    assert answer.startswith(f"F02 {destination} is in another network")


async def test_a_packet_never_goes_back_to_whom_it_came_from() -> None:
    answer = await Setting({"": "alice"}).hop("test.x", sender="alice")

    assert answer == "F02 test.x would go back to alice, the account it came from."


async def test_our_own_answer_to_an_echo_may_go_back() -> None:
    setting = Setting({"test.node.alice": "alice"})
    request = IncomingRequest(
        account("alice"), prepare(destination="test.node.alice.x"), may_return=True
    )

    await setting.router.handle(request)

    assert setting.behind.requests[0].to_account.username == "alice"


async def test_a_paused_account_receives_nothing() -> None:
    setting = Setting({"test.bob": "bob"}, bob=account("bob", enabled=False))

    assert "bob, who is paused" in await setting.hop("test.bob.x")


async def test_our_own_address_with_nobody_to_receive_is_f02() -> None:
    assert "is this node itself" in await Setting({"test.bob": "bob"}).hop("test.node")


async def test_a_route_to_an_account_that_is_gone_is_f02() -> None:
    setting = Setting({"test.x": "nobody"})

    assert "an account that is gone" in await setting.hop("test.x.y")


async def test_the_trace_learns_next_hop_and_prefix() -> None:
    setting = Setting({"test.bob": "bob"})
    request = incoming(prepare(7, destination="test.bob.x"))
    request.trace = Trace(7)

    await setting.router.handle(request)

    assert (request.trace.to_account, request.trace.prefix) == (account("bob").id, "test.bob")


async def test_explaining_tells_next_hop_prefix_and_how_many_prefixes_cover() -> None:
    setting = Setting({"test.bob": "bob", "": "parent"})

    step, _ = await setting.router.explain(incoming(prepare(destination="test.bob.x")))

    assert step.facts == {
        "destination": "test.bob.x",
        "routes_covering": 2,
        "next_hop": "bob",
        "prefix": "test.bob",
    }
    assert setting.behind.requests == []


SEGMENT = st.text("ab", min_size=1, max_size=2)
PREFIX = st.lists(SEGMENT, max_size=3).map(lambda parts: ".".join(["test", *parts]))


@given(st.sets(PREFIX, max_size=12), st.lists(SEGMENT, min_size=1, max_size=4))
def test_look_up_agrees_with_a_linear_scan(prefixes: set[str], segments: list[str]) -> None:
    destination = ".".join(["test", *segments])
    table = RoutingTable(
        Route(prefix, account("bob").id, RouteSource.STATIC) for prefix in prefixes
    )

    route = table.look_up(destination)

    covering = [p for p in prefixes if destination == p or destination.startswith(p + ".")]
    assert (route.prefix if route else None) == max(covering, key=len, default=None)
    assert [r.prefix for r in table.covering(destination)] == sorted(
        covering, key=len, reverse=True
    )
