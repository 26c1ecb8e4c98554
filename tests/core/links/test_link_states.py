"""The one word for a link, and why."""

from __future__ import annotations

import errno
import socket

from core.account import Account
from core.control.views import LinkState
from core.links.link_states import (
    FAILURES_MAX,
    HYSTERESIS_SECONDS,
    STALE_SECONDS,
    Failure,
    LinkStates,
    asks_itself,
    of_connecting,
)
from core.packet import Prepare
from core.routing.voices import GONE_SECONDS
from core.service import OutgoingRequest
from tests.core.links.conftest import CONDITION, account, bob_at

BOB = bob_at("http://127.0.0.1/")


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


def test_a_link_that_was_never_tried_is_neither_up_nor_down() -> None:
    states = LinkStates(HandClock())

    assert states.state(BOB)[0] is LinkState.NEVER


def test_an_account_without_an_address_and_a_paused_one_say_so() -> None:
    states = LinkStates(HandClock())

    assert "no address" in states.state(account("bob"))[1]
    assert states.state(account("bob", enabled=False))[0] is LinkState.PAUSED


def test_a_link_is_up_while_it_answers_and_idle_when_it_has_not_been_asked_for_a_minute() -> (
    None
):
    clock = HandClock()
    states = LinkStates(clock)
    states.worked(states.history(BOB.id))

    assert states.state(BOB)[0] is LinkState.UP
    clock.seconds += 125
    assert states.state(BOB) == (LinkState.IDLE, "Its last answer came 2 minutes ago.")


def test_a_failure_degrades_a_link_and_ten_seconds_of_them_take_it_down() -> None:
    clock = HandClock()
    states = LinkStates(clock)
    history = states.history(BOB.id)
    states.worked(history)
    clock.seconds += 1

    assert states.failed(history, "Nobody listens.", Failure.UNREACHABLE)
    state, reason = states.state(BOB)
    assert state is LinkState.DEGRADED
    assert reason.startswith("Nobody listens. It worked")
    clock.seconds += 10
    assert not states.failed(history, "Nobody listens.", Failure.UNREACHABLE)
    assert states.state(BOB)[0] is LinkState.DOWN


def test_a_link_whose_first_packet_fails_is_down_at_once() -> None:
    states = LinkStates(HandClock())
    states.failed(states.history(BOB.id), "Nobody listens.", Failure.UNREACHABLE)

    assert states.state(BOB)[0] is LinkState.DOWN


def test_a_link_that_works_again_is_called_up_ten_seconds_later() -> None:
    clock = HandClock()
    states = LinkStates(clock)
    history = states.history(BOB.id)
    states.failed(history, "Nobody listens.", Failure.UNREACHABLE)
    clock.seconds += 5
    states.worked(history)

    assert states.state(BOB) == (
        LinkState.DEGRADED,
        "It works again; 5 seconds ago: Nobody listens.",
    )
    clock.seconds += 5
    assert states.state(BOB)[0] is LinkState.UP


def test_what_is_known_of_a_link_can_be_forgotten() -> None:
    states = LinkStates(HandClock())
    states.worked(states.history(BOB.id))

    states.forget(BOB.id)

    assert states.state(BOB)[0] is LinkState.NEVER


# --- BTP

ALICE = account("alice", has_ilp_over_btp_incoming_token=True)
CAROL = account("carol", ilp_over_btp_url="wss://carol.example")


def test_an_account_that_speaks_btp_alone_says_who_is_to_connect() -> None:
    states = LinkStates(HandClock())

    assert states.state(ALICE) == (LinkState.NEVER, "It has not connected over BTP yet.")
    assert states.state(CAROL) == (LinkState.NEVER, "It has not been dialled over BTP yet.")
    states.btp(CAROL.id).trying = "wss://carol.example/ is being dialled."
    assert states.state(CAROL)[1] == "wss://carol.example/ is being dialled."


def test_a_connection_counts_from_its_first_moment_and_its_end_soon_is_down() -> None:
    clock = HandClock()
    states = LinkStates(clock)
    assert states.btp_opened(ALICE.id)
    clock.seconds += 130
    assert not states.btp_opened(ALICE.id)

    assert states.state(ALICE) == (
        LinkState.UP,
        "Connected over BTP by 2 connections for 2 minutes.",
    )

    assert not states.btp_closed(ALICE.id, "It closed the connection.")
    assert states.btp_closed(ALICE.id, "It closed the connection.")
    words = "It closed the connection. It has to connect again."
    assert states.state(ALICE) == (LinkState.DEGRADED, words)
    clock.seconds += 11
    assert states.state(ALICE) == (LinkState.DOWN, words)


def test_packets_that_fail_on_an_open_connection_are_what_is_said_of_it() -> None:
    states = LinkStates(HandClock())
    states.btp_opened(ALICE.id)
    history = states.history(ALICE.id)
    states.worked(history)

    states.failed(history, "It did not answer before a packet expired.", Failure.UNCLEAR)

    state, words = states.state(ALICE)
    assert state is LinkState.DEGRADED
    assert words.startswith("It did not answer before a packet expired.")
    assert words.endswith("Connected over BTP for 0 seconds.")


def test_what_failed_with_the_last_connection_says_nothing_of_a_new_one() -> None:
    clock = HandClock()
    states = LinkStates(clock)
    for has_worked in (False, True):
        states.btp_opened(ALICE.id)
        if has_worked:
            states.worked(states.history(ALICE.id))
        states.failed(states.history(ALICE.id), "Its connection ended.", Failure.UNREACHABLE)
        states.btp_closed(ALICE.id, "It closed the connection.")
        clock.seconds += 60
        assert states.state(ALICE)[0] is LinkState.DOWN

        states.btp_opened(ALICE.id)

        assert states.state(ALICE) == (LinkState.UP, "Connected over BTP for 0 seconds.")
        states.btp_closed(ALICE.id, "It closed the connection.")


def test_an_account_with_both_links_is_judged_by_its_packets_while_btp_is_down() -> None:
    both = account(
        "dora",
        ilp_over_http_url="http://127.0.0.1/",
        has_ilp_over_btp_incoming_token=True,
    )
    states = LinkStates(HandClock())
    states.btp_opened(both.id)
    states.btp_closed(both.id, "It closed the connection.")
    states.worked(states.history(both.id))

    assert states.state(both) == (LinkState.UP, "It answers.")


# --- What a failure says of the other side


def test_a_packet_that_was_not_answered_degrades_a_link_and_never_takes_it_down() -> None:
    """Whoever it was passed on to may have kept it."""
    clock = HandClock()
    states = LinkStates(clock)
    history = states.history(BOB.id)
    for _ in range(20):
        states.failed(history, "It did not answer before a packet expired.", Failure.UNCLEAR)
        clock.seconds += HYSTERESIS_SECONDS

    state, reason = states.state(BOB)
    assert state is LinkState.DEGRADED
    assert reason.endswith(
        "So it has been for 3 minutes; whoever is behind it may be to blame."
    )
    assert not states.is_gone(BOB)


def test_what_it_answers_shows_that_it_is_there_also_where_it_is_no_reply() -> None:
    states = LinkStates(HandClock())
    history = states.history(BOB.id)
    for _ in range(FAILURES_MAX):
        states.failed(history, "Nobody listens.", Failure.UNREACHABLE)
        states.failed(history, "It did not answer.", Failure.UNCLEAR)
    sound = [history.is_sound]

    states.failed(history, "It answered with HTTP 401.", Failure.ANSWERED)

    assert [*sound, history.is_sound] == [False, True]
    assert states.state(BOB)[0] is LinkState.DOWN, "the operator has to see it all the same"


def test_a_link_is_there_again_only_where_it_was_not() -> None:
    """Else whoever lets packets run out could have the parent asked for our address again and again."""
    states = LinkStates(HandClock())
    history = states.history(BOB.id)
    came_up = []
    for failure in (Failure.UNCLEAR, Failure.UNREACHABLE, Failure.ANSWERED):
        states.failed(history, "It failed.", failure)
        states.worked(history)
        came_up.append(states.came_up(BOB.id))

    assert came_up == [0, 1, 2]


def test_only_questions_for_itself_are_for_the_other_side_alone_to_answer() -> None:
    alice = account("alice")
    cases = {
        (BOB, "test.node.bob"): True,
        (BOB, "peer.route.control"): True,
        (BOB, "test.node.bob.shop"): False,  # an operator's ping of an address beyond
        (alice, "test.node.bob"): False,  # with a time that its sender has chosen
    }
    for (sender, destination), expected in cases.items():
        packet = Prepare.build(
            amount=0, expires_at_ms=0, condition=CONDITION, destination=destination
        )
        request: OutgoingRequest[Account] = OutgoingRequest(sender, BOB, packet, 0, 0)
        assert asks_itself(request) is expected, destination


def test_what_this_machine_lacks_says_nothing_of_the_other_side() -> None:
    assert of_connecting(OSError(errno.EMFILE, "")) is Failure.UNCLEAR
    assert of_connecting(OSError("32 names are being looked up")) is Failure.UNCLEAR
    assert of_connecting(ConnectionRefusedError(errno.ECONNREFUSED, "")) is Failure.UNREACHABLE
    assert of_connecting(ConnectionResetError("no number")) is Failure.UNREACHABLE
    assert of_connecting(OSError(errno.EHOSTUNREACH, "")) is Failure.UNREACHABLE
    assert of_connecting(socket.gaierror(socket.EAI_NONAME, "")) is Failure.UNREACHABLE


# --- Gone


def test_a_peer_is_gone_once_it_has_seemed_so_for_a_while_and_one_sign_of_life_ends_that() -> (
    None
):
    clock = HandClock()
    states = LinkStates(clock)
    history = states.history(BOB.id)
    states.failed(history, "Nobody listens.", Failure.UNREACHABLE)
    clock.seconds += STALE_SECONDS + 1
    states.failed(history, "Nobody listens.", Failure.UNREACHABLE)
    assert not states.is_gone(BOB), "one failure now and then is a peer that starts anew"
    clock.seconds += GONE_SECONDS

    states.failed(history, "Nobody listens.", Failure.UNREACHABLE)
    assert states.is_gone(BOB)

    states.failed(history, "It answered with HTTP 503.", Failure.ANSWERED)
    assert not states.is_gone(BOB)
    states.failed(history, "Nobody listens.", Failure.UNREACHABLE)
    assert not states.is_gone(BOB)


def test_a_connection_that_was_lost_is_gone_a_while_later_until_there_is_one_again() -> None:
    clock = HandClock()
    states = LinkStates(clock)
    states.btp_opened(ALICE.id)
    states.btp_closed(ALICE.id, "It closed the connection.")
    assert not states.is_gone(ALICE)
    clock.seconds += GONE_SECONDS
    assert states.is_gone(ALICE)

    states.btp_opened(ALICE.id)

    assert not states.is_gone(ALICE)


def test_a_peer_that_is_dialled_in_vain_is_gone_from_the_first_time_on() -> None:
    clock = HandClock()
    states = LinkStates(clock)
    assert states.btp_not_dialled(CAROL.id, "Nobody listens there.")
    clock.seconds += GONE_SECONDS / 2
    assert not states.btp_not_dialled(CAROL.id, "Nobody listens there.")
    assert not states.is_gone(CAROL)
    clock.seconds += GONE_SECONDS / 2

    assert states.is_gone(CAROL)


def test_a_stranger_with_a_wrong_token_is_seen_and_changes_nothing() -> None:
    clock = HandClock()
    states = LinkStates(clock)
    states.btp_refused(ALICE.id)
    clock.seconds += 10 * GONE_SECONDS

    state, reason = states.state(ALICE)
    assert state is LinkState.NEVER
    assert reason == (
        "It has not connected over BTP yet."
        " A login over BTP had a wrong token and was refused 1 minute ago."
    )
    assert not states.is_gone(ALICE)
