"""Who may speak for what: an account for its own address and all under it, others only with its proof."""

from __future__ import annotations

import pytest

from core.routing.auth import passed_on
from core.routing.ccp import ToldRoute
from core.routing.learned import WORDS_MAX
from tests.core.routing.network import Net, Node, told, way
from tests.core.routing.test_keeper import started

PROOF = b"v" * 32
JUNK = b"m" * 32
OWN_WORD = way("test.victim.shop", "test.victim", auth=PROOF)
HONEST = way("test.victim.shop", "test.honest", "test.victim", auth=passed_on(PROOF))


@pytest.fixture
async def node() -> Node:
    net = Net()
    node = net.node("a")
    await node.add("victim")
    await node.add("honest")
    await node.add("mallory", route_weight=9)
    return node


async def tell(
    node: Node, name: str, *routes: ToldRoute, withdrawn: tuple[str, ...] = ()
) -> None:
    """Let a peer tell what follows what it told before."""
    epoch = node.exchange.peers[node.accounts[name].id].heard.epoch
    await node.hear(
        name,
        told(*routes, speaker=f"test.{name}", start=epoch, end=epoch + 1, withdrawn=withdrawn),
    )


async def lose(node: Node, name: str) -> None:
    """Let the link to a peer be gone."""
    node.gone.add(name)
    node.tick()
    await node.clear()


def doubts(node: Node, name: str, prefix: str = "test.victim.shop") -> str:
    """Say why the way over an account is not used."""
    learned, account_id = node.exchange.learned, node.accounts[name].id
    (found,) = [way for way in learned.ways(prefix) if way.next_hop == account_id]
    return learned.unusable(found)


FORGED = {
    "in its name": way("test.victim.shop", "test.mallory", "test.victim", auth=JUNK),
    "in a name under its own": way(
        "test.victim.shop", "test.mallory", "test.victim.evil", auth=JUNK
    ),
    "as her own": way("test.victim.shop", "test.mallory", auth=JUNK),
    "without a path": way("test.victim.shop", auth=JUNK),
    "as her own, with its very proof": way("test.victim.shop", "test.mallory", auth=PROOF),
    "as her own, with its proof hashed": way(
        "test.victim.shop", "test.mallory", auth=passed_on(PROOF)
    ),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("silent", [False, True], ids=["alive", "silent"])
@pytest.mark.parametrize("said", [False, True], ids=["never told", "told"])
async def test_what_is_under_an_accounts_address_is_its_own(
    node: Node, forged: ToldRoute, silent: bool, said: bool
) -> None:
    await tell(node, "victim", way("test.victim", "test.victim", auth=PROOF))
    if said:
        await tell(node, "victim", OWN_WORD)
    if silent:
        await lose(node, "victim")

    await tell(node, "mallory", forged)

    assert node.next_hop("test.victim.shop.till") == "victim"
    assert doubts(node, "mallory") == (
        "its proof does not follow from what test.victim itself gave: it may be forged"
        if said
        else "only test.victim speaks for what is under its address, and has not told this itself"
    )


async def test_its_very_address_is_not_drawn_away_while_it_is_silent(node: Node) -> None:
    await tell(node, "victim", way("test.victim", "test.victim", auth=PROOF))
    await lose(node, "victim")

    for path in (["test.mallory"], ["test.mallory", "test.victim"], []):
        await tell(node, "mallory", way("test.victim", *path, auth=JUNK))
        assert node.next_hop("test.victim.shop") == "victim"

    proved = way("test.victim", "test.honest", "test.victim", auth=passed_on(PROOF))
    await tell(node, "honest", proved)
    assert node.next_hop("test.victim.shop") == "honest"


async def test_what_others_pass_on_counts_as_soon_and_as_long_as_the_account_tells_it(
    node: Node,
) -> None:
    await tell(node, "honest", HONEST)
    await node.change("honest", route_weight=1)
    assert node.next_hop("test.victim.shop.till") == "victim"
    assert "has not told this itself" in doubts(node, "honest")

    await tell(node, "victim", OWN_WORD)
    assert node.next_hop("test.victim.shop.till") == "honest", "it has weight"

    await tell(node, "victim", withdrawn=("test.victim.shop",))
    assert node.next_hop("test.victim.shop.till") == "victim"


async def test_what_it_told_last_counts_while_it_is_silent_and_what_it_tells_then_again(
    node: Node,
) -> None:
    await tell(node, "victim", OWN_WORD)
    await tell(node, "honest", HONEST)
    assert node.next_hop("test.victim.shop.till") == "victim"

    await lose(node, "victim")
    assert node.next_hop("test.victim.shop.till") == "honest"
    node.gone.clear()
    await node.hear("victim", told(speaker="test.victim", table=b"n" * 16))

    assert node.next_hop("test.victim.shop.till") == "victim", "it does not tell that any more"
    assert not node.exchange.learned.words(node.accounts["victim"].id)


async def test_a_node_that_is_started_anew_holds_others_to_the_word_of_a_silent_account(
    node: Node,
) -> None:
    twin = await started(node.net, node)
    await tell(node, "victim", OWN_WORD, way("test.elsewhere", "test.victim", auth=PROOF))
    await tell(node, "honest", HONEST)
    await node.keeper.save()
    await twin.keeper.look()
    await lose(node, "victim")
    await node.keeper.save()

    await twin.keeper.look()
    await twin.clear()
    again = await started(node.net, node)

    for other in (twin, again):
        assert other.next_hop("test.victim.shop.till") == "honest"
        assert other.next_hop("test.elsewhere") is None
        await tell(other, "mallory", FORGED["in its name"])
        assert other.next_hop("test.victim.shop.till") == "honest"
        heard = other.exchange.peers[node.accounts["victim"].id].heard
        assert (heard.epoch, heard.expires) == (0, None), "all of its table is asked for"


async def test_where_an_account_passes_on_what_is_under_its_address_others_may_be_nearer(
    node: Node,
) -> None:
    """The origin is a third one; whoever is nearer to it has hashed its proof less often."""
    origin = b"o" * 32
    await tell(
        node,
        "victim",
        way(
            "test.victim.kid",
            "test.victim",
            "test.hop",
            "test.kid",
            auth=passed_on(origin, hops=3),
        ),
    )
    for path, hops, taken in (
        (["test.mallory", "test.kid"], 2, True),
        (["test.mallory", "test.kid"], 3, False),
        (["test.mallory", "test.x", "test.y", "test.kid"], 4, True),
        (["test.mallory", "test.x", "test.y", "test.z"], 4, False),
    ):
        await tell(
            node, "mallory", way("test.victim.kid", *path, auth=passed_on(origin, hops=hops))
        )
        assert (node.next_hop("test.victim.kid.x") == "mallory") is taken, path


async def test_an_account_that_gives_no_proof_is_reached_over_itself_alone(node: Node) -> None:
    """As interledger-rs, whose proof is zeros: everybody can hash those."""
    zeros = bytes(32)
    await tell(node, "victim", way("test.victim.shop", auth=zeros))

    await tell(
        node,
        "mallory",
        way("test.victim.shop", "test.mallory", "test.victim", auth=passed_on(zeros)),
    )

    assert node.next_hop("test.victim.shop.till") == "victim"
    assert "gives no proof" in doubts(node, "mallory")


async def test_what_comes_from_an_account_and_is_not_under_its_address_may_not_be_forged(
    node: Node,
) -> None:
    await tell(node, "mallory", way("test.far", "test.mallory", "test.victim", auth=JUNK))
    assert node.next_hop("test.far.x") == "mallory", "it may not tell us what it tells others"

    await tell(node, "victim", way("test.far", "test.victim", auth=PROOF))

    assert node.next_hop("test.far.x") == "victim"
    assert "it may be forged" in doubts(node, "mallory", "test.far")
    await tell(
        node,
        "mallory",
        way("test.far", "test.mallory", "test.victim", auth=passed_on(PROOF)),
    )
    assert node.next_hop("test.far.x") == "mallory", "it follows, and has weight"


@pytest.mark.parametrize(
    ("speaker", "whose"),
    [
        ("test.victim", "another account here"),
        ("test.victim.evil", "which is under test.victim, another account here"),
        ("test.a.evil", "which is under this node's own address"),
        ("test.a", "leads through this node itself"),
    ],
)
async def test_nobody_speaks_in_the_name_of_another_account_or_of_one_under_it(
    node: Node, speaker: str, whose: str
) -> None:
    await node.hear("mallory", told(way("test.x", speaker), way("test.y"), speaker=speaker))

    assert "test.x" not in node.exchange.learned.best
    heard = node.exchange.peers[node.accounts["mallory"].id].heard
    assert whose in heard.problem or "in the name of" in heard.problem
    await node.hear("mallory", told(way("test.x", speaker), speaker=speaker, table=b"n" * 16))
    assert whose in heard.problem


async def test_an_account_under_anothers_address_speaks_for_itself(node: Node) -> None:
    await node.add("kid", ilp_address="test.victim.kid")

    await node.hear(
        "kid", told(way("test.victim.kid.toys", "test.victim.kid"), speaker="test.victim.kid")
    )
    await tell(node, "victim", way("test.victim.kid.toys", "test.victim", auth=PROOF))

    assert node.next_hop("test.victim.kid.toys.x") == "kid"
    assert "only test.victim.kid speaks" in doubts(node, "victim", "test.victim.kid.toys")


async def test_an_account_that_is_added_moved_or_removed_takes_its_word_with_it(
    node: Node,
) -> None:
    await tell(node, "mallory", way("test.new.x", "test.mallory", auth=JUNK))
    assert node.next_hop("test.new.x") == "mallory"

    await node.add("new")
    assert node.next_hop("test.new.x") == "new"
    await node.change("new", ilp_address="test.newer")
    assert node.next_hop("test.new.x") == "mallory"
    await node.change("new", ilp_address="test.new")
    assert node.next_hop("test.new.x") == "new"
    await node.remove("new")

    assert node.next_hop("test.new.x") == "mallory"


async def test_what_is_remembered_of_a_silent_account_is_bounded(node: Node) -> None:
    routes = [way(f"test.victim.n{n}", "test.victim", auth=PROOF) for n in range(WORDS_MAX + 9)]
    await tell(node, "victim", *routes)

    await lose(node, "victim")

    assert len(node.exchange.learned.words(node.accounts["victim"].id)) == WORDS_MAX
