"""Each source's own format, read exactly; garbage is named, and never guessed at."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import pytest
from hypothesis import given, strategies as st

from core.errors import RateSourceError
from core.rates.formats import duration, fixed_sample, read_sample
from core.rates.records import RateSource, SourceKind
from tests.core.packet.vectors import load

NOW_MS: Final = int(datetime(2026, 11, 24, 20, tzinfo=UTC).timestamp()) * 1000

ASKED: Final = tuple(kind for kind in SourceKind if kind is not SourceKind.FIXED)
ECB: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
  <gesmes:subject>Reference rates</gesmes:subject>
  <Cube><Cube time='2026-11-24'>
    <Cube currency='USD' rate='1.0712'/><Cube currency='JPY' rate='162.15'/><Cube currency='GBP' rate='0.86'/>
  </Cube><Cube time='2026-11-23'><Cube currency='USD' rate='9'/></Cube></Cube>
</gesmes:Envelope>"""


def source(kind: SourceKind, **changes: Any) -> RateSource:
    base = "EUR" if kind is SourceKind.ECB else "USD"
    age = 6 * 86_400 if kind is SourceKind.ECB else 600
    plain = RateSource(
        name="bank", kind=kind, url="https://x.example/", base=base, max_age_seconds=age
    )
    return replace(plain, **changes)


def octets(document: object) -> bytes:
    return json.dumps(document).encode()


def problem(of: RateSource, answer: bytes) -> str:
    with pytest.raises(RateSourceError) as refused:
        read_sample(of, answer, NOW_MS)
    return str(refused.value)


def test_the_ecb_s_rates_become_prices_in_euro_of_the_day_they_are_of() -> None:
    sample = read_sample(source(SourceKind.ECB), ECB, NOW_MS)

    assert sample.base == "EUR"
    assert sample.prices == {
        "EUR": 1,
        "USD": Fraction(10000, 10712),
        "JPY": Fraction(100, 16215),
        "GBP": Fraction(100, 86),
    }
    assert sample.at_ms == NOW_MS - 8 * 3_600_000


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "no XML"),
        (b"<html>Service unavailable", "no XML"),
        (b"<html/>", "no reference rates"),
        (ECB.replace(b"2026-11-24", b"2026-11-31"), "of the day '2026-11-31', which is none"),
        (ECB.replace(b"2026-11-24", b"2026-11-10"), "14 days old, and 6 days are allowed"),
        (ECB.replace(b"2026-11-24", b"2027-11-24"), "ahead of this node's clock"),
        (b'<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>', "declares a document type"),
    ],
)
def test_xml_that_is_not_the_ecb_s_is_refused(answer: bytes, words: str) -> None:
    assert words in problem(source(SourceKind.ECB), answer)


COINGECKO_LIST: Final = [
    {"id": "bitcoin", "symbol": "btc", "current_price": 91234.5, "last_updated": "2026-11-24T19:59:00.000Z"},
    {"id": "ripple", "symbol": "xrp", "current_price": 0.5, "last_updated": "2026-11-24T19:58:00.000Z"},
    {"id": "fake-bitcoin", "symbol": "btc", "current_price": 1},
]  # fmt: skip


def test_coingecko_s_list_is_read_by_symbol_and_the_largest_of_two_alike_wins() -> None:
    answer = octets(COINGECKO_LIST).replace(b"91234.5", b"91234.56789012345678")

    sample = read_sample(source(SourceKind.COINGECKO), answer, NOW_MS)

    assert sample.prices == {
        "USD": 1,
        "BTC": Fraction("91234.56789012345678"),
        "XRP": Fraction(1, 2),
    }
    assert sample.at_ms == NOW_MS - 120_000


def test_coingecko_s_object_is_read_by_the_names_that_the_operator_gave() -> None:
    answer = octets({
        "bitcoin": {"usd": 91234.5, "eur": 1, "last_updated_at": NOW_MS // 1000 - 60},
        "ripple": {"usd": 0.5},
        "unasked": {"usd": 3},
    })  # fmt: skip

    sample = read_sample(
        source(SourceKind.COINGECKO, assets={"Bitcoin": "BTC", "ripple": "XRP"}), answer, NOW_MS
    )

    assert sample.prices == {"USD": 1, "BTC": Fraction("91234.5"), "XRP": Fraction(1, 2)}
    assert sample.at_ms == NOW_MS - 60_000


def test_coincap_s_assets_and_rates_are_text_and_exact() -> None:
    for name in ("priceUsd", "rateUsd"):
        answer = octets({
            "timestamp": NOW_MS - 1_000,
            "data": [{"id": "bitcoin", "symbol": "BTC", name: "91234.5678901234567890"}, 7],
        })  # fmt: skip

        sample = read_sample(source(SourceKind.COINCAP), answer, NOW_MS)

        assert sample.prices["BTC"] == Fraction("91234.567890123456789")
        assert sample.at_ms == NOW_MS - 1_000


def test_cryptocompare_s_list_and_its_object_are_read() -> None:
    listed = octets({"Data": [
        {"CoinInfo": {"Name": "BTC"}, "RAW": {"USD": {"PRICE": 91234.5, "LASTUPDATE": NOW_MS // 1000 - 5}}},
        {"CoinInfo": {"Name": "XRP"}},
    ]})  # fmt: skip
    sample = read_sample(source(SourceKind.CRYPTOCOMPARE), listed, NOW_MS)
    assert sample.prices == {"USD": 1, "BTC": Fraction("91234.5")}
    assert sample.at_ms == NOW_MS - 5_000

    multi = octets({"BTC": {"USD": 91234.5, "EUR": 1}, "XRP": {"USD": 0.5}})
    sample = read_sample(source(SourceKind.CRYPTOCOMPARE), multi, NOW_MS)
    assert sample.prices == {"USD": 1, "BTC": Fraction("91234.5"), "XRP": Fraction(1, 2)}

    refused = octets({"Response": "Error", "Message": "You are over your rate limit"})
    assert "it refuses: 'You are over your rate limit'" in problem(
        source(SourceKind.CRYPTOCOMPARE), refused
    )


def test_any_json_is_read_at_its_path() -> None:
    rafiki = octets({"base": "USD", "rates": {"EUR": 0.91, "XRP": 2}})
    sample = read_sample(source(SourceKind.JSON, path="rates", inverted=True), rafiki, NOW_MS)
    assert sample.prices == {"USD": 1, "EUR": Fraction(100, 91), "XRP": Fraction(1, 2)}

    single = octets({"data": [{"amount": "1.25"}]})
    one = source(SourceKind.JSON, path="data.0.amount", assets={"price": "EUR"})
    assert read_sample(one, single, NOW_MS).prices == {"USD": 1, "EUR": Fraction(5, 4)}


@pytest.mark.parametrize(
    ("document", "path", "age_ms"),
    [
        ({"timestamp": NOW_MS // 1000 - 60, "rates": {"EUR": 1}}, "rates", 60_000),
        ({"timestamp": NOW_MS - 60_000, "rates": {"EUR": 1}}, "rates", 60_000),
        ({"timestamp": str(NOW_MS), "data": {"updated_at": "2026-11-24T19:55:00Z", "r": {"EUR": 1}}}, "data.r", 300_000),
        ({"data": {"rates": {"EUR": 1, "last_updated": "2026-11-24T19:55:00+00:00"}}}, "data.rates", 300_000),
        ({"EUR": 1, "time_last_update_unix": NOW_MS // 1000 - 9}, "", 9_000),
        ({"date": "2026-11-24", "timestamp": 1, "updated_at": "soon", "rates": {"EUR": 1}}, "rates", 34 * 3_600_000),
        ({"date": "2026-11-25", "rates": {"EUR": 1}}, "rates", 10 * 3_600_000),
        ({"time": NOW_MS, "rates": {"EUR": 1}}, "rates", 0),
    ],
)  # fmt: skip
def test_any_json_is_as_old_as_it_says(document: object, path: str, age_ms: int) -> None:
    of = source(SourceKind.JSON, path=path, max_age_seconds=86_400 * 2)

    sample = read_sample(of, octets(document), NOW_MS)

    assert sample.prices == {"USD": 1, "EUR": 1}
    assert not sample.problems
    assert NOW_MS - sample.at_ms == age_ms


def test_any_json_that_says_that_it_is_too_old_or_of_tomorrow_is_no_price() -> None:
    for stamp, words in (
        ("2026-11-24T19:00:00Z", "EUR is 60 min old, and 10 min are allowed."),
        ("2026-11-24", "EUR is 34 h old, and 10 min are allowed."),
        ("2026-11-26T20:00:00Z", "EUR is stamped 2 days ahead of this node's clock."),
    ):
        answer = octets({"date": stamp, "price": 1})
        one = source(SourceKind.JSON, path="price", assets={"price": "EUR"})
        assert words in problem(one, answer)


def test_the_table_of_ilp_connector_s_tests_is_read_as_what_one_euro_buys() -> None:
    table = load("ilp-connector/fxRates.json")
    of = source(
        SourceKind.JSON, base=table["base"], path="rates", inverted=True, max_age_seconds=86_400
    )
    assert "USD is 4270 days old" in problem(of, octets(table))

    that_day = datetime.fromisoformat(table["date"]).replace(tzinfo=UTC)
    sample = read_sample(of, octets(table), int(that_day.timestamp()) * 1000)

    assert sample.prices == {
        "EUR": 1,
        **{code: 1 / Fraction(str(rate)) for code, rate in table["rates"].items()},
    }


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        ({"base": "EUR", "rates": {"XRP": 1}}, "rates", "counted in 'EUR', and not in USD"),
        ({"rates": {}}, "rates", "no prices that were asked for"),
        ({"rates": {"EUR": 1}}, "data.rates", "there is no 'data' in it at its top"),
        ({"data": [1]}, "data.3", "there is no '3' in it at data"),
        ({"data": [1]}, "data", "there is a list"),
        ({"data": 7}, "data", "needs one asset"),
        ({"rates": {"EUR": 0}}, "rates", "EUR is 0, and a price is above zero"),
        ({"rates": {"EUR": -1}}, "rates", "EUR is -1, and a price is above zero"),
        ({"rates": {"EUR": "ten"}}, "rates", "EUR is 'ten', which is no number"),
        ({"rates": {"EUR": None}}, "rates", "EUR is None, which is no number"),
        ({"rates": {"EUR": True}}, "rates", "EUR is True, which is no number"),
        ({"rates": {"EUR": {"USD": 1}}}, "rates", "which is no number"),
        ({"rates": {"EUR": [1]}}, "rates", "which is no number"),
        ({"rates": {"EUR": float("nan")}}, "rates", "EUR is NaN, and a price is above zero"),
        ({"rates": {"EUR": float("inf")}}, "rates", "EUR is Infinity"),
        ({"rates": {"EUR": 1e31}}, "rates", "beyond 10^±30"),
        ({"rates": {"EUR": "1" * 41}}, "rates", "beyond 10^±30"),
        ({"rates": {"EUR": "1." + "1" * 40}}, "rates", "more than 40 digits"),
    ],
)  # fmt: skip
def test_what_is_no_price_is_named(document: object, path: str, words: str) -> None:
    assert words in problem(source(SourceKind.JSON, path=path), octets(document))


@pytest.mark.parametrize(
    ("kind", "answer", "words"),
    [
        (SourceKind.JSON, b'{"EUR": 1.07, "GBP": 1.2, "EUR": 10.7}', "has 'EUR' twice"),
        (SourceKind.JSON, b'{"EUR": 1.07, "eur": 10.7}', "two prices of EUR"),
        (SourceKind.JSON, b'{"EUR": 1.07, "base": "USD", "base": "GBP"}', "has 'base' twice"),
        (SourceKind.JSON, b'{"EUR": 1.07, "date": 1700000000, "date": 1}', "has 'date' twice"),
        (SourceKind.COINGECKO, b'{"xrp": {"usd": 0.5, "usd": 5}}', "has 'usd' twice"),
        (SourceKind.CRYPTOCOMPARE, b'{"XRP": {"USD": 0.5}, "xrp": {"USD": 5}}', "two prices of XRP"),
        (SourceKind.ECB, ECB.replace(b"JPY", b"USD"), "two prices of USD"),
    ],
)  # fmt: skip
def test_an_answer_with_two_prices_of_one_asset_is_refused(
    kind: SourceKind, answer: bytes, words: str
) -> None:
    said = problem(source(kind), answer)

    assert words in said
    assert said.endswith(("which holds", "which of them holds"))


@pytest.mark.parametrize(
    "answer", [b'{"EUR": 1.07, "EUR": 1.070}', b'{"EUR": 1.07, "eur": "1.07"}']
)
def test_a_price_that_is_said_twice_alike_is_one(answer: bytes) -> None:
    sample = read_sample(source(SourceKind.JSON), answer, NOW_MS)

    assert sample.prices == {"USD": 1, "EUR": Fraction(107, 100)}
    assert sample.problems == ()


def test_one_bad_price_leaves_the_others_good_and_is_told() -> None:
    answer = octets({"EUR": 1.07, "XRP": -1, "BTC": "1e5"})

    sample = read_sample(source(SourceKind.JSON), answer, NOW_MS)

    assert sample.prices == {"USD": 1, "EUR": Fraction("1.07"), "BTC": 100_000}
    assert sample.problems == ("XRP is -1, and a price is above zero.",)


@pytest.mark.parametrize("kind", ASKED, ids=lambda kind: kind.value)
@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[" * 100_000, b"null", b"7", b'"x"', b"[]", b"{}", b"\xff\xfe{}", b"[[]]",
     b'{"data": 1}', b'{"Data": [1, {}]}', b'{"bitcoin": 1}', b'{"rates": 1e999999999}'],
)  # fmt: skip
def test_garbage_is_a_sentence_and_nothing_else(kind: SourceKind, answer: bytes) -> None:
    path = "x" if kind is SourceKind.JSON else ""

    assert problem(source(kind, path=path), answer)


@given(
    st.sampled_from(ASKED),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
        | st.sampled_from(["1.5", "USD", "NaN", "1e400", "2026-11-24T19:59:00Z", "0"]),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["data", "Data", "rates", "base", "symbol", "current_price", "RAW", "USD",
                             "usd", "CoinInfo", "Name", "PRICE", "priceUsd", "timestamp", "x", "last_updated"]),
            inner, max_size=5,
        ),
        max_leaves=30,
    ),
    st.sampled_from(["", "data", "rates", "data.0", "rates.USD"]),
    st.booleans(),
)  # fmt: skip
def test_whatever_comes_gives_prices_above_zero_or_a_sentence(
    kind: SourceKind, document: object, path: str, inverted: bool
) -> None:
    of = source(kind)
    if kind is SourceKind.JSON:
        of = replace(of, path=path, inverted=inverted)
    try:
        sample = read_sample(of, octets(document), NOW_MS)
    except RateSourceError as error:
        assert str(error)
        return
    assert sample.prices[sample.base] == 1
    assert all(p > 0 for p in sample.prices.values())
    assert NOW_MS - of.max_age_seconds * 1000 < sample.at_ms <= NOW_MS


def test_old_prices_among_new_ones_are_left_out() -> None:
    rows = [*COINGECKO_LIST[:2]]
    rows[1] = {**rows[1], "last_updated": "2026-11-24T18:00:00Z"}

    sample = read_sample(source(SourceKind.COINGECKO), octets(rows), NOW_MS)

    assert set(sample.prices) == {"USD", "BTC"}
    assert sample.problems == ("XRP is 2 h old, and 10 min are allowed.",)


def test_of_a_list_without_end_the_first_ten_thousand_are_read() -> None:
    answer = octets({f"C{number}": 1 for number in range(20_000)})

    sample = read_sample(source(SourceKind.JSON), answer, NOW_MS)

    assert len(sample.prices) == 10_001
    assert sample.problems == ("It has more than 10000 prices; the rest was not read.",)


def test_fixed_prices_are_what_the_operator_wrote() -> None:
    fixed = source(SourceKind.FIXED, prices={"EUR": Decimal("1.07")})

    assert fixed_sample(fixed, NOW_MS).prices == {"USD": 1, "EUR": Fraction("1.07")}


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (10**9, "11 days"),
    ],
)
def test_a_duration_is_in_the_unit_that_a_person_would_take(
    milliseconds: int, words: str
) -> None:
    assert duration(milliseconds) == words


@pytest.mark.parametrize("kind", [kind for kind in ASKED if kind is not SourceKind.ECB])
def test_a_list_that_would_hold_all_else_up_while_it_is_read_is_refused(
    kind: SourceKind,
) -> None:
    answer = b"[" + b"0," * 1_000_000 + b"0]"

    assert problem(source(kind), answer) == "its JSON has more than 100000 values"
