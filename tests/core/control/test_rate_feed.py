"""The rate feed from the operator's door to the packet: sources, ages, jumps, spreads, and what is written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, final

import pytest

from core.control.rate_feed_views import price_view
from core.control.rates_views import RateFeedView, RateSourceDetails
from core.errors import Conflict, NotFound, RateSourceError, SettingError, SettingErrors
from core.packet import Fulfill, Reject, Reply
from core.rates.feed import rounded
from core.rates.feeder import RateFeeder
from core.rates.records import HoldState, Price, RateSource, SourceKind
from core.service import IncomingRequest
from core.testing.builders import prepare
from tests.core.control.bench import Bench, make_bench

EUR_USD = RateSourceDetails(name="bank", kind="json", url="https://bank.example/rates")


@final
class Answers:
    """What sources answer, by name; a text is why one does not."""

    def __init__(self) -> None:
        self.said: dict[str, Mapping[str, Any] | str] = {}
        self.asked: list[str] = []
        self.holds = asyncio.Event()
        self.holds.set()

    async def fetch(self, source: RateSource) -> bytes:
        self.asked.append(source.name)
        await self.holds.wait()
        said = self.said.get(source.name, "nobody answers")
        if isinstance(said, str):
            raise RateSourceError(said)
        return json.dumps(said).encode()


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def bench(answers: Answers) -> Bench:
    """A node with alice in USD and bob in EUR, which asks its sources itself."""
    made = await make_bench(fetch_rates=answers)
    made.node.lease = (await made.stores.leases.nodes())[0]
    await made.node.elect()
    await made.add("alice", asset_code="USD", asset_scale=2)
    await made.add("bob", asset_code="EUR", asset_scale=2)
    return made


async def pass_time(bench: Bench, seconds: int) -> None:
    """Let so much time pass, as the node's own tasks would."""
    for _ in range(seconds // 5):
        bench.clock.advance(seconds=5)
        await bench.node.rate_feeder.poll_now()
    await bench.node.refresh()


async def send(bench: Bench, amount: int = 1_000) -> Reply:
    """Send a packet from alice to bob, another one each time."""
    alice = bench.node.directory.by_username("alice")
    assert alice is not None
    number = (
        len(bench.link.fake.requests).to_bytes(2, "big") + str(bench.clock.now_ms()).encode()
    )
    packet = prepare(amount, now_ms=bench.clock.now_ms(), data=number)
    return await bench.node.incoming.handle(IncomingRequest(alice, packet))


async def price(bench: Bench, code: str = "EUR") -> str:
    (found,) = [one for one in (await bench.control.rate_feed()).prices if one.code == code]
    return found.price


async def test_a_source_that_is_added_is_asked_at_once_and_its_prices_convert_packets(
    bench: Bench, answers: Answers
) -> None:
    answers.said["bank"] = {"base": "USD", "EUR": 1.25}

    view = await bench.control.add_rate_source(EUR_USD)

    (source,) = view.sources
    assert (source.works, source.prices_count) == (True, 1)
    assert source.sentence == "It answered 0 s ago, with 1 price."
    assert [(one.code, one.price, one.stale) for one in view.prices] == [
        ("EUR", "1.25", False),
        ("USD", "1", False),
    ]
    assert view.problems == ()
    assert isinstance(await send(bench, 1_000), Fulfill)
    assert bench.link.fake.requests[-1].prepare.amount == 800


async def test_that_the_reference_has_no_price_of_its_own_is_said_and_not_guessed(
    bench: Bench,
) -> None:
    await bench.control.set_rates({"EUR": Decimal("1.07")})

    (problem,) = (await bench.control.rate_feed()).problems

    assert problem == (
        "There is no price of USD, in which an account counts: "
        "all prices are counted in it, so set it to 1, or add a source."
    )


async def test_each_packet_names_the_prices_by_which_it_was_converted(
    bench: Bench, answers: Answers
) -> None:
    answers.said["bank"] = {"EUR": 1.25}
    first = await bench.control.add_rate_source(EUR_USD)
    await send(bench, 1_000)
    answers.said["bank"] = {"EUR": 1.3}
    await bench.control.set_spread(Fraction(1, 100))
    await pass_time(bench, 60)
    second = await bench.control.rate_feed()
    await send(bench, 1_000)

    assert first.rate_id != second.rate_id
    sent = [request.conversion for request in bench.link.fake.requests]
    assert [None if one is None else one.rate_id for one in sent] == [
        first.rate_id,
        second.rate_id,
    ]
    packets = await bench.control.packets(after_sequence=0)
    rates = [await bench.control.rate_of_transfer(packet.transfer or 0) for packet in packets]
    assert [one.rate_id for one in rates] == [first.rate_id, second.rate_id]
    assert [one.rate for one in rates] == [Fraction(4, 5), Fraction(10, 13)]
    snapshot = rates[0].snapshot
    assert snapshot is not None
    assert {one.code: one.price for one in snapshot.prices} == {"EUR": "1.25", "USD": "1"}
    assert [one.sentence for one in rates] == [
        f"It was converted at 4/5 smallest units for one, by the prices {first.rate_id}.",
        f"It was converted at 10/13 smallest units for one, less a spread of 0.01, by the prices {second.rate_id}.",
    ]
    with pytest.raises(NotFound, match="no row of its own"):
        await bench.control.rate_of_transfer(5)


@pytest.mark.logs_warning
async def test_a_stale_rate_forwards_nothing_and_says_how_old_and_what_to_do(
    bench: Bench, answers: Answers
) -> None:
    answers.said["bank"] = {"EUR": 1.25}
    await bench.control.add_rate_source(EUR_USD)
    answers.said["bank"] = "the door is shut"

    await pass_time(bench, 595)
    assert isinstance(await send(bench), Fulfill)
    await pass_time(bench, 5)
    refused = await send(bench)
    said = await bench.control.explain("test.node.bob", amount=1_000, from_username="alice")

    assert isinstance(refused, Reject)
    assert refused.code == b"T00"
    assert refused.message == (
        "This node's rate of EUR is 10 min old, and at most 10 min are allowed: its source has to "
        "answer again, or this node's operator to set a price."
    )
    assert said.steps[-1].reject == refused
    view = await bench.control.rate_feed()
    assert view.prices[0].stale
    assert "Packets that need it are rejected" in view.problems[0]
    assert "The door is shut. It failed " in view.sources[0].sentence
    assert len(answers.asked) >= 4  # at least three times before it was too old

    answers.said["bank"] = {"EUR": 1.26}
    await pass_time(bench, 240)
    assert isinstance(await send(bench), Fulfill)


@pytest.mark.logs_warning
async def test_a_jump_is_held_and_the_operator_decides(
    bench: Bench, answers: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    answers.said["bank"] = {"EUR": 1.25}
    await bench.control.add_rate_source(EUR_USD)
    await bench.control.set_rate_guard(jump_limit=Fraction(1, 10), jump_samples=0)
    answers.said["bank"] = {"EUR": 20}
    await pass_time(bench, 300)

    view = await bench.control.rate_feed()
    (held,) = view.held
    assert (held.code, held.from_price, held.to_price) == ("EUR", "1.25", "20")
    assert held.change == 15
    assert "EUR went up by 1500.0% at once, from 1.25 to 20" in held.sentence
    assert held.sentence in view.problems
    assert "is held at 1.25: its sources say 20 now" in caplog.text
    assert await price(bench) == "1.25"
    await send(bench, 1_000)
    assert bench.link.fake.requests[-1].prepare.amount == 800

    refused = await bench.control.refuse_rate_jump("eur")
    assert refused.held[0].state is HoldState.REFUSED
    assert await price(bench) == "1.25"
    confirmed = await bench.control.confirm_rate_jump("EUR")
    assert confirmed.held == ()
    assert await price(bench) == "20"
    with pytest.raises(NotFound, match="no jump of EUR is held"):
        await bench.control.confirm_rate_jump("EUR")


async def test_the_operator_s_price_wins_over_the_sources_and_does_not_age(
    bench: Bench, answers: Answers
) -> None:
    answers.said["bank"] = {"EUR": 1.25}
    await bench.control.add_rate_source(EUR_USD)

    await bench.control.set_rates({"EUR": Decimal(2)})
    await pass_time(bench, 900)

    (eur, _usd) = (await bench.control.rate_feed()).prices
    assert (eur.price, eur.by_operator, eur.stale) == ("2", True, False)
    assert eur.sentence == "One EUR costs 2 USD: you set it so, and it does not age."
    await bench.control.set_rates({})
    await pass_time(bench, 5)
    assert await price(bench) == "1.25"


async def test_a_removed_source_takes_its_prices_along(bench: Bench, answers: Answers) -> None:
    answers.said["bank"] = {"EUR": 1.25}
    await bench.control.add_rate_source(EUR_USD)

    view = await bench.control.remove_rate_source("Bank")

    assert (view.sources, view.prices) == ([], [])
    refused = await send(bench)
    assert isinstance(refused, Reject)
    assert "no exchange rate from USD to EUR" in refused.message
    with pytest.raises(NotFound):
        await bench.control.remove_rate_source("bank")


async def test_a_test_puts_nothing_into_force_and_says_what_came(
    bench: Bench, answers: Answers
) -> None:
    answers.said["bank"] = {"EUR": 1.25, "XRP": -1}

    good = await bench.control.test_rate_source(EUR_USD)
    bad = await bench.control.test_rate_source(replace(EUR_USD, name="gone"))

    assert (good.worked, good.prices) == (True, {"EUR": "1.25", "USD": "1"})
    assert good.sentence == "bank has 1 price in USD, 0 s old."
    assert good.problems == ("XRP is -1, and a price is above zero.",)
    assert (bad.worked, bad.sentence) == (False, "gone cannot be used: nobody answers.")
    assert (await bench.control.rate_feed()).sources == []


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": "x"}, "name", "2 to 32 characters"),
        ({"kind": "oracle"}, "kind", "it is one of fixed, ecb, coingecko"),
        ({"url": ""}, "url", "needs to know where its JSON is"),
        ({"url": "http://rates.example/"}, "url", "it is not encrypted"),
        ({"url": "https://me:pw@rates.example/"}, "url", "user or password"),
        ({"url": "https://169.254.169.254/"}, "url", "where no peer can be"),
        ({"url": "ftp://rates.example/"}, "url", "it needs http:// or https://"),
        ({"url": "file://rates.json"}, "url", "a file is named whole"),
        ({"kind": "coincap", "url": "file:///x"}, "url", "has no file"),
        ({"kind": "fixed", "prices": {"EUR": "1"}}, "url", "leave it empty"),
        ({"kind": "fixed", "url": ""}, "prices", "needs 1 to"),
        ({"kind": "fixed", "url": "", "prices": {"EUR": "-1"}}, "EUR", "above zero"),
        ({"kind": "fixed", "url": "", "prices": {"EUR": "x"}}, "prices", "above zero"),
        ({"kind": "ecb", "url": "", "base": "USD"}, "base", "a ecb source counts in EUR"),
        ({"kind": "ecb", "url": "", "path": "a.b"}, "path", "only a json source has one"),
        ({"kind": "ecb", "url": "", "inverted": True}, "inverted", "only a json source"),
        ({"kind": "coingecko", "url": "https://x.example/?vs_currency=eur"}, "url", "vs_currency=usd"),
        ({"base": "no code at all"}, "base", "printable characters"),
        ({"assets": {"x": "no code at all"}}, "assets", "printable characters"),
        ({"prices": {"EUR": "1"}}, "prices", "only a fixed source"),
        ({"poll_seconds": 4}, "poll_seconds", "it needs 5 to 86400"),
        ({"poll_seconds": 201}, "poll_seconds", "a third of max_age_seconds, 200"),
        ({"max_age_seconds": 14, "poll_seconds": 5}, "max_age_seconds", "it needs 15 to"),
        ({"api_key": "two words"}, "api_key", "a header cannot carry"),
    ],
)  # fmt: skip
async def test_a_source_that_cannot_be_says_why(
    bench: Bench, changes: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(SettingErrors) as refused:
        await bench.control.add_rate_source(replace(EUR_USD, **changes))

    found = dict(refused.value.faults)
    assert field in found, found
    assert words in found[field]
    assert (await bench.control.rate_feed()).sources == []


@pytest.mark.logs_warning
async def test_sources_have_the_address_and_the_times_of_their_kind(bench: Bench) -> None:
    for kind in ("ecb", "coingecko", "coincap", "cryptocompare"):
        await bench.control.add_rate_source(RateSourceDetails(name=kind, kind=kind))

    found = {one.name: one for one in (await bench.control.rate_feed()).sources}
    assert found["ecb"].url == "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"
    assert (found["ecb"].base, found["ecb"].max_age_seconds) == ("EUR", 6 * 86_400)
    assert found["coingecko"].url.endswith("vs_currency=usd")
    assert found["cryptocompare"].url.endswith("tsym=USD")
    assert (found["coincap"].poll_seconds, found["coincap"].max_age_seconds) == (60, 600)


async def test_a_key_stays_with_its_address_and_is_never_shown(
    bench: Bench, answers: Answers
) -> None:
    answers.said["bank"] = {"EUR": 1}
    view = await bench.control.add_rate_source(replace(EUR_USD, api_key="sesame-open"))
    assert view.sources[0].has_api_key
    assert "sesame" not in repr(view)

    kept = await bench.control.replace_rate_source("bank", replace(EUR_USD, poll_seconds=30))
    assert kept.sources[0].has_api_key
    moved = await bench.control.replace_rate_source(
        "bank", replace(EUR_USD, url="https://other.example/")
    )
    assert not moved.sources[0].has_api_key
    with pytest.raises(SettingError, match="stays so"):
        await bench.control.replace_rate_source("bank", replace(EUR_USD, name="other"))
    with pytest.raises(Conflict, match="already"):
        await bench.control.add_rate_source(EUR_USD)


async def test_spreads_are_the_account_s_or_the_pair_s_or_the_node_s(bench: Bench) -> None:
    await bench.control.add_rate_source(
        RateSourceDetails(name="own", kind="fixed", prices={"EUR": "1"})
    )

    async def delivered() -> int:
        return (
            await bench.control.convert_amount("100", "USD", "EUR", to_username="bob")
        ).delivered

    async def sent() -> int:
        await send(bench, 10_000)
        return bench.link.fake.requests[-1].prepare.amount

    await bench.control.set_spread(Fraction(1, 100))
    assert (await delivered(), await sent()) == (9_900, 9_900)
    view = await bench.control.set_pair_spread("usd", "eur", Fraction(2, 100))
    assert [(one.source, one.target, one.spread) for one in view.pair_spreads] == [
        ("USD", "EUR", Fraction(1, 50))
    ]
    assert (await delivered(), await sent()) == (9_800, 9_800)
    await bench.control.change_account("bob", {"spread": "0.03"})
    assert (await delivered(), await sent()) == (9_700, 9_700)
    await bench.control.change_account("bob", {"spread": "0"})
    assert (await delivered(), await sent()) == (10_000, 10_000)
    await bench.control.change_account("bob", {"spread": None})
    await bench.control.set_pair_spread("USD", "EUR", None)
    assert (await delivered(), await sent()) == (9_900, 9_900)


async def test_the_converter_is_exact_and_says_how(bench: Bench) -> None:
    await bench.control.add_rate_source(
        RateSourceDetails(name="own", kind="fixed", prices={"EUR": "3"})
    )
    await bench.control.set_spread(Fraction(1, 100))

    found = await bench.control.convert_amount("10.00", "usd", "eur")

    assert (found.amount, found.delivered, found.rate) == (1_000, 330, Fraction(1, 3))
    assert found.amount * found.rate == found.delivered + found.spread_amount + found.remainder
    assert found.unit_rate == "0.333333333333333333…"
    assert found.sentence == (
        "10.00 USD would become 3.30 EUR, at 0.333333333333333333… EUR for one USD; "
        "0.03 EUR of it would stay here, a spread of 0.01."
    )
    assert found.age_ms is None
    for amount, words in (
        ("1.001", "USD has 2 decimals here"), ("-1", "a number like 12.40"),
        ("NaN", "a number like 12.40"), ("1e50", "more than a packet"), ("x", "a number like"),
        ("9" * 30, "more than a packet"),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=words):
            await bench.control.convert_amount(amount, "USD", "EUR")
    with pytest.raises(
        SettingError, match="there is no price of BTC: set one by hand, or add a source"
    ):
        await bench.control.convert_amount("1", "USD", "BTC")
    with pytest.raises(SettingError, match="bob counts in EUR"):
        await bench.control.convert_amount("1", "EUR", "USD", to_username="bob")


async def test_settings_of_the_feed_are_checked_and_kept(bench: Bench) -> None:
    view = await bench.control.set_watched_assets(["btc", "xrp", "BTC"])
    assert view.watched == ("BTC", "XRP")
    for limit, samples in (
        (Fraction(0), 3),
        (Fraction(101), 3),
        (None, -1),
        (None, 1),
        (None, 101),
    ):
        with pytest.raises(SettingError):
            await bench.control.set_rate_guard(jump_limit=limit, jump_samples=samples)
    guarded = await bench.control.set_rate_guard(jump_limit=None, jump_samples=5)
    assert (guarded.jump_limit, guarded.jump_samples) == (None, 5)
    assert (await bench.control.set_reference_asset("eur")).reference == "EUR"


async def test_another_reference_asset_changes_prices_and_no_rate(
    bench: Bench, answers: Answers
) -> None:
    answers.said["bank"] = {"EUR": 1.25}
    await bench.control.add_rate_source(EUR_USD)

    view = await bench.control.set_reference_asset("EUR")

    assert {one.code: one.price for one in view.prices} == {"EUR": "1", "USD": "0.8"}
    await send(bench, 1_000)
    assert bench.link.fake.requests[-1].prepare.amount == 800
    with pytest.raises(SettingError, match="the sources have no price of it"):
        await bench.control.set_reference_asset("BTC")


async def test_what_was_in_force_can_be_looked_up(bench: Bench, answers: Answers) -> None:
    ids = []
    for number in (1, 2, 3):
        answers.said["bank"] = {"EUR": 1 + number / 100}
        if number == 1:
            await bench.control.add_rate_source(EUR_USD)
        else:
            await pass_time(bench, 60)
        ids.append((await bench.control.rate_feed()).rate_id)

    found = await bench.control.rate_snapshots(limit=2)

    assert [one.id for one in found] == [ids[2], ids[1]]
    assert [one.id for one in await bench.control.rate_snapshots(before=ids[1])] == [ids[0]]
    assert (await bench.control.rate_snapshot(ids[1] or 0)).prices[0].price == "1.02"
    with pytest.raises(NotFound):
        await bench.control.rate_snapshot(999)


@pytest.mark.logs_warning
async def test_of_two_processes_the_other_asks_nobody_and_goes_on_where_one_ended(
    bench: Bench, answers: Answers
) -> None:
    answers.said["bank"] = {"EUR": 1.25}
    is_ours = False
    other = RateFeeder(
        bench.stores.rate_feed, answers, bench.clock,
        served=lambda: {"EUR", "USD"}, is_ours=lambda: is_ours,
    )  # fmt: skip
    await bench.control.add_rate_source(EUR_USD)
    asked = len(answers.asked)

    bench.clock.advance(seconds=600)
    await other.poll_now()
    assert (len(answers.asked), other.polls_here) == (asked, False)

    is_ours = True
    answers.said["bank"] = {"EUR": 7}
    other.configuration_changed()
    await other.poll_now()
    assert (len(answers.asked), other.polls_here) == (asked + 1, True)
    # What the first had in force guards what the second hears.
    assert await price(bench) == "1.25"
    assert (await bench.stores.rate_feed.load_holds())["EUR"].to_price == 7
    await other.finish()


async def test_a_source_that_hangs_holds_up_neither_the_others_nor_the_operator_s_view(
    bench: Bench, answers: Answers
) -> None:
    await bench.stores.rate_feed.save_source(
        RateSource(name="slow", kind=SourceKind.JSON, url="https://slow.example/")
    )
    answers.said["slow"] = {"EUR": 2}
    answers.holds.clear()
    await bench.node.refresh()

    await bench.node.rate_feeder.tick()
    await asyncio.sleep(0)
    for _ in range(5):
        bench.clock.advance(seconds=1)
        await bench.node.rate_feeder.tick()

    assert answers.asked == ["slow"]
    view: RateFeedView = await bench.control.rate_feed()
    assert view.sources[0].prices_count == 0
    answers.holds.set()
    await bench.node.rate_feeder.poll_now()
    assert await price(bench) == "2"


def test_a_sentence_cuts_a_price_that_goes_on_and_the_price_itself_is_whole() -> None:
    third = rounded(Fraction(1, 3))
    found = price_view("EUR", Price(price=third, sources=("bank",)), "USD", None, 0)

    assert found.sentence == "One EUR costs 0.333333333333… USD, by bank."
    assert found.price == "0." + "3" * 40
