"""The rate feed, on every backend: sources, jumps, and what was in force when."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from sqlite_utils import Database

from core.account import Secret
from core.ledger.books import TransferId
from core.rates.records import (
    FeedSettings,
    HeldJump,
    HoldState,
    Price,
    RateId,
    RateSource,
    SourceKind,
    SourceStatus,
)
from core.rates.store import ALL_KEPT_MS, HOURLY_KEPT_MS, ConvertedBy
from core.service import Conversion
from core.stores import Stores
from core.stores.sqlite.migrations import STEPS
from core.testing.builders import FULFILLMENT
from core.testing.clock import START_MS, FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import BOB, add_alice_and_bob, transfer

BANK = RateSource(
    name="bank",
    kind=SourceKind.JSON,
    url="https://rates.example/v1",
    base="EUR",
    assets={"dollar": "USD"},
    path="data.rates",
    inverted=True,
    prices={"XRP": Decimal("0.50")},
    poll_seconds=30,
    max_age_seconds=120,
    enabled=False,
    api_key=Secret("hunter2-hunter2"),
)
HOUR_MS = 3_600_000


def said(**prices: str) -> Mapping[str, Price]:
    return {
        code: Price(price=Decimal(price), at_ms=START_MS, max_age_ms=60_000, sources=("bank",))
        for code, price in prices.items()
    }


async def test_a_source_comes_back_as_it_went_in_and_is_replaced_by_name(
    stores: Stores,
) -> None:
    feed = stores.rate_feed
    before = (await stores.settings.versions())["rate_feed"]

    await feed.save_source(BANK)
    assert list(await feed.load_sources()) == [BANK]
    assert (await stores.settings.versions())["rate_feed"] > before

    changed = replace(BANK, url="https://other.example/", api_key=None)
    await feed.save_source(changed)
    await feed.save_source(replace(BANK, name="an older one"))
    assert [source.name for source in await feed.load_sources()] == ["an older one", "bank"]
    assert (await feed.load_sources())[1] == changed

    assert await feed.delete_source("bank")
    assert not await feed.delete_source("bank")
    assert [source.name for source in await feed.load_sources()] == ["an older one"]


async def test_how_a_source_does_is_kept_as_long_as_the_source(stores: Stores) -> None:
    feed = stores.rate_feed
    status = SourceStatus(
        tried_at_ms=1, answered_at_ms=2, data_at_ms=3, prices=4, failures=5, problem="six", next_at_ms=7
    )  # fmt: skip
    await feed.save_source(BANK)
    assert await feed.load_statuses() == {"bank": SourceStatus()}

    await feed.save_status("bank", status)
    await feed.save_status("nobody", status)

    assert await feed.load_statuses() == {"bank": status}
    await feed.delete_source("bank")
    assert await feed.load_statuses() == {}


async def test_settings_pair_spreads_and_jumps_come_back(stores: Stores) -> None:
    feed = stores.rate_feed
    assert await feed.load_feed_settings() == FeedSettings()
    settings = FeedSettings(
        reference="EUR", jump_limit=None, jump_samples=0, watched=("BTC", "XRP")
    )
    await feed.save_feed_settings(settings)
    assert await feed.load_feed_settings() == settings
    exact = replace(settings, jump_limit=Fraction(1, 3))
    await feed.save_feed_settings(exact)
    assert await feed.load_feed_settings() == exact

    await feed.save_pair_spread("USD", "EUR", Fraction(1, 3))
    await feed.save_pair_spread("EUR", "USD", Fraction(0))
    assert await feed.load_pair_spreads() == {
        ("USD", "EUR"): Fraction(1, 3),
        ("EUR", "USD"): Fraction(0),
    }
    await feed.save_pair_spread("USD", "EUR", None)
    assert await feed.load_pair_spreads() == {("EUR", "USD"): Fraction(0)}

    held = HeldJump(
        code="BTC",
        from_price=Decimal("1.0"),
        to_price=Decimal("10.00"),
        since_ms=START_MS,
        samples=2,
        sources=("a", "b"),
    )
    await feed.replace_holds({"BTC": held})
    assert await feed.load_holds() == {"BTC": held}
    before = (await stores.settings.versions())["rate_feed"]
    decided = replace(held, state=HoldState.CONFIRMED)
    await feed.decide_hold(decided)
    assert await feed.load_holds() == {"BTC": decided}
    assert (await stores.settings.versions())["rate_feed"] > before
    await feed.replace_holds({})
    assert await feed.load_holds() == {}


async def test_each_change_of_a_price_is_in_force_under_a_number_of_its_own(
    stores: Stores,
) -> None:
    feed = stores.rate_feed
    assert await feed.latest_snapshot() is None

    first = await feed.publish(said(EUR="1.07"), "USD", START_MS)
    second = await feed.publish(said(EUR="1.08"), "USD", START_MS + 1)

    assert first.id != second.id
    assert await feed.latest_snapshot() == second
    assert await feed.snapshot(first.id) == first
    assert list(await feed.snapshots(limit=9)) == [second, first]
    assert list(await feed.snapshots(limit=9, before=second.id)) == [first]
    assert list(await feed.snapshots(limit=1)) == [second]
    assert await feed.snapshot(RateId(999)) is None


async def test_a_price_that_stays_renews_its_stamp_and_not_its_number(stores: Stores) -> None:
    feed = stores.rate_feed
    first = await feed.publish(said(EUR="1.07"), "USD", START_MS)
    before = (await stores.settings.versions())["rates"]

    newer = {"EUR": replace(said(EUR="1.070")["EUR"], at_ms=START_MS + 60_000)}
    second = await feed.publish(newer, "USD", START_MS + 60_000)

    assert (second.id, second.at_ms) == (first.id, first.at_ms)
    assert second.prices["EUR"].at_ms == START_MS + 60_000
    assert await feed.latest_snapshot() == second
    assert (await stores.settings.versions())["rates"] > before


async def test_what_the_operator_sets_wins_over_the_sources_and_is_in_force_at_once(
    stores: Stores,
) -> None:
    feed = stores.rate_feed
    everything = {**said(EUR="1.07", XRP="0.5"), "USD": Price(price=Decimal(1))}
    await feed.publish(everything, "USD", START_MS)

    await stores.rates.replace_prices({"EUR": Decimal("1.2")})
    found = await feed.latest_snapshot()
    assert found is not None
    assert found.prices["EUR"] == Price(price=Decimal("1.2"))
    assert found.prices["XRP"] == everything["XRP"]

    later = await feed.publish(said(EUR="1.09", XRP="0.6"), "USD", START_MS)
    assert later.prices["EUR"] == Price(price=Decimal("1.2"))

    await stores.rates.replace_prices({})
    again = await feed.publish(said(EUR="1.09", XRP="0.6"), "USD", START_MS)
    assert again.prices == said(EUR="1.09", XRP="0.6")


async def test_the_operator_s_prices_in_another_measure_are_brought_to_the_reference(
    stores: Stores,
) -> None:
    await stores.rates.replace_prices({"USD": Decimal(4), "EUR": Decimal(5)})
    alone = await stores.rate_feed.latest_snapshot()
    assert alone is not None
    assert {code: price.price for code, price in alone.prices.items()} == {
        "USD": 4,
        "EUR": 5,
    }

    beside = await stores.rate_feed.publish(said(XRP="0.5"), "USD", START_MS)

    assert {code: price.price for code, price in beside.prices.items()} == {
        "USD": 1,
        "EUR": Decimal("1.25"),
        "XRP": Decimal("0.5"),
    }


async def test_snapshots_are_thinned_with_age_and_the_newest_stays(stores: Stores) -> None:
    feed = stores.rate_feed
    hour = START_MS // HOUR_MS * HOUR_MS
    stamps = [hour, hour + 1, hour + HOUR_MS, hour + HOUR_MS + 1, hour + 2 * HOUR_MS]
    for number, at_ms in enumerate(stamps):
        await feed.publish(said(EUR=f"1.{number + 1}"), "USD", at_ms)

    async def kept(now_ms: int) -> list[int]:
        await feed.prune_snapshots(now_ms, all_kept_ms=ALL_KEPT_MS)
        return [found.at_ms - hour for found in reversed(await feed.snapshots(limit=99))]

    assert await kept(hour + ALL_KEPT_MS) == [at_ms - hour for at_ms in stamps]
    assert await kept(hour + ALL_KEPT_MS + 9 * HOUR_MS) == [0, HOUR_MS, 2 * HOUR_MS]
    assert (
        len(await kept(hour + HOURLY_KEPT_MS + 99 * HOUR_MS)) == 2
    )  # the day's first, and the newest


async def test_a_packet_names_the_prices_that_it_was_converted_by(stores: Stores) -> None:
    await stores.leases.sign_on("test")
    await add_alice_and_bob(stores)
    snapshot = await stores.rate_feed.publish(said(EUR="1.07"), "USD", START_MS)

    def conversion(rate_id: int | None) -> Conversion:
        return Conversion(Fraction(1), Fraction(1, 3), 0, Fraction(0), rate_id)

    ids = [
        await stores.books.prepare(transfer(3, conversion=each))
        for each in (conversion(snapshot.id), conversion(77), conversion(None), None)
    ]

    assert [await stores.rate_feed.converted_by(each) for each in ids] == [
        ConvertedBy(Fraction(1), Fraction(1, 3), snapshot.id),
        ConvertedBy(Fraction(1), Fraction(1, 3), RateId(77)),
        ConvertedBy(Fraction(1), Fraction(1, 3), None),
        ConvertedBy(None, None, None),
    ]
    assert await stores.rate_feed.converted_by(TransferId(5)) is None


async def test_packets_at_one_rate_are_folded_into_one_total_whatever_prices_it_came_from(
    open_file: OpenStores, database: Path, clock: FakeClock
) -> None:
    stores = await open_file()
    await stores.leases.sign_on("test")
    await add_alice_and_bob(stores)
    for rate_id in (None, 1, 2, 2):
        conversion = Conversion(Fraction(1), Fraction(1, 3), 0, Fraction(0), rate_id)
        made = await stores.books.prepare(transfer(3, conversion=conversion))
        await stores.books.fulfill(made, FULFILLMENT)
    clock.advance(seconds=1)

    assert await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=3) == 3
    assert await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=3) == 1

    assert (await stores.books.audit()).findings == ()
    with sqlite3.connect(database) as connection:
        totals = connection.execute("SELECT transfers, incoming_amount FROM folded").fetchall()
    connection.close()
    assert totals == [(4, "12")]
    assert (await stores.books.balance(BOB)).payable == 12


async def test_a_key_is_not_in_the_file_in_clear(open_file: OpenStores, database: Path) -> None:
    stores = await open_file()
    await stores.rate_feed.save_source(BANK)
    await stores.close()

    assert all(
        b"hunter2" not in part.read_bytes()
        for part in database.parent.iterdir()
        if part.is_file()
    )


async def test_prices_and_conversions_of_an_older_file_are_kept(
    open_file: OpenStores, database: Path, clock: FakeClock
) -> None:
    names = [name for name, _ in STEPS]
    database.parent.mkdir(mode=0o700)
    with sqlite3.connect(database) as old:
        for _, step in STEPS[: names.index("m0007_rate_feed")]:
            step(Database(old))
        old.execute("INSERT INTO price VALUES ('EUR', '1.0700')")
        old.execute("INSERT INTO conversion (rate, spread) VALUES ('1/3', '0/1')")
        STEPS[names.index("m0007_rate_feed")][1](Database(old))
        conversions = old.execute("SELECT * FROM conversion").fetchall()
        (prices,) = old.execute("SELECT prices FROM rate_snapshot").fetchone()
    old.close()

    assert conversions == [(1, "1/3", "0/1", 0)]
    assert prices == '{"EUR": ["1.0700", null, null, []]}'


@pytest.mark.parametrize("where", ["price", "stamp"])
async def test_two_processes_see_what_one_of_them_put_into_force(
    open_file: OpenStores, where: str
) -> None:
    one, other = await open_file(), await open_file()
    await one.rate_feed.publish(said(EUR="1.07"), "USD", START_MS)
    before = (await other.settings.versions())["rates"]

    if where == "price":
        await one.rate_feed.publish(said(EUR="1.08"), "USD", START_MS)
    else:
        newer = {"EUR": replace(said(EUR="1.07")["EUR"], at_ms=START_MS + 1)}
        await one.rate_feed.publish(newer, "USD", START_MS)

    assert (await other.settings.versions())["rates"] > before
    assert await other.rate_feed.latest_snapshot() == await one.rate_feed.latest_snapshot()
