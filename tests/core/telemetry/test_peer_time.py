"""What peers' answers say of our clock: the truth is within the bounds, and liars in the minority move nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.telemetry.peer_time import (
    ASK_SECONDS,
    KEEP_SECONDS,
    PEERS_MAX,
    ClockReading,
    PeerClock,
    PeerTimes,
)
from core.testing.clock import FakeClock

OFFSETS = st.integers(-40_000, 40_000)
TRAVELS = st.tuples(st.integers(0, 900), st.integers(0, 900))
"""How long a question takes, and its answer, in milliseconds."""
HOUR_MS = 3_600_000


class Machine:
    """Ours, `ahead_ms` of the right time, and peers that it asks."""

    def __init__(self, ahead_ms: int = 0) -> None:
        self.clock = FakeClock()
        self.ahead_ms = ahead_ms
        self.times = PeerTimes(self.clock)

    def ask(
        self,
        peer: str,
        *,
        ahead_ms: int = 0,
        out_ms: int = 1,
        back_ms: int = 1,
        wait_ms: int = 0,
    ) -> None:
        """Ask a peer, whose clock is `ahead_ms` of the right time."""
        self.clock.advance(milliseconds=wait_ms)
        asked_at = self.clock.monotonic()
        self.clock.advance(milliseconds=out_ms)
        its_clock = self.clock.now_ms() - self.ahead_ms + ahead_ms
        self.clock.advance(milliseconds=back_ms)
        self.times.tell(
            peer,
            its_clock // 1000 * 1000,
            asked_at=asked_at,
            answered_at=self.clock.monotonic(),
        )

    def read(self) -> ClockReading:
        reading = self.times.read()
        assert reading is not None
        return reading


def test_nothing_is_known_before_a_peer_has_told_the_time() -> None:
    assert Machine().times.read() is None


@given(OFFSETS, st.lists(st.tuples(TRAVELS, st.integers(0, 5_000)), min_size=1, max_size=40))
def test_the_true_offset_is_within_the_bounds(
    ahead: int, answers: list[tuple[tuple[int, int], int]]
) -> None:
    machine = Machine(ahead)
    for (out, back), wait in answers:
        machine.ask("bob", out_ms=out, back_ms=back, wait_ms=wait)
        reading = machine.read()
        assert abs(reading.offset_ms - ahead) <= reading.bound_ms
        assert reading.bound_ms <= 1_500


@given(st.data())
def test_liars_in_the_minority_do_not_move_it(data: st.DataObject) -> None:
    ahead = data.draw(OFFSETS)
    honest = data.draw(st.integers(1, 6))
    liars = data.draw(st.lists(st.integers(-HOUR_MS, HOUR_MS), max_size=honest - 1))
    machine = Machine(ahead)
    clocks = [(f"honest{number}", 0) for number in range(honest)]
    clocks += [(f"liar{number}", lie) for number, lie in enumerate(liars)]
    for name, its in data.draw(st.permutations(clocks)):
        for _ in range(data.draw(st.integers(1, 4))):
            out, back = data.draw(TRAVELS)
            machine.ask(name, ahead_ms=its, out_ms=out, back_ms=back, wait_ms=617)
    reading = machine.read()
    assert abs(reading.offset_ms - ahead) <= reading.bound_ms
    assert not any(each.peer.startswith("honest") for each in reading.wrong)


def test_many_answers_of_whole_seconds_leave_a_few_hundredths() -> None:
    machine = Machine(ahead_ms=12)
    for _ in range(40):
        machine.ask("bob", wait_ms=round(ASK_SECONDS * 1000) - 2)
    reading = machine.read()
    assert reading.bound_ms < 60
    assert abs(reading.offset_ms - 12) <= reading.bound_ms


def test_a_peer_whose_clock_is_wrong_is_named_and_ours_is_not_doubted() -> None:
    machine = Machine()
    for name, its in (("alice", 0), ("bob", 5_000), ("carol", 0), ("dave", -90_000)):
        machine.ask(name, ahead_ms=its)
    machine.ask("erin")
    reading = machine.read()
    assert not reading.is_wrong
    assert [each.peer for each in reading.wrong] == ["dave", "bob"]
    assert reading.wrong[1].offset_ms == pytest.approx(5_000, abs=1_100)
    assert isinstance(reading.wrong[0], PeerClock)


def test_of_two_that_contradict_each_other_neither_is_believed_or_blamed() -> None:
    machine = Machine()
    machine.ask("alice")
    machine.ask("bob", ahead_ms=-20_000)
    reading = machine.read()
    assert not reading.is_wrong
    assert reading.wrong == ()
    assert reading.bound_ms > 9_000


def test_five_seconds_are_seen_with_the_first_answer() -> None:
    machine = Machine(ahead_ms=5_000)
    machine.ask("bob")
    assert machine.read().is_wrong
    assert machine.read().peers == ("bob",)


def test_a_clock_that_is_set_right_is_right_at_once() -> None:
    machine = Machine(ahead_ms=5_000)
    machine.ask("bob")
    machine.clock.jump(milliseconds=-5_000)
    machine.ahead_ms = 0
    assert machine.times.read() is None, "what was said before is not known to hold"
    machine.ask("bob")
    assert not machine.read().is_wrong


def test_a_machine_that_slept_is_not_thought_to_be_ahead() -> None:
    machine = Machine()
    machine.ask("bob")
    machine.clock.jump(milliseconds=8 * HOUR_MS)  # the monotonic clock stands meanwhile
    machine.ask("bob")
    assert not machine.read().is_wrong


def test_a_clock_that_is_slewed_while_nobody_looks_forgets_nothing() -> None:
    machine = Machine()
    machine.ask("bob")
    machine.clock.advance(seconds=600)
    machine.clock.jump(milliseconds=300)  # 500 ppm
    assert machine.times.read() is not None


def test_a_peer_that_sets_its_clock_is_believed_again() -> None:
    machine = Machine()
    machine.ask("bob", ahead_ms=-60_000)
    assert machine.read().is_wrong
    machine.ask("bob", wait_ms=2_000)
    assert not machine.read().is_wrong


def test_a_server_that_renews_its_date_late_changes_little() -> None:
    machine = Machine()
    for _ in range(60):
        machine.ask("bob", wait_ms=1_616)
    machine.ask("bob", ahead_ms=-100, wait_ms=1_060 - machine.clock.now_ms() % 1_000)
    reading = machine.read()
    assert abs(reading.offset_ms) < 150
    assert reading.bound_ms < 150


def test_what_was_said_is_known_less_exactly_with_time_and_then_forgotten() -> None:
    machine = Machine()
    machine.ask("bob")
    at_first = machine.read()
    machine.clock.advance(seconds=round(KEEP_SECONDS) - 1)
    assert machine.read().bound_ms > at_first.bound_ms
    assert machine.read().told_at_ms == at_first.told_at_ms
    machine.clock.advance(seconds=2)
    assert machine.times.read() is None


def test_an_answer_that_took_too_long_says_nothing() -> None:
    machine = Machine()
    machine.ask("bob", out_ms=6_000, back_ms=6_000)
    assert machine.times.read() is None


def test_those_that_told_it_last_are_counted() -> None:
    machine = Machine()
    for number in range(PEERS_MAX):
        machine.ask(f"peer{number}")
    machine.ask("peer0")
    machine.ask("another")
    peers = machine.read().peers
    assert len(peers) == PEERS_MAX
    assert "peer0" in peers
    assert "peer1" not in peers
