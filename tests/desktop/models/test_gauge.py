from __future__ import annotations

from hypothesis import given, strategies as st

from desktop.models.gauge import STEPS, Gauge, Level

AMOUNTS = st.integers(min_value=0, max_value=2**63 - 1)


def test_zero_stands_between_what_we_owe_and_the_credit_that_we_give() -> None:
    gauge = Gauge(owed=0, limit=100, settle_at=100, settle_to=0)

    assert gauge.place(0) == 110 * STEPS // 210
    assert gauge.place(100) == STEPS
    assert gauge.place(-110) == 0


def test_what_they_owe_fills_towards_the_limit() -> None:
    gauge = Gauge(owed=97, limit=100)

    assert gauge.place(97) == 97 * STEPS // 100
    assert (gauge.used_percent, gauge.level) == (97, Level.FULL)


def test_in_flight_counts_towards_the_limit() -> None:
    gauge = Gauge(owed=70, incoming=12, limit=100)

    assert (gauge.used_percent, gauge.level, gauge.headroom) == (82, Level.NEAR, 18)


def test_without_a_limit_nothing_is_near_and_the_end_lies_beyond_the_balance() -> None:
    gauge = Gauge(owed=1_000_000)

    assert (gauge.level, gauge.used_percent, gauge.headroom) == (Level.OK, None, None)
    assert gauge.place(gauge.owed) < STEPS


def test_more_than_the_limit_is_still_on_the_gauge() -> None:
    gauge = Gauge(owed=150, limit=100)

    assert gauge.place(100) < gauge.place(150) <= STEPS
    assert gauge.headroom == 0


def test_a_prepaid_account_that_moved_nothing_is_drawn_in_the_middle() -> None:
    assert Gauge(owed=0, limit=0).place(0) == STEPS // 2


@given(
    owed=st.integers(min_value=-(2**63), max_value=2**63 - 1),
    incoming=AMOUNTS,
    outgoing=AMOUNTS,
    limit=st.none() | AMOUNTS,
    settle_at=st.none() | AMOUNTS,
)
def test_every_amount_of_a_gauge_has_a_place_in_order(
    owed: int, incoming: int, outgoing: int, limit: int | None, settle_at: int | None
) -> None:
    gauge = Gauge(
        owed=owed, incoming=incoming, outgoing=outgoing, limit=limit, settle_at=settle_at
    )

    places = [gauge.place(a) for a in sorted((owed - outgoing, owed, owed + incoming))]

    assert places == sorted(places)
    assert all(0 <= place <= STEPS for place in places)
