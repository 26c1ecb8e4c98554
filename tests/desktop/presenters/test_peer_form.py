from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from core.account import AMOUNT_MAX_BOOKED, Account, AccountId, Asset, Secret
from core.control.shares import read_share
from core.packet import address
from desktop.models.peer_editor import FIELDS, NEW_PEER
from desktop.presenters.peer_form import (
    details_of,
    differences,
    stored_secrets,
    texts_of,
    undo_details,
)

BOB = Account(
    id=AccountId("b0b"),
    username="bob",
    ilp_address=address("test.alice.bob"),
    asset=Asset("USD", 2),
    max_packet_amount=2**64 - 1,
    min_balance=-10_000,
)


def typed(**texts: str) -> dict[str, str]:
    return {**NEW_PEER, "username": "bob", "asset_code": "USD", "credit_amount": "100", **texts}


def test_amounts_are_typed_in_whole_units_and_read_exactly() -> None:
    details, problems = details_of(typed(credit_amount="1 234.50", max_packet_amount="0.29"))

    assert problems == {}
    assert (details.min_balance, details.max_packet_amount) == (-123_450, 29)


def test_more_decimals_than_the_asset_has_are_a_problem_and_no_rounding() -> None:
    _, problems = details_of(typed(credit_amount="0.005"))

    assert problems == {
        "credit_amount": "USD here has 2 decimals: 0.005 cannot be represented."
    }


@pytest.mark.parametrize(
    ("choice", "amount", "expected"),
    [
        ("prepaid", "", 0),
        ("unlimited", "", None),
        ("limited", "12.40", -1_240),
        ("deposit", "5", 500),
    ],
)
def test_credit_is_an_explicit_choice(choice: str, amount: str, expected: int | None) -> None:
    details, problems = details_of(typed(credit=choice, credit_amount=amount))

    assert (details.min_balance, problems) == (expected, {})


def test_a_limited_credit_needs_its_amount() -> None:
    _, problems = details_of(typed(credit_amount=""))

    assert list(problems) == ["credit_amount"]


def test_what_does_not_agree_is_said_in_whole_units() -> None:
    details, problems = details_of(typed(settle_threshold="10", settle_to="20"))

    assert problems == {
        "settle_to": "It must be less than the 10.00\u00a0USD at which you settle, "
        "or nothing would be paid."
    }
    assert details.settle_to is None


def test_a_packet_of_nothing_is_no_limit() -> None:
    _, problems = details_of(typed(max_packet_amount="0"))

    assert "at least 0.01\u00a0USD" in problems["max_packet_amount"]


def test_a_missing_number_of_decimals_is_said_where_it_is_typed() -> None:
    for text in ("", "two", "256", "9" * 5000):
        _, problems = details_of(typed(asset_scale=text))
        assert "asset_scale" in problems, text
        assert "Exceeds" not in problems["asset_scale"]


def test_a_token_that_was_not_typed_stays_and_one_that_was_removed_is_cleared() -> None:
    details, _ = details_of(
        typed(ilp_over_http_outgoing_token="s3cret", link="both"),
        cleared=frozenset({"ilp_over_http_incoming_token"}),
    )

    assert details.ilp_over_http_outgoing_token == "s3cret"
    assert details.ilp_over_http_incoming_token == ""
    assert details.ilp_over_btp_incoming_token is None


def test_secrets_are_never_shown_again() -> None:
    account = dataclasses.replace(
        BOB, ilp_over_http_outgoing_token=Secret("hush"), has_ilp_over_btp_incoming_token=True
    )

    assert "hush" not in str(texts_of(account))
    assert stored_secrets(account) == {
        "ilp_over_http_outgoing_token",
        "ilp_over_btp_incoming_token",
    }


@pytest.mark.parametrize(
    ("spread", "text"), [("0.005", "0.5%"), ("0.002", "0.2%"), ("0", "0%"), ("1/3", "100/3%")]
)
def test_a_share_is_shown_as_a_per_cent_and_read_back_exactly(spread: str, text: str) -> None:
    account = dataclasses.replace(BOB, spread=Fraction(spread))

    assert texts_of(account)["spread"] == text
    assert read_share("spread", text) == account.spread


def test_a_difference_is_read_by_a_person() -> None:
    before = texts_of(BOB)
    after = {**before, "credit_amount": "200.0", "ilp_over_http_outgoing_token": "x"}

    found = differences(before, after, stored=frozenset(), cleared=frozenset())

    assert [(each.label, each.before, each.after) for each in found] == [
        ("Token we send", "none", "a new one"),
        ("Credit or deposit", "100.00\u00a0USD", "200.00\u00a0USD"),
    ]


def test_the_same_amount_written_otherwise_is_no_difference() -> None:
    before = texts_of(BOB)

    assert not differences(
        before, {**before, "credit_amount": "100"}, stored=frozenset(), cleared=frozenset()
    )


amounts = st.none() | st.integers(min_value=0, max_value=AMOUNT_MAX_BOOKED)


@given(
    scale=st.integers(min_value=0, max_value=255),
    min_balance=st.none()
    | st.integers(min_value=-AMOUNT_MAX_BOOKED, max_value=AMOUNT_MAX_BOOKED),
    packet=st.integers(min_value=1, max_value=2**64 - 1),
    threshold=amounts,
    settle_to=st.none() | st.integers(min_value=-(2**40), max_value=AMOUNT_MAX_BOOKED),
    minute=st.none() | st.integers(min_value=1, max_value=AMOUNT_MAX_BOOKED),
)
def test_what_is_shown_of_an_account_is_read_back_to_the_unit(
    scale: int,
    min_balance: int | None,
    packet: int,
    threshold: int | None,
    settle_to: int | None,
    minute: int | None,
) -> None:
    if threshold is not None and settle_to is not None:
        settle_to = min(settle_to, threshold - 1)
    account = dataclasses.replace(
        BOB,
        asset=Asset("XYZ", scale),
        min_balance=min_balance,
        max_packet_amount=packet,
        settle_threshold=threshold,
        settle_to=settle_to,
        amount_per_minute_limit=minute,
    )

    details = undo_details(account)

    assert details.asset_scale == scale
    assert details.min_balance == min_balance
    assert details.max_packet_amount == packet
    assert details.settle_threshold == threshold
    assert details.settle_to == settle_to
    assert details.amount_per_minute_limit == minute


def test_the_form_has_every_field_that_an_operator_may_type() -> None:
    from core.control.views import AccountDetails

    names = {field.name for field in dataclasses.fields(AccountDetails)}

    assert names - set(FIELDS) == {"min_balance"}
    assert set(FIELDS) - names == {"credit", "credit_amount", "link"}


def test_a_link_that_is_out_of_use_is_emptied_and_the_change_is_shown() -> None:
    texts = typed(
        link="btp",
        ilp_over_http_url="https://bob.example/ilp",
        ilp_over_btp_url="btp+wss://bob.example/btp",
        ilp_over_btp_outgoing_token="s3cret",
    )

    details, problems = details_of(texts)
    changes = differences(
        {**texts, "link": "http"},
        texts,
        stored=frozenset({"ilp_over_http_incoming_token"}),
        cleared=frozenset(),
    )

    assert not problems
    assert details.ilp_over_http_url is None
    assert details.ilp_over_http_incoming_token == ""
    assert details.ilp_over_btp_url == "btp+wss://bob.example/btp"
    assert details.ilp_over_btp_outgoing_token == "s3cret"
    shown = [(change.label, change.after) for change in changes]
    assert ("Their URL", "nothing") in shown
    assert ("Token they send", "removed") in shown


def test_limits_shares_and_filters_are_read_as_they_are_written() -> None:
    details, problems = details_of(
        typed(
            amount_burst_limit="1.50",
            packets_in_flight_limit="64",
            spread="0.5%",
            send_routes="no",
            import_prefixes="test.alice, test.bob",
            route_weight="-3",
        )
    )

    assert not problems
    assert details.amount_burst_limit == 150
    assert details.packets_in_flight_limit == 64
    assert details.spread == "0.5%"
    assert (details.send_routes, details.receive_routes) == (False, None)
    assert details.import_prefixes == ("test.alice", "test.bob")
    assert details.route_weight == -3
