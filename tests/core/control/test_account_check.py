"""What the operator is told of an account before it is saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.account import Account, AccountId, RoutingRelation
from core.control.account_check import Draft, Surroundings, draft_account
from core.ledger.books import Balance
from core.packet import address
from core.testing.builders import account
from tests.core.control.bench import details

NEW = AccountId("id-of-new")


def draft(username: str = "bob", **changes: Any) -> Draft:
    return draft_in(surroundings(), username, **changes)


def draft_in(around: Surroundings, username: str = "bob", **changes: Any) -> Draft:
    return draft_account(details(username, **changes), around, account_id=NEW, now_ms=1)


def surroundings(*others: Account, **changes: Any) -> Surroundings:
    plain = Surroundings(
        node_address=address("test.node"),
        others=others,
        engine_urls={},
        token_owner=lambda token: None,
    )
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("asset_code", "", "'' was found; it needs 1 to 12 printable characters"),
        ("asset_code", "THIRTEENCHARS", "'THIRTEENCHARS' was found"),
        ("asset_scale", 256, "256 was found; it needs 0 to 255"),
        ("asset_scale", -1, "-1 was found; it needs 0 to 255"),
        ("ilp_address", "test", "behind the scheme a segment is needed"),
        ("ilp_address", "test..bob", "segment 2 is empty"),
        ("ilp_address", "test.node", "is this node's own address"),
        ("ilp_address", "g.bob", "forwards nothing to another one"),
        ("max_packet_amount", 0, "0 was found; it needs 1 to 18446744073709551615"),
        ("max_packet_amount", 2**64, "it needs 1 to 18446744073709551615"),
        ("min_balance", -(2**63) - 1, "the books carry 64 bits with a sign"),
        ("settle_threshold", 2**63, "the books carry 64 bits with a sign"),
        ("settle_to", 2**63, "the books carry 64 bits with a sign"),
        ("packets_per_minute_limit", 0, "it needs 1 to 4294967295: leave it out for no limit"),
        ("amount_per_minute_limit", 0, "leave it out for no limit"),
        ("round_trip_time", -1, "it counts milliseconds"),
        ("routing_relation", "Cousin", "it is one of NonRoutingAccount, Parent, Peer, Child"),
        ("ilp_over_http_url", "ftp://bob.example", "it needs http:// or https://"),
        ("ilp_over_http_url", "https://", "it needs a host"),
        (
            "ilp_over_http_url",
            "https://me:pass@bob.example/",
            "put the token into its own field",
        ),
        ("ilp_over_http_url", "http://169.254.169.254/latest", "where no peer can be"),
        ("ilp_over_http_url", "https://bob.example/#x", "never sent"),
        ("ilp_over_http_url", "https://bob.example:99999/", "is no URL"),
        ("ilp_over_http_url", "https://bob example/", "character 12 is a blank"),
        ("ilp_over_http_url", "https://bob\u00a0example/", "visible ASCII"),
        ("ilp_over_btp_url", "https://bob.example", "it needs ws:// or wss://"),
        ("ilp_over_btp_url", "btp+wss://me:token@bob.example", "token into its own field"),
        ("ilp_over_btp_url", "btp+wss://:token@bob.example", "token into its own field"),
        ("username", "no " * 5000, f"'{'no ' * 20}…' was found"),
        ("asset_code", "USD" * 5000, f"'{'USD' * 20}…' was found"),
        ("ilp_over_http_incoming_token", "with blanks", "a header cannot carry"),
        ("ilp_over_http_incoming_token", "SECRET", "leave the field out to keep the token"),
        ("ilp_over_btp_outgoing_token", "SECRET", "stands for a token that is set"),
        ("ilp_over_http_outgoing_token", "x" * 1025, "it has 1025 characters"),
        ("settlement_engine_url", "ethereum", "it needs signalbox:ENGINE"),
        ("settlement_engine_url", "signalbox:", "an engine's name is needed"),
        ("settlement_engine_url", "signalbox:Eth er", "an engine's name is needed"),
        ("packet_burst_limit", 0, "it needs 1 to 4294967295: leave it out for no limit"),
        ("amount_burst_limit", 2**64, "it needs 1 to 18446744073709551615"),
        ("packets_in_flight_limit", 0, "leave it out for no limit"),
        ("amount_in_flight_limit", 0, "leave it out for no limit"),
        ("outgoing_amount_per_minute_limit", 0, "leave it out for no limit"),
        ("spread", "1", "1 was found; it needs 0 or more and less than 1"),
        ("spread", "100%", "it needs 0 or more and less than 1"),
        ("spread", "-0.1", "it needs a number like 0.005, 1/200 or 0.5%"),
        ("spread", "1e-3", "it needs a number like 0.005, 1/200 or 0.5%"),
        ("spread", "1/0", "nothing is divided by 0"),
        ("spread", "0." + "0" * 18 + "1", "more than 18 decimals"),
        ("import_prefixes", ("test..far",), "segment 2 is empty"),
        ("import_prefixes", ("",), "an ILP address cannot be empty"),
        ("export_prefixes", tuple(f"g.n{n}" for n in range(257)), "256 are allowed"),
        ("routes_max", 0, "it needs 1 to 1000000: receive_routes says whether any are taken"),
        ("route_weight", -1_000_001, "of two equal prefixes the heavier wins"),
        ("label", "two\nlines", "on one line"),
        ("notes", "x" * 4001, "it has 4001 characters"),
    ],
)
def test_a_field_that_cannot_be_says_what_was_found_and_what_is_needed(
    field: str, value: Any, sentence: str
) -> None:
    found = draft(**{field: value})

    (fault,) = found.faults
    assert fault.field == field
    assert sentence in fault.problem
    assert found.account is None


@pytest.mark.parametrize("username", ["b", "x" * 33, "bob smith", "bob.smith", "böb", ""])
def test_a_username_is_a_segment_of_an_address(username: str) -> None:
    (fault,) = draft(username).faults

    assert fault.field == "username"
    assert "2 to 32 characters of a-z, 0-9, _, ~ and -" in fault.problem


@pytest.mark.parametrize("username", ["Bob", " bob ", "ＢＯＢ", "BOB"])
def test_a_username_has_one_canonical_form(username: str) -> None:
    found = draft(username)

    assert found.account is not None
    assert found.account.username == "bob"
    assert found.account.ilp_address == "test.node.bob"


def test_an_asset_code_is_kept_in_upper_case() -> None:
    found = draft(asset_code=" usd ")

    assert found.account is not None
    assert found.account.asset.code == "USD"


def test_all_faults_are_shown_at_once() -> None:
    found = draft("x", asset_scale=300, max_packet_amount=0, round_trip_time=-1)

    assert [fault.field for fault in found.faults] == [
        "username",
        "asset_scale",
        "max_packet_amount",
        "round_trip_time",
    ]


def test_no_fault_repeats_a_token() -> None:
    token = "sw0rdfish and chips"
    found = draft(ilp_over_http_incoming_token=token, ilp_over_http_outgoing_token=token)

    assert len(found.faults) == 2
    assert "fish" not in "".join(fault.problem for fault in found.faults)


@pytest.mark.parametrize(
    ("threshold", "settle_to"), [(100, 100), (99, 100), (0, None), (0, 0), (-200, -100)]
)
def test_a_threshold_must_be_above_what_is_settled_to(
    threshold: int, settle_to: int | None
) -> None:
    (fault,) = draft(settle_threshold=threshold, settle_to=settle_to).faults

    assert fault.field == "settle_threshold"
    assert "there would be nothing to pay" in fault.problem


def test_a_peer_may_be_prefunded() -> None:
    found = draft(settle_threshold=0, settle_to=-10_000)

    assert not found.faults
    assert (
        "When you owe bob 0.00 USD or more, you pay until bob holds 100.00 USD of yours in advance."
        in found.check.summary
    )


def test_there_is_one_parent() -> None:
    around = surroundings(account("alice", routing_relation=RoutingRelation.PARENT))

    (fault,) = draft_in(around, routing_relation="parent").faults

    assert fault.problem == "alice is the parent already, and there is one"


def test_what_another_account_has_is_a_problem_of_its_own_kind() -> None:
    around = surroundings(account("bob"), token_owner=lambda token: "bob")

    found = draft_in(around, "Bob", ilp_over_http_incoming_token="a-token-of-some-length")

    assert not found.faults
    assert [problem.field for problem in found.taken] == [
        "username",
        "ilp_address",
        "ilp_over_http_incoming_token",
    ]
    assert found.check.problems == found.taken


def test_an_account_keeps_its_own_name_and_token_when_it_changes() -> None:
    around = surroundings(existing=account("bob", id=NEW), token_owner=lambda token: "bob")

    found = draft_in(around, ilp_over_http_incoming_token="a-token-of-some-length")

    assert not found.check.problems


def test_the_asset_cannot_change_once_something_is_booked() -> None:
    moved = surroundings(existing=account("bob"), balance=Balance(payable=1240))
    still = surroundings(existing=account("bob"), balance=None)

    (fault,) = draft_in(moved, asset_code="EUR").faults
    assert fault.field == "asset_code"
    assert "net 12.40 USD" in fault.problem
    assert draft_in(moved, asset_scale=9).faults[0].field == "asset_scale"
    assert not draft_in(still, asset_code="EUR").faults


def test_an_address_of_the_engine_s_ledger_is_checked() -> None:
    engine = "signalbox:ethereum"

    found = draft(
        settlement_engine_url=engine, settlement_address="rPEPPER7kfTD9w2To4CQk6UCfuHM9c6GDY"
    )
    of_the_asset = draft_in(
        surroundings(engine_urls={"USD": engine}), settlement_address="0x12"
    )
    good = draft(settlement_engine_url=engine, settlement_address="0x" + "aB" * 20)

    assert "40 hexadecimal digits" in found.faults[0].problem
    assert "40 hexadecimal digits" in of_the_asset.faults[0].problem
    assert not good.faults


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({}, "min_balance", "bob may owe you without limit"),
        ({"min_balance": 0}, "ilp_over_http_incoming_token", "bob cannot send you packets"),
        (
            {"min_balance": -100, "max_packet_amount": 101},
            "max_packet_amount",
            "1.01 USD, more than bob may owe altogether, 1.00 USD",
        ),
        (
            {"min_balance": -100, "settle_threshold": 5, "settle_to": -200},
            "settle_to",
            "after a settlement bob could send nothing",
        ),
        (
            {"ilp_over_http_url": "http://bob.example/ilp"},
            "ilp_over_http_url",
            "everybody on the way can read the token",
        ),
        (
            {"ilp_over_http_url": "https://bob.example/ilp"},
            "ilp_over_http_outgoing_token",
            "bob will probably not accept your packets",
        ),
        ({"ilp_over_http_outgoing_token": "x" * 20}, "ilp_over_http_url", "has no use"),
        (
            {"ilp_over_btp_url": "btp+ws://bob.example"},
            "ilp_over_btp_url",
            "everybody on the way can read the token",
        ),
        (
            {"ilp_over_btp_url": "wss://bob.example"},
            "ilp_over_btp_outgoing_token",
            "bob will probably not let you connect",
        ),
        ({"ilp_over_btp_outgoing_token": "x" * 20}, "ilp_over_btp_url", "has no use"),
        (
            {"ilp_over_http_incoming_token": "short"},
            "ilp_over_http_incoming_token",
            "it has 5 characters: use 16 or more",
        ),
        ({"round_trip_time": 20_000}, "round_trip_time", "20000 ms"),
        ({"settle_to": 5}, "settle_threshold", "without it settle_to does nothing"),
        ({"settle_threshold": 5}, "settlement_engine_url", "USD has no default engine"),
        (
            {"settlement_engine_url": "signalbox:etherium"},
            "settlement_engine_url",
            "no engine called etherium has ever run here, so nothing will be paid: did you mean signalbox:ethereum?",
        ),
        (
            {"settlement_engine_url": "signalbox:xyz"},
            "settlement_engine_url",
            "is its name right?",
        ),
        (
            {"settlement_engine_url": "signalbox:ethereum"},
            "settlement_engine_url",
            "the engine ethereum pays ETH, so nothing will be paid in USD",
        ),
        (
            {"settle_threshold": 5, "settlement_engine_url": "signalbox:ethereum"},
            "settlement_address",
            "does not know where to pay bob",
        ),
        ({"ilp_address": "test.elsewhere.bob"}, "ilp_address", "not under our test.node"),
    ],
)
def test_what_is_allowed_and_probably_not_meant_is_a_warning(
    changes: dict[str, Any], field: str, sentence: str
) -> None:
    found = draft(**changes)

    assert not found.check.problems
    assert any(
        warning.field == field and sentence in warning.problem
        for warning in found.check.warnings
    )


def test_an_engine_that_has_run_here_is_known_by_whatever_name() -> None:
    check = draft_in(
        surroundings(engines={"cold-wallet": "USD"}),
        settlement_engine_url="signalbox:cold-wallet",
    ).check

    assert "settlement_engine_url" not in {found.field for found in check.warnings}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:7770/ilp", "http://localhost/ilp", "http://[::1]:80/ilp"]
)
def test_plain_http_is_fine_within_one_machine(url: str) -> None:
    found = draft(ilp_over_http_url=url, ilp_over_http_outgoing_token="x" * 20)

    assert not any(warning.field == "ilp_over_http_url" for warning in found.check.warnings)


def test_sound_settings_have_no_warning() -> None:
    found = draft_in(
        surroundings(engine_urls={"USD": "signalbox:ethereum"}),
        min_balance=-10_000,
        max_packet_amount=100,
        ilp_over_http_url="https://bob.example/ilp",
        ilp_over_http_incoming_token="i" * 32,
        ilp_over_http_outgoing_token="o" * 32,
        settle_threshold=2_000,
        settle_to=0,
        settlement_address="0x" + "1" * 40,
    )

    assert not found.check.warnings
    assert found.check.summary == (
        "bob may owe you up to 100.00 USD.",
        "Packets from bob of more than 1.00 USD are refused.",
        "When you owe bob 20.00 USD or more, you pay until you owe 0.00 USD.",
        "bob must let you owe more than 20.00 USD, or packets are refused before anything is settled.",
        "Packets for bob go to https://bob.example/ilp.",
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"min_balance": None}, "bob may owe you without limit."),
        ({"min_balance": 0}, "bob must pay in advance, and may owe you nothing."),
        ({"min_balance": 500}, "bob must always keep 5.00 USD with you in advance."),
        ({"packets_per_minute_limit": 60}, "bob may send up to 60 packets a minute."),
        ({"amount_per_minute_limit": 60}, "bob may send up to 0.60 USD a minute."),
        (
            {"packets_per_minute_limit": 60, "packet_burst_limit": 5},
            "bob may send up to 60 packets a minute, and 5 at once.",
        ),
        (
            {"amount_per_minute_limit": 60, "amount_burst_limit": 5},
            "bob may send up to 0.60 USD a minute, and 0.05 USD at once.",
        ),
        (
            {"packets_in_flight_limit": 9},
            "Up to 9 packets of bob may wait for their answers at once.",
        ),
        (
            {"amount_in_flight_limit": 900},
            "Packets of bob that wait for their answers may carry 9.00 USD together.",
        ),
        (
            {"outgoing_amount_per_minute_limit": 900},
            "Up to 9.00 USD a minute is sent to bob.",
        ),
        ({"spread": "0.50%"}, "Of what goes to bob, a share of 0.005 stays here."),
        ({"spread": "1/3"}, "Of what goes to bob, a share of 1/3 stays here."),
        (
            {"import_prefixes": ("test.z", "test.a")},
            "Of bob's routes, only those under test.a, test.z are taken.",
        ),
        ({"export_prefixes": ("g",)}, "bob is told only routes under g."),
        ({"routes_max": 1}, "bob may tell us up to 1 route."),
        ({"packets_per_minute_limit": 1}, "bob may send up to 1 packet a minute."),
        ({"routes_max": 7}, "bob may tell us up to 7 routes."),
        ({}, "What you owe bob is settled only when you say so."),
        ({"enabled": False}, "bob is paused: nothing is taken from it and nothing sent to it."),
        ({}, "bob has no address to send packets to: only payments that end here reach it."),
        (
            {"ilp_over_btp_url": "wss://bob.example"},
            "bob is dialled over BTP at wss://bob.example, and packets go both ways there.",
        ),
        (
            {"ilp_over_btp_incoming_token": "x" * 20},
            "Packets for bob go over its own BTP connection, while it has one.",
        ),
        (
            {
                "ilp_over_btp_url": "wss://bob.example",
                "ilp_over_http_url": "https://bob.example/ilp",
            },
            "Packets for bob go to https://bob.example/ilp while BTP is not connected.",
        ),
        (
            {"label": "Bob's Bank", "min_balance": 0},
            "Bob's Bank must pay in advance, and may owe you nothing.",
        ),
    ],
)
def test_the_summary_says_in_plain_words_what_the_settings_mean(
    changes: dict[str, Any], sentence: str
) -> None:
    assert sentence in draft(**changes).check.summary


def test_details_do_not_show_their_tokens() -> None:
    secrets = {
        f"ilp_over_{link}_{way}_token": "sw0rdfish"
        for link in ("http", "btp")
        for way in ("incoming", "outgoing")
    }

    assert "sw0rdfish" not in repr(details("bob", **secrets))
