"""The one word for a link, and why."""

from __future__ import annotations

from core.control.views import LinkState
from core.links.link_states import LinkStates
from tests.core.links.conftest import account, bob_at

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

    assert states.failed(history, "Nobody listens.")
    state, reason = states.state(BOB)
    assert state is LinkState.DEGRADED
    assert reason.startswith("Nobody listens. It worked")
    clock.seconds += 10
    assert not states.failed(history, "Nobody listens.")
    assert states.state(BOB)[0] is LinkState.DOWN


def test_a_link_whose_first_packet_fails_is_down_at_once() -> None:
    states = LinkStates(HandClock())
    states.failed(states.history(BOB.id), "Nobody listens.")

    assert states.state(BOB)[0] is LinkState.DOWN


def test_a_link_that_works_again_is_called_up_ten_seconds_later() -> None:
    clock = HandClock()
    states = LinkStates(clock)
    history = states.history(BOB.id)
    states.failed(history, "Nobody listens.")
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
