from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC

import pytest
from hypothesis import given, strategies as st

from core.account import Asset, format_amount
from desktop import formatting as f

SPACES = re.compile("[\u00a0\u202f]")


def ascii_spaces(text: str) -> str:
    return SPACES.sub(" ", text)


@pytest.mark.parametrize(
    ("value", "scale", "shown"),
    [
        (123450, 2, "1 234.50"),
        (-150, 2, "−1.50"),
        (5, 0, "5"),
        (2**64 - 1, 0, "18 446 744 073 709 551 615"),
        (1_050_000_000, 9, "1.05"),
        (1, 18, "0.000000000000000001"),
        (10**18, 18, "1.00"),
        (0, 2, "0.00"),
    ],
)
def test_an_amount_is_shown_exactly(value: int, scale: int, shown: str) -> None:
    assert ascii_spaces(f.number(value, scale)) == shown


@given(st.integers(-(2**64), 2**64), st.integers(0, 255))
def test_whatever_is_shown_can_be_typed_and_means_the_same(value: int, scale: int) -> None:
    shown = f.amount(value, "USD", scale)

    assert f.parse_amount(shown, "USD", scale, minimum=-(2**64), maximum=2**64) == value
    assert (
        f.parse_amount(
            f.plain_number(value, scale), "USD", scale, minimum=-(2**64), maximum=2**64
        )
        == value
    )


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("0.29", 29),
        (".5", 50),
        ("7.", 700),
        ("1234.5", 123450),
        ("1 234.50 usd", 123450),
        ("1,234.50", 123450),
        ("1,234,567", 123456700),
        ("+3", 300),
        ("1.2300", 123),
    ],
)
def test_an_amount_is_read_exactly(typed: str, value: int) -> None:
    assert f.parse_amount(typed, "USD", 2) == value


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "is no amount"),
        (".", "is no amount"),
        ("twelve", "is no amount"),
        ("1e3", "is no amount"),
        ("٣", "is no amount"),
        ("1,234", "two ways"),
        ("1.234,50", "two ways"),
        ("12,34.5", "two ways"),
        ("0.005", "has 2 decimals"),
        ("-1", "out of range"),
        ("99999999999999999999", "out of range"),
        ("9" * 5000, "too long to be an amount"),
    ],
)
def test_what_is_no_amount_is_refused_with_a_sentence(typed: str, why: str) -> None:
    with pytest.raises(f.AmountProblem, match=why):
        f.parse_amount(typed, "USD", 2)


def test_words_say_who_owes_whom() -> None:
    assert ascii_spaces(f.owed(-1240, "USD", 2, "bob")) == "bob owes you 12.40 USD"
    assert ascii_spaces(f.owed(1240, "USD", 2, "bob")) == "you owe bob 12.40 USD"
    assert f.owed(0, "USD", 2, "bob") == "bob and you are even"


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    shares = [f.percent(*pair) for pair in ((9999, 10000), (1, 10000), (5, 5), (0, 5), (0, 0))]

    assert [ascii_spaces(text) for text in shares] == ["99.9 %", "0.1 %", "100 %", "0.0 %", "–"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.44, "0.4 s"), (12, "12 s"), (302, "5 min 2 s"), (3600, "1 h"), (273_600, "3 d 4 h")],
)
def test_a_span_has_at_most_two_units(seconds: float, shown: str) -> None:
    assert ascii_spaces(f.duration(seconds)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "just now"),
        (12, "12 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (90_000, "1 d ago"),
    ],
)
def test_a_moment_past_is_told_in_one_unit(seconds: int, shown: str) -> None:
    assert ascii_spaces(f.ago(seconds * 1000, 0)) == shown


def test_times_carry_their_zone() -> None:
    assert f.moment(1_795_521_600_000, UTC) == "2026-11-24 12:00:00 UTC"
    assert f.exact_moment(1_795_521_600_007, UTC) == "2026-11-24 12:00:00.007 UTC"
    assert f.short_moment(1_795_521_600_000, UTC) == "11-24 12:00"
    assert f.timestamp(1_795_521_600_000, UTC) == "2026-11-24 12:00:00+00:00"
    assert f.clock_time(1_795_521_600_250, UTC) == "12:00:00.250"
    assert f.ago(0, None) == "never"


def test_measures_have_units() -> None:
    texts = [f.octets(48_234_496), f.octets(12), f.latency(840), f.latency(12_400)]

    assert [ascii_spaces(text) for text in texts] == ["48.2 MB", "12 B", "840 µs", "12.4 ms"]


@given(st.text(max_size=80), st.integers(8, 40))
def test_a_shortened_name_is_no_longer_than_asked(text: str, length: int) -> None:
    assert len(f.shortened(text, length)) == min(len(text), length)


# --- Amounts that others must not see


@pytest.fixture
def hidden() -> Iterator[None]:
    f.hide_amounts(hidden=True)
    yield
    f.hide_amounts(hidden=False)


@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("bob owes you 1\u202f234.50\u00a0USD", "bob owes you •••\u00a0USD"),
        ("+12.40\u00a0USD", "•••\u00a0USD"),
        ("you may owe alice no more than -100.00 USD", "you may owe alice no more than ••• USD"),
        ("61.00 of 100.00\u00a0USD", "••• of •••\u00a0USD"),
        ("the wallet holds 0.02 ETH and 0.5 ETH are needed", "the wallet holds ••• ETH and ••• ETH are needed"),
        ("12\u2060.\u206040\u00a0USD", "•••\u00a0USD"),
        ("at least 900 of its units", "at least ••• of its units"),
        ("(T04 ×37): 5 JPY.", "(T04 ×37): ••• JPY."),
        ("7.5 QQQQ of an asset that nobody has named", "••• QQQQ of an asset that nobody has named"),
    ],
)  # fmt: skip
def test_hidden_amounts_keep_their_asset(text: str, seen: str) -> None:
    assert f.shown(text) == seen


@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24 12:00:03 UTC",
        "Database 48.2\u00a0MB",
        "37 of its last 400 packets were rejected with T04",
        "12.4\u00a0ms, 218\u00a0pkt/s, 99.1\u00a0%",
        "ivan.example:443 refused the connection, attempt 14",
        "3 over HTTP, 2 over BTP; 14 HTTP links",
        "v1.2.0 USD",
        "test.alice.x2 USD",
        "",
    ],
)
def test_what_is_no_amount_stays(text: str) -> None:
    assert f.shown(text) == text


@pytest.mark.usefixtures("hidden")
def test_a_code_is_known_once_an_amount_was_written_in_it() -> None:
    assert f.shown("5 µbtc.x") == "5 µbtc.x"

    assert f.shown(f.amount(7, "µbtc.x", 0)) == "•••\u00a0µbtc.x"

    assert f.shown("5 µbtc.x") == "••• µbtc.x"
    assert f.shown("5 µbtc.xy") == "5 µbtc.xy"


@pytest.mark.usefixtures("hidden")
@given(st.integers(-(2**63), 2**63), st.integers(0, 30), st.sampled_from(["USD", "xrp", "A.B"]))
def test_no_digit_of_any_amount_is_seen(value: int, scale: int, code: str) -> None:
    ours = f.amount(value, code, scale)
    theirs = format_amount(value, Asset(code, scale))

    for text in (ours, theirs, f"bob owes {theirs}, of {ours}.", f.plain_number(value, scale)):
        seen = f.shown_number(f.shown(text))
        assert not any(letter.isdigit() for letter in seen)


def test_nothing_is_hidden_otherwise() -> None:
    assert f.shown("12.40\u00a0USD") == "12.40\u00a0USD"
    assert f.shown_number("12.40") == "12.40"
