"""Routes, explanations and rates at the operator's door."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from core.errors import SettingError, UnknownAccount, UnknownRoute
from core.service import Verdict
from tests.core.control.bench import Bench


async def table(bench: Bench) -> list[tuple[str, str, str]]:
    return [(r.prefix, r.next_hop, r.source) for r in await bench.control.routes()]


async def test_the_table_has_each_account_s_address_and_what_the_operator_set(
    bench: Bench,
) -> None:
    await bench.add("bob")

    await bench.control.set_route("test.far", "BOB")
    await bench.control.set_default_route("bob")

    assert await table(bench) == [
        ("", "bob", "default"),
        ("test.far", "bob", "static"),
        ("test.node.bob", "bob", "account"),
    ]


async def test_all_static_routes_are_replaced_in_one_step_and_the_default_route_stays(
    bench: Bench,
) -> None:
    await bench.add("alice")
    await bench.add("bob")
    await bench.control.set_default_route("bob")
    await bench.control.set_route("test.old", "bob")

    await bench.control.replace_routes({"test.x": "alice", "test.y": "bob"})

    static = [row for row in await table(bench) if row[2] != "account"]
    assert static == [
        ("", "bob", "default"),
        ("test.x", "alice", "static"),
        ("test.y", "bob", "static"),
    ]


async def test_one_bad_line_changes_no_route(bench: Bench) -> None:
    await bench.add("bob")
    await bench.control.set_route("test.old", "bob")
    before = await table(bench)

    with pytest.raises(UnknownAccount):
        await bench.control.replace_routes({"test.x": "bob", "test.y": "nobody"})
    with pytest.raises(SettingError):
        await bench.control.replace_routes({"test.x": "bob", "test..y": "bob"})

    assert await table(bench) == before


@pytest.mark.parametrize(
    ("prefix", "sentence"),
    [
        ("", "the default route is set by itself"),
        ("nowhere.bob", "it starts with 'nowhere'"),
        ("test.", "segment 2 is empty"),
        ("test.böb", "has other characters"),
        ("peer.config", "never forwarded"),
        ("self", "never forwarded"),
        ("g.far", "forwards nothing to another one"),
        ("test.node", "this node's own address"),
    ],
)
async def test_a_prefix_that_cannot_be_says_why(
    bench: Bench, prefix: str, sentence: str
) -> None:
    await bench.add("bob")

    with pytest.raises(SettingError, match=sentence):
        await bench.control.set_route(prefix, "bob")


async def test_a_route_leads_to_an_account_that_is_there(bench: Bench) -> None:
    with pytest.raises(UnknownAccount):
        await bench.control.set_route("test.far", "nobody")
    with pytest.raises(UnknownAccount):
        await bench.control.set_default_route("nobody")


async def test_a_static_route_is_removed_and_then_there_is_none(bench: Bench) -> None:
    await bench.add("bob")
    await bench.control.set_route("test.far", "bob")

    await bench.control.delete_route("test.far")

    assert bench.node.routing_table.look_up("test.far.x") is None
    with pytest.raises(UnknownRoute, match=r"'test\.far'"):
        await bench.control.delete_route("test.far")


async def test_no_default_route_is_what_was_asked_for_even_if_there_was_none(
    bench: Bench,
) -> None:
    await bench.control.set_default_route(None)

    assert await table(bench) == []


async def test_a_table_of_many_routes_is_shown_whole(bench: Bench) -> None:
    await bench.add("bob")
    await bench.control.replace_routes({f"test.r{n}": "bob" for n in range(5_000)})

    assert len(await bench.control.routes()) == 5_001


# --- Explain


async def test_it_says_where_a_packet_goes_and_books_nothing(bench: Bench) -> None:
    await bench.add("alice", min_balance=-1_000)
    await bench.add("bob")
    await bench.control.set_route("test.far", "bob")
    await bench.control.set_default_route("alice")

    answer = await bench.control.explain("test.far.away", amount=250, from_username="Alice")

    assert answer.forwarded
    assert answer.sentence == (
        "2.50 USD from alice would go to bob, who would be given 2.50 USD."
    )
    assert (answer.prefix, answer.next_hop) == ("test.far", "bob")
    assert (answer.incoming_amount, answer.outgoing_amount) == (250, 250)
    assert answer.expires_in_ms is not None
    assert 0 < answer.expires_in_ms < 30_000
    assert [(r.prefix, r.next_hop) for r in answer.alternatives] == [("", "alice")]
    assert answer.steps[-1].verdict is Verdict.SENDS
    assert bench.link.fake.requests == []
    assert await bench.stores.books.balances() == {}
    assert bench.node.recorder.totals().prepares == 0


async def test_it_converts_as_a_packet_would(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob", asset_code="EUR", asset_scale=4)
    await bench.control.set_rates({"USD": Decimal(1), "EUR": Decimal("1.25")})

    answer = await bench.control.explain("test.node.bob", amount=250, from_username="alice")

    assert answer.outgoing_amount == 20_000
    assert str(answer.outgoing_asset) == "EUR@4"


async def test_without_a_sender_one_stands_in_that_is_not_the_next_hop(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob")

    to_alice = await bench.control.explain("test.node.alice.x")
    to_bob = await bench.control.explain("test.node.bob.x")

    assert to_alice.sentence.startswith("0.01 USD from bob")
    assert to_bob.sentence.startswith("0.01 USD from alice")


async def test_the_stand_in_is_one_that_can_send(bench: Bench) -> None:
    await bench.add("aaron", min_balance=0)
    await bench.add("bella", enabled=False)
    await bench.add("carol", min_balance=-100)
    await bench.add("dave")

    answer = await bench.control.explain("test.node.dave", amount=50)

    assert answer.forwarded
    assert answer.sentence.startswith("0.50 USD from carol")


async def test_with_nobody_to_send_it_says_so(bench: Bench) -> None:
    await bench.add("bob")

    answer = await bench.control.explain("test.node.bob")

    assert not answer.forwarded
    assert answer.sentence == (
        "There is no other account that could send it: add one, or resume one."
    )
    assert answer.prefix == "test.node.bob"


async def test_a_packet_that_would_be_rejected_says_the_code_and_why(bench: Bench) -> None:
    await bench.add("alice", min_balance=-100)
    await bench.add("bob")

    too_much = await bench.control.explain("test.node.bob", amount=101, from_username="alice")
    nowhere = await bench.control.explain("test.elsewhere", from_username="alice")

    assert not too_much.forwarded
    assert "would be rejected with T04" in too_much.sentence
    assert "would be rejected with F02: This node has no route" in nowhere.sentence
    assert nowhere.prefix is None
    assert nowhere.expires_in_ms is None


@pytest.mark.parametrize(
    ("destination", "options", "sentence"),
    [
        ("nowhere", {}, "destination: 'nowhere' is no ILP address"),
        ("test.bob", {"amount": -1}, "amount: -1 was found"),
        ("test.bob", {"amount": 2**64}, "amount:"),
        ("test.bob", {"expires_in_ms": 0}, "expires_in_ms: 0 was found"),
    ],
)
async def test_what_is_no_packet_is_refused(
    bench: Bench, destination: str, options: dict[str, int], sentence: str
) -> None:
    with pytest.raises(SettingError, match=sentence):
        await bench.control.explain(destination, **options)  # type: ignore[arg-type]


async def test_an_unknown_sender_is_refused(bench: Bench) -> None:
    with pytest.raises(UnknownAccount):
        await bench.control.explain("test.bob", from_username="nobody")


# --- Rates


async def test_prices_are_exact_and_in_force_at_once(bench: Bench) -> None:
    view = await bench.control.set_rates(
        {"usd": Decimal("1.000"), "EUR": Decimal("1.0700000000000000000000001")}
    )

    assert view.prices == {"EUR": "1.0700000000000000000000001", "USD": "1"}
    assert bench.node.rate_table.prices["EUR"] == Decimal("1.0700000000000000000000001")
    assert await bench.control.rates() == view


@pytest.mark.parametrize(
    ("prices", "sentence"),
    [
        ({"USD": Decimal(0)}, "USD: it has the price 0; it needs a number above zero"),
        ({"USD": Decimal(-1)}, "above zero"),
        ({"USD": Decimal("NaN")}, "above zero"),
        ({"USD": Decimal("Infinity")}, "above zero"),
        ({"USD": Decimal("1e31")}, "beyond"),
        ({"USD": Decimal("1e-31")}, "beyond"),
        ({"USD": Decimal("1." + "1" * 40)}, "more than 40 digits"),
        ({"usd": Decimal(1), "USD": Decimal(2)}, "it stands there twice"),
        ({"": Decimal(1)}, "asset_code"),
    ],
)
async def test_a_price_that_cannot_be_changes_nothing(
    bench: Bench, prices: dict[str, Decimal], sentence: str
) -> None:
    before = await bench.control.set_rates({"XRP": Decimal(2)})

    with pytest.raises(SettingError, match=sentence):
        await bench.control.set_rates(prices)

    assert await bench.control.rates() == before


async def test_the_spread_is_a_share_below_one(bench: Bench) -> None:
    view = await bench.control.set_spread(Fraction(1, 100))

    assert view.spread == bench.node.rate_table.spread == Fraction(1, 100)
    for spread in (Fraction(1), Fraction(-1, 100), Fraction(1, 10**19)):
        with pytest.raises(SettingError, match="spread"):
            await bench.control.set_spread(spread)
