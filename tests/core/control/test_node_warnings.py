"""What the operator is warned of: clocks that are wrong, and secrets that are none."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from core.account import Secret
from core.config import EXAMPLE_TOKENS, Bind, NodeConfig
from core.control.node_warnings import (
    NodeWarning,
    Topic,
    clock_warnings,
    offset_words,
    span_words,
)
from core.control.views import AccountDetails
from core.host import NodeHost
from core.links.control_http.as_json import status_json
from core.packet import address
from core.telemetry.peer_time import ClockReading, PeerClock
from tests.core.control.bench import Bench

DOCS = Path(__file__).parents[3] / "docs"


def reading(
    offset_ms: int = 0,
    bound_ms: int = 30,
    peers: tuple[str, ...] = ("alice", "bob", "carol"),
    wrong: tuple[PeerClock, ...] = (),
) -> ClockReading:
    return ClockReading(
        offset_ms=offset_ms, bound_ms=bound_ms, peers=peers, told_at_ms=1_000, wrong=wrong
    )


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(0, "0 ms"), (-340, "340 ms"), (1_000, "1.0 s"), (-5_040, "5.0 s"), (59_949, "59.9 s"),
     (59_950, "1 min"), (200_000, "3 min"), (7_200_000, "2 h"), (864_000_000, "10 days")],
)  # fmt: skip
def test_a_length_of_time_is_said_as_exactly_as_it_matters(
    milliseconds: int, words: str
) -> None:
    assert span_words(milliseconds) == words


@pytest.mark.parametrize(
    ("offset", "bound", "words"),
    [(12, 8, "+12 ms"), (-12, 8, "−12 ms"), (0, 8, "±0 ms"), (12, 60, "+10 ms"),
     (40, 500, "±0 ms"), (-130, 500, "−100 ms"), (5_012, 520, "+5.0 s")],
)  # fmt: skip
def test_an_offset_is_said_no_more_exactly_than_it_is_known(
    offset: int, bound: int, words: str
) -> None:
    assert offset_words(offset, bound) == words


@pytest.mark.parametrize(
    "seen", [None, reading(), reading(900), reading(1_500, 600), reading(-1_500, 600)]
)
def test_a_clock_that_may_be_right_is_not_warned_of(seen: ClockReading | None) -> None:
    assert list(clock_warnings(seen)) == []


def test_a_clock_that_is_ahead_makes_packets_expire_early() -> None:
    (warning,) = clock_warnings(reading(5_000))
    assert warning.topic is Topic.CLOCK
    assert "clock is 5.0 s ahead of those of 3 peers. Packets expire early here" in (
        warning.sentence
    )
    assert "timedatectl" in warning.sentence
    assert "chrony" in warning.sentence


def test_a_clock_that_is_behind_costs_money() -> None:
    (warning,) = clock_warnings(reading(-5_000))
    assert "clock is 5.0 s behind those of 3 peers. Packets expire late here" in (
        warning.sentence
    )
    assert "at your loss" in warning.sentence


def test_of_one_peer_and_us_either_may_be_wrong() -> None:
    (warning,) = clock_warnings(reading(5_000, peers=("bob",)))
    assert "that of bob, the only peer that has told the time" in warning.sentence
    assert "one of the two is wrong" in warning.sentence


def test_the_wrong_clock_of_a_peer_is_said_of_the_peer() -> None:
    wrong = (PeerClock("bob", -90_000), PeerClock("dave", 5_000))
    (warning,) = clock_warnings(reading(wrong=wrong))
    assert warning.topic is Topic.PEER_CLOCK
    assert warning.sentence.startswith(
        "The clock of bob is 2 min behind, as the other peers say; those of dave are wrong too"
    )


async def test_the_clock_and_what_is_wrong_are_in_the_status(bench: Bench) -> None:
    assert (await bench.control.status()).clock is None

    facts = replace(
        bench.sources.facts,
        clock_reading=lambda: reading(5_000, wrong=(PeerClock("bob", -90_000),)),
        warnings=lambda: (NodeWarning(Topic.PORT, "It is open."),),
    )
    status = await bench.control_with(facts=facts).status()
    assert status.ready, "a wrong clock takes packets, and is mended without a stop"
    topics = [warning.topic for warning in status.warnings]
    assert topics == [Topic.CLOCK, Topic.PEER_CLOCK, Topic.PORT]

    told = status_json(status)
    assert told["clock"] == {
        "offset_ms": 5_000,
        "bound_ms": 30,
        "peers": ["alice", "bob", "carol"],
        "told_at_ms": 1_000,
        "wrong_peers": [{"username": "bob", "offset_ms": -90_000}],
    }
    assert isinstance(told["warnings"], list)
    assert told["warnings"][-1] == {"topic": "port", "sentence": "It is open."}


# --- Secrets


def config(token: str = "the-operators-own-token-0001", **changes: object) -> NodeConfig:
    plain = NodeConfig(
        store="memory:",
        http_bind=Bind("127.0.0.1", 0),
        ilp_address=address("test.node"),
        admin_token=Secret(token),
        drain_seconds=1,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the caller's fields


async def warned(settings: NodeConfig) -> list[tuple[Topic, str]]:
    host = await NodeHost.start(settings)
    try:
        return [(each.topic, each.sentence) for each in (await host.control.status()).warnings]
    finally:
        await host.stop()


async def test_a_node_with_good_secrets_on_this_machine_alone_warns_of_nothing() -> None:
    assert await warned(config()) == []


@pytest.mark.logs_warning
async def test_a_short_admin_token_is_warned_of_as_long_as_it_is_used() -> None:
    ((topic, sentence),) = await warned(config("short"))
    assert topic is Topic.SECRETS
    assert sentence.startswith("The admin token has 5 characters and can be guessed")
    assert sentence.endswith(".")


@pytest.mark.logs_warning
@pytest.mark.parametrize("token", ["hi_our_admin", "Alices-Own-Token-0123456789"])
async def test_an_admin_token_out_of_examples_is_warned_of(token: str) -> None:
    ((topic, sentence),) = await warned(config(token))
    assert topic is Topic.SECRETS
    assert "stands in examples" in sentence
    assert token not in sentence


@pytest.mark.logs_warning
async def test_a_port_that_others_can_reach_is_warned_of_unless_a_proxy_stands_before_it() -> (
    None
):
    everywhere = Bind("0.0.0.0", 0)
    ((topic, sentence),) = await warned(config(http_bind=everywhere))
    assert topic is Topic.PORT
    assert "open to other machines" in sentence
    assert await warned(config(http_bind=everywhere, public_host="pay.example")) == []


async def test_accounts_whose_token_stands_in_examples_are_named_until_they_have_another() -> (
    None
):
    host = await NodeHost.start(config())
    try:
        for name, token in (
            ("alice", "alices-own-token-0123456789"),
            ("bob", "bob-password"),
            ("carol", "a-token-of-her-own-0123456789"),
        ):
            await host.control.create_account(
                AccountDetails(
                    username=name,
                    asset_code="USD",
                    asset_scale=2,
                    ilp_over_http_incoming_token=token,
                )
            )
        (warning,) = (await host.control.status()).warnings
        assert warning.topic is Topic.SECRETS
        assert warning.sentence.startswith("alice and bob log in with tokens out of examples")

        for name in ("alice", "bob"):
            await host.control.change_account(
                name, {"ilp_over_http_incoming_token": f"{name}-another-0123456789"}
            )
        assert (await host.control.status()).warnings == ()
    finally:
        await host.stop()


def test_every_token_that_our_own_pages_show_is_known() -> None:
    pages = "".join(page.read_text() for page in sorted(DOCS.glob("*.md")))
    shown = re.findall(r'incoming_token": "([^"]{16,})"', pages)
    assert shown
    assert set(shown) <= set(EXAMPLE_TOKENS)
