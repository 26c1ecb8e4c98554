"""What sources say together: the median, its age, and which jumps are held until somebody confirms them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from statistics import median
from typing import Any, final

import pytest
from hypothesis import given, strategies as st

from core.rates.feed import ALL_KEPT_MAX, Decision, Feed, retry_ms, rounded
from core.rates.records import (
    FeedSettings,
    HeldJump,
    HoldState,
    Price,
    RateSource,
    Sample,
    SourceKind,
)

MINUTE_MS = 60_000


def source(name: str, **changes: Any) -> RateSource:
    plain = RateSource(name=name, kind=SourceKind.JSON, url=f"https://{name}.example/")
    return replace(plain, **changes)


@final
class Bench:
    """A feed with sources a, b and c, and a clock that a test moves."""

    def __init__(self, *names: str, **settings: Any) -> None:
        self.feed = Feed()
        self.sources = {name: source(name) for name in names}
        self.settings = FeedSettings(**settings)
        self.holds: Mapping[str, HeldJump] = {}
        self.now_ms = 10**12
        self.configure()

    def configure(self) -> None:
        self.feed.configure(list(self.sources.values()), self.settings, self.holds)

    def say(
        self, name: str, *, base: str = "USD", at_ms: int | None = None, **prices: str
    ) -> None:
        self.say_all(name, prices, base=base, at_ms=at_ms)

    def say_all(
        self,
        name: str,
        prices: Mapping[str, str],
        *,
        base: str = "USD",
        at_ms: int | None = None,
    ) -> None:
        said = {code: Fraction(price) for code, price in prices.items()}
        sample = Sample(
            base=base,
            prices={**said, base: Fraction(1)},
            at_ms=self.now_ms if at_ms is None else at_ms,
        )
        assert self.feed.answered(self.sources[name], sample, self.now_ms)

    def decide(self) -> Decision:
        decision = self.feed.decide(self.now_ms, ())
        self.holds = decision.holds
        return decision

    def prices(self) -> dict[str, str]:
        return {code: f"{price.price:f}" for code, price in self.decide().prices.items()}

    def pass_minutes(self, minutes: int = 1) -> None:
        self.now_ms += minutes * MINUTE_MS


def test_of_three_sources_the_one_in_the_middle_counts() -> None:
    bench = Bench("a", "b", "c")
    for name, price in (("a", "1.07"), ("b", "1.2"), ("c", "1.08")):
        bench.say(name, EUR=price)

    assert bench.prices() == {"USD": "1", "EUR": "1.08"}


def test_of_two_the_mean_counts() -> None:
    bench = Bench("a", "b")
    bench.say("a", EUR="1.07")
    bench.say("b", EUR="1.08")

    decision = bench.decide()

    assert decision.prices["EUR"].price == Decimal("1.075")
    assert decision.prices["EUR"].sources == ("a", "b")


def test_sources_of_other_bases_are_led_to_the_reference() -> None:
    bench = Bench("a", "b", "c")
    bench.say("a", base="EUR", USD="0.8", GBP="1.2")  # knows the reference
    assert bench.prices() == {"USD": "1", "EUR": "1.25", "GBP": "1.5"}

    bench.say("b", base="EUR", XRP="0.4")  # does not, and its base is known from a
    bench.say("c", base="SEK", NOK="1")  # does not, and nobody knows its base
    assert bench.prices() == {"USD": "1", "EUR": "1.25", "GBP": "1.5", "XRP": "0.5"}


def test_a_median_is_rounded_once_and_otherwise_exact() -> None:
    assert rounded(Fraction(1, 3)) == Decimal("0." + "3" * 40)
    assert rounded(Fraction(107, 100)) == Decimal("1.07")
    assert str(rounded(Fraction(10))) == "1E+1"


def test_a_price_ages_as_the_sample_that_it_comes_from() -> None:
    bench = Bench("a")
    bench.say("a", EUR="1.07", at_ms=bench.now_ms - MINUTE_MS)

    price = bench.decide().prices["EUR"]

    assert price.at_ms == bench.now_ms - MINUTE_MS
    assert price.stale_at_ms == bench.now_ms - MINUTE_MS + 600_000


def test_of_two_in_the_middle_the_price_ages_as_the_one_that_is_too_old_first() -> None:
    bench = Bench("a", "b")
    bench.sources["b"] = replace(bench.sources["b"], max_age_seconds=6_000)
    bench.configure()
    bench.say("b", EUR="1.00", at_ms=bench.now_ms - 9 * MINUTE_MS)
    bench.say("a", EUR="1.02", at_ms=bench.now_ms - MINUTE_MS)

    price = bench.decide().prices["EUR"]

    assert (price.at_ms, price.max_age_ms) == (bench.now_ms - MINUTE_MS, 600_000)


def test_a_source_that_is_silent_too_long_has_no_say_and_the_others_go_on() -> None:
    bench = Bench("a", "b", "c")
    for name in ("a", "b", "c"):
        bench.say(name, EUR="1.0")
    bench.decide()
    for _ in range(11):
        bench.pass_minutes()
        bench.say("a", EUR="1.02")
        bench.decide()

    prices = bench.decide().prices
    assert prices["EUR"].price == Decimal("1.02")
    assert prices["EUR"].sources == ("a",)
    assert prices["EUR"].at_ms == bench.now_ms


def test_where_all_are_silent_the_last_price_stays_with_its_stamp_and_so_becomes_stale() -> (
    None
):
    bench = Bench("a")
    bench.say("a", EUR="1.07")
    before = bench.decide().prices["EUR"]

    bench.pass_minutes(20)

    assert bench.decide().prices["EUR"] == before
    assert before.stale_at_ms is not None
    assert before.stale_at_ms < bench.now_ms


@pytest.mark.parametrize(("price", "name"), [("10.7", "up"), ("0.107", "down"), ("1.18", "up")])
def test_a_jump_is_held_and_the_old_price_stays(price: str, name: str) -> None:
    bench = Bench("a")
    bench.say("a", EUR="1.07")
    bench.decide()
    bench.pass_minutes()

    bench.say("a", EUR=price)
    decision = bench.decide()

    assert decision.prices["EUR"].price == Decimal("1.07")
    held = decision.holds["EUR"]
    assert (held.from_price, held.to_price, held.samples) == (
        Decimal("1.07"), Decimal(price), 1,
    )  # fmt: skip


def test_what_moves_within_the_limit_is_no_jump() -> None:
    bench = Bench("a")
    for price in ("1.00", "1.10", "1.00", "1.1", "1.21"):
        bench.say("a", EUR=price)
        assert bench.decide().holds == {}
        assert bench.decide().prices["EUR"].price == Decimal(price)
        bench.pass_minutes()


def test_a_source_that_is_alone_and_insists_moves_nothing_by_itself() -> None:
    bench = Bench("a")
    bench.say("a", EUR="1")
    bench.decide()
    for _ in range(5):
        bench.pass_minutes()
        bench.say("a", EUR="10")
        bench.decide()

    assert bench.prices()["EUR"] == "1"


def test_further_samples_confirm_a_jump_and_the_same_data_told_again_does_not() -> None:
    bench = Bench("a", jump_samples=3)
    bench.say("a", EUR="1")
    bench.decide()
    stamp = bench.now_ms + MINUTE_MS
    for _ in range(5):
        bench.pass_minutes()
        bench.say("a", EUR="2", at_ms=stamp)
        assert bench.decide().holds["EUR"].samples == 1
    for number in (2, 3):
        assert bench.prices()["EUR"] == "1"
        bench.pass_minutes()
        bench.say("a", EUR="2.05")
        if number == 2:
            assert bench.decide().holds["EUR"].samples == 2

    decision = bench.decide()

    assert decision.prices["EUR"].price == Decimal("2.05")
    assert decision.holds == {}


def test_time_alone_confirms_nothing() -> None:
    bench = Bench("a")
    bench.say("a", EUR="1")
    bench.decide()
    bench.pass_minutes()
    bench.say("a", EUR="2")

    for _ in range(50):
        assert bench.prices()["EUR"] == "1"
        bench.now_ms += 1_000


def test_where_no_samples_confirm_only_the_operator_does() -> None:
    bench = Bench("a", jump_samples=0)
    bench.say("a", EUR="1")
    bench.decide()
    for _ in range(20):
        bench.pass_minutes()
        bench.say("a", EUR="2")
        assert bench.prices()["EUR"] == "1"

    bench.holds = {"EUR": replace(bench.holds["EUR"], state=HoldState.CONFIRMED)}
    bench.configure()
    decision = bench.decide()

    assert decision.prices["EUR"].price == Decimal(2)
    assert decision.holds == {}


def test_two_sources_confirm_each_other_at_once() -> None:
    bench = Bench("a", "b", "c")
    for name in ("a", "b", "c"):
        bench.say(name, EUR="1")
    bench.decide()
    bench.pass_minutes()

    bench.say("a", EUR="2")
    assert bench.prices()["EUR"] == "1"  # the median does not move for one
    bench.say("b", EUR="2.02")
    decision = bench.decide()

    assert decision.prices["EUR"].price == Decimal(2)
    assert decision.holds == {}


def test_of_two_sources_one_that_insists_on_a_jump_is_held_until_the_operator_confirms_it() -> (
    None
):
    bench = Bench("a", "b")
    for name in ("a", "b"):
        bench.say(name, EUR="1")
    bench.decide()

    for _ in range(20):
        bench.pass_minutes()
        bench.say("a", EUR="2")
        bench.say("b", EUR="1")
        decision = bench.decide()
        assert decision.prices["EUR"].price == Decimal(1)
        assert decision.holds["EUR"].samples == 1

    bench.holds = {"EUR": replace(bench.holds["EUR"], state=HoldState.CONFIRMED)}
    bench.configure()
    assert bench.prices()["EUR"] == "1.5"


def test_of_two_sources_both_confirm_a_jump() -> None:
    bench = Bench("a", "b")
    for name in ("a", "b"):
        bench.say(name, EUR="1")
    bench.decide()
    bench.pass_minutes()
    bench.say("a", EUR="2")
    assert bench.prices()["EUR"] == "1"

    bench.say("b", EUR="2")

    assert bench.prices()["EUR"] == "2"


def test_a_jump_that_half_of_the_sources_say_is_held() -> None:
    bench = Bench("a", "b", "c", "d")
    for name in ("a", "b", "c", "d"):
        bench.say(name, EUR="1")
    bench.decide()
    for _ in range(5):
        bench.pass_minutes()
        for name, price in (("a", "1"), ("b", "1"), ("c", "1.22"), ("d", "1.22")):
            bench.say(name, EUR=price)
        assert bench.prices()["EUR"] == "1"

    bench.say("b", EUR="1.22")

    assert bench.prices()["EUR"] == "1.22"


def test_where_the_other_source_is_too_old_the_one_that_is_left_needs_its_samples() -> None:
    bench = Bench("a", "b", jump_samples=3)
    for name in ("a", "b"):
        bench.say(name, EUR="1")
    bench.decide()
    bench.pass_minutes(11)

    for expected in ("1", "1", "2"):
        bench.pass_minutes()
        bench.say("a", EUR="2")
        assert bench.prices()["EUR"] == expected


def test_a_source_is_not_led_over_a_price_that_is_held() -> None:
    bench = Bench("liar", "b", "c", "d")
    bench.say("liar", EUR="1", XRP="0.5")
    bench.say("b", EUR="1")
    for name in ("c", "d"):
        bench.say(name, base="EUR", XRP="0.5")
    assert bench.prices()["XRP"] == "0.5"
    bench.pass_minutes()

    bench.say("b", EUR="1")
    bench.say("liar", EUR="19", XRP="5")
    for name in ("c", "d"):
        bench.say(name, base="EUR", XRP="0.5")
    prices = bench.prices()

    assert (prices["EUR"], prices["XRP"]) == ("1", "0.5")


def test_two_sources_at_one_host_are_one_voice() -> None:
    bench = Bench("a", "b")
    bench.sources["b"] = replace(bench.sources["b"], url="https://a.example/other")
    bench.configure()
    for name in ("a", "b"):
        bench.say(name, EUR="1")
    bench.decide()
    bench.pass_minutes()

    for name in ("a", "b"):
        bench.say(name, EUR="2")

    assert bench.prices()["EUR"] == "1"


def test_what_the_operator_wrote_down_needs_nobody_else() -> None:
    bench = Bench("a")
    bench.sources["a"] = replace(bench.sources["a"], kind=SourceKind.FIXED, url="")
    bench.configure()
    bench.say("a", EUR="1")
    bench.decide()

    bench.say("a", EUR="2")

    assert bench.prices()["EUR"] == "2"


def test_of_two_sources_one_that_jumps_is_held() -> None:
    bench = Bench("a", "b")
    for name in ("a", "b"):
        bench.say(name, EUR="1")
    bench.decide()
    bench.pass_minutes()

    bench.say("a", EUR="10")
    bench.say("b", EUR="1")
    decision = bench.decide()

    assert decision.prices["EUR"].price == Decimal(1)
    assert decision.holds["EUR"].to_price == Decimal("5.5")


def test_a_refused_jump_stays_out_until_the_sources_say_something_else() -> None:
    bench = Bench("a")
    bench.say("a", EUR="1")
    bench.decide()
    bench.pass_minutes()
    bench.say("a", EUR="5")
    bench.decide()
    bench.holds = {"EUR": replace(bench.holds["EUR"], state=HoldState.REFUSED)}
    bench.configure()
    for _ in range(10):
        bench.pass_minutes()
        bench.say("a", EUR="5.1")
        assert bench.prices()["EUR"] == "1"

    bench.say("a", EUR="1.02")
    decision = bench.decide()

    assert decision.prices["EUR"].price == Decimal("1.02")
    assert decision.holds == {}


def test_a_jump_that_goes_back_is_forgotten_and_one_that_goes_on_begins_anew() -> None:
    bench = Bench("a")
    bench.say("a", EUR="1")
    bench.decide()
    for price in ("2", "4"):
        bench.pass_minutes()
        bench.say("a", EUR=price)
        held = bench.decide().holds["EUR"]
        assert (held.to_price, held.samples) == (Decimal(price), 1)
    bench.pass_minutes()
    bench.say("a", EUR="1.05")

    assert bench.decide().holds == {}
    assert bench.prices()["EUR"] == "1.05"


def test_the_price_before_a_restart_guards_the_first_one_after_it() -> None:
    bench = Bench("a")
    before = Price(
        price=Decimal(1), at_ms=bench.now_ms - MINUTE_MS, max_age_ms=600_000, sources=("a",)
    )
    bench.feed.resume({"EUR": before, "BTC": Price(price=Decimal(7))}, "USD")
    assert bench.prices() == {"USD": "1", "EUR": "1"}

    bench.say("a", EUR="3")

    assert bench.prices()["EUR"] == "1"
    assert bench.decide().holds["EUR"].to_price == Decimal(3)


def test_another_reference_asset_counts_everything_anew_and_is_no_jump() -> None:
    bench = Bench("a")
    bench.say("a", EUR="4", XRP="0.5")
    bench.decide()

    bench.settings = FeedSettings(reference="EUR")
    bench.configure()
    decision = bench.decide()

    assert {code: price.price for code, price in decision.prices.items()} == {
        "EUR": Decimal(1), "USD": Decimal("0.25"), "XRP": Decimal("0.125"),
    }  # fmt: skip
    assert decision.holds == {}


def test_what_a_removed_source_said_is_gone() -> None:
    bench = Bench("a", "b")
    bench.say("a", EUR="1")
    bench.say("b", EUR="1", XRP="1")
    assert set(bench.prices()) == {"USD", "EUR", "XRP"}

    del bench.sources["b"]
    bench.configure()

    assert set(bench.prices()) == {"USD", "EUR"}
    bench.sources.clear()
    bench.configure()
    assert bench.prices() == {}


def test_an_answer_of_a_source_that_was_changed_meanwhile_is_not_taken() -> None:
    bench = Bench("a")
    asked = bench.sources["a"]
    bench.sources["a"] = replace(asked, url="https://other.example/")
    bench.configure()

    sample = Sample(
        base="USD", prices={"USD": Fraction(1), "EUR": Fraction(1)}, at_ms=bench.now_ms
    )

    assert bench.feed.answered(asked, sample, bench.now_ms) is None
    assert bench.feed.failed(asked, "It is gone.", bench.now_ms) is None
    assert bench.prices() == {}


def test_of_very_many_prices_those_that_are_needed_are_kept() -> None:
    bench = Bench("a", watched=("C7",))
    bench.say_all("a", {f"C{number}": "1" for number in range(ALL_KEPT_MAX + 9)})

    kept = bench.feed.decide(bench.now_ms, {"C3"}).prices

    assert set(kept) == {"USD", "C3", "C7"}


def test_a_source_is_asked_when_it_is_due_and_not_while_it_is_being_asked() -> None:
    bench = Bench("a", "b")
    bench.sources["b"] = replace(bench.sources["b"], enabled=False)
    bench.configure()

    (due,) = bench.feed.due(bench.now_ms)
    bench.feed.asked(due.name, bench.now_ms)
    assert bench.feed.due(bench.now_ms) == []

    bench.say("a", EUR="1")
    bench.now_ms += 59_999
    assert bench.feed.due(bench.now_ms) == []
    bench.now_ms += 1
    assert [one.name for one in bench.feed.due(bench.now_ms)] == ["a"]


@given(
    st.integers(5, 86_400), st.integers(1, 400), st.integers(1, 10**6)
)  # fmt: skip
def test_a_source_that_fails_is_asked_at_least_three_times_before_its_answer_is_too_old(
    poll_seconds: int, times: int, failures: int
) -> None:
    one = source("a", poll_seconds=poll_seconds, max_age_seconds=poll_seconds * 3 * times)

    wait = retry_ms(one, failures)

    assert poll_seconds * 1000 <= wait <= one.max_age_seconds * 1000 // 3


def test_a_failure_is_told_with_how_often_and_forgotten_with_the_next_answer() -> None:
    bench = Bench("a")
    for number in (1, 2):
        status = bench.feed.failed(bench.sources["a"], "It is down.", bench.now_ms)
        assert status is not None
        assert (status.failures, status.problem) == (number, "It is down.")
    bench.say("a", EUR="1")

    assert bench.feed.status("a").failures == 0


@given(
    st.lists(
        st.lists(
            st.fractions(Fraction(1, 1000), 1000, max_denominator=1000), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([Fraction(1, 10), Fraction(1, 2), None]),
)
def test_of_three_sources_a_price_never_moves_beyond_the_limit_but_by_two_of_them(
    rounds: list[list[Fraction]], limit: Fraction | None
) -> None:
    bench = Bench("a", "b", "c", jump_limit=limit)
    before: Decimal | None = None
    for values in rounds:
        for name, value in zip("abc", values, strict=True):
            bench.say(name, EUR=str(value))
        price = bench.decide().prices["EUR"].price
        middle = rounded(median(values))
        assert price in (before, middle)
        if before is not None and limit is not None and price == middle != before:
            low, high = sorted((Fraction(before), Fraction(price)))
            within = high <= low * (1 + limit)
            near = [
                v
                for v in values
                if max(v, Fraction(middle)) <= min(v, Fraction(middle)) * (1 + limit)
            ]
            assert within or len(near) >= 2
        before = price
        bench.pass_minutes()
