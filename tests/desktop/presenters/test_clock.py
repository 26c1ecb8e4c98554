"""How the clock of the node's machine goes, and what of it and of secrets must not be overlooked."""

from __future__ import annotations

import dataclasses

import pytest

from core.control.node_warnings import NodeWarning, Topic
from core.telemetry.peer_time import ClockReading, PeerClock
from desktop.engine_supervisor import ProcessState, ProcessStatus
from desktop.models.overview import ClockState, Mood, Notice
from desktop.presenters.clock import clock_pill, clock_state
from desktop.presenters.incidents import Snapshot, find_incidents
from desktop.presenters.notices import Notices
from tests.desktop.fake_operator import NOW_MS, FakeOperator


def reading(
    offset_ms: int = 0,
    bound_ms: int = 15,
    peers: tuple[str, ...] = ("alice", "bob", "carol"),
    wrong: tuple[PeerClock, ...] = (),
) -> ClockReading:
    return ClockReading(
        offset_ms=offset_ms,
        bound_ms=bound_ms,
        peers=peers,
        told_at_ms=NOW_MS - 4_000,
        wrong=wrong,
    )


async def shown(seen: ClockReading | None) -> ClockState:
    operator = FakeOperator()
    operator.clock_reading = seen
    return clock_state(await operator.status())


async def noticed(
    notices: Notices,
    seen: ClockReading | None = None,
    *,
    problem: str = "",
    process: ProcessStatus | None = None,
    problems: tuple[str, ...] = (),
    warnings: tuple[NodeWarning, ...] = (),
) -> list[Notice]:
    operator = FakeOperator()
    operator.clock_reading, operator.problems = seen, list(problems)
    operator.warnings = list(warnings)
    snapshot = Snapshot(status=await operator.status())
    if process is not None:
        snapshot = dataclasses.replace(snapshot, processes=(process,))
    return list(notices.of(snapshot, problem))


@pytest.mark.parametrize(
    ("seen", "text", "mood"),
    [
        (None, "not known", Mood.PLAIN),
        (reading(12), "+12 ms", Mood.OK),
        (reading(-12), "−12 ms", Mood.OK),
        (reading(400, 300), "+400 ms", Mood.OK),
        (reading(400, 100), "+400 ms", Mood.WARN),
        (reading(-900), "−900 ms", Mood.WARN),
        (reading(1_400, 500), "+1.4 s", Mood.WARN),
        (reading(5_000), "+5.0 s", Mood.BAD),
        (reading(-5_000), "−5.0 s", Mood.BAD),
    ],
)
async def test_the_offset_is_shown_with_how_bad_it_surely_is(
    seen: ClockReading | None, text: str, mood: Mood
) -> None:
    state = await shown(seen)
    assert (state.text.replace("\u00a0", " "), state.mood) == (text, mood)
    pill = clock_pill(state)
    assert (pill.text, pill.mood, pill.page) == (f"Clock {state.text}", mood, "peers")


async def test_it_is_said_who_told_the_time_and_when_and_that_no_server_is_asked() -> None:
    reason = (await shown(reading(12))).reason.replace("\u00a0", " ")
    assert "is 12 ms ahead of its 3 peers', give or take 15 ms; told last 4 s ago." in reason
    assert "no time server" in reason
    assert "behind its peer's" in (await shown(reading(-12, peers=("bob",)))).reason
    assert "agrees with its 3 peers'" in (await shown(reading())).reason
    assert "No peer has told the time" in (await shown(None)).reason
    wrong = (await shown(reading(wrong=(PeerClock("bob", -90_000),)))).reason
    assert "That of bob is 2 min behind." in wrong


# --- The banner


async def test_a_clock_five_seconds_ahead_is_a_notice_with_its_offset_and_effect() -> None:
    (notice,) = await noticed(Notices(), reading(5_000))
    assert notice.mood is Mood.BAD
    assert "clock is 5.0 s ahead" in notice.text
    assert "Packets expire early" in notice.text
    assert await noticed(Notices(), reading(900)) == []


async def test_a_wrong_clock_is_the_same_notice_until_it_has_moved_a_good_deal() -> None:
    notices = Notices()
    keys = [
        (await noticed(notices, reading(offset)))[0].key
        for offset in (5_000, 5_100, 4_900, 6_900, 9_000, 9_100)
    ]
    assert keys[0] == keys[1] == keys[2] == keys[3]
    assert keys[4] == keys[5] != keys[0]

    assert await noticed(notices, reading(0)) == []
    assert (await noticed(notices, reading(-5_000)))[0].key != keys[0]


async def test_a_peers_clock_is_a_smaller_matter_and_leads_to_the_peers() -> None:
    notices = Notices()
    (first,) = await noticed(notices, reading(wrong=(PeerClock("bob", 5_000),)))
    (second,) = await noticed(notices, reading(wrong=(PeerClock("bob", 5_300),)))
    (other,) = await noticed(notices, reading(wrong=(PeerClock("dave", 5_300),)))
    assert (first.mood, first.page, first.label) == (Mood.WARN, "peers", "Show peers")
    assert first.key == second.key != other.key


async def test_notices_stand_in_the_order_of_their_weight_each_with_where_it_leads() -> None:
    gave_up = ProcessStatus(
        name="ethereum", state=ProcessState.GAVE_UP, sentence="It has stopped."
    )
    secrets = NodeWarning(Topic.SECRETS, "The admin token can be guessed.")
    found = await noticed(
        Notices(),
        reading(5_000),
        process=gave_up,
        problems=("The disk is full.",),
        warnings=(secrets,),
    )
    assert [(each.mood, each.page) for each in found] == [
        (Mood.BAD, "settlements"),
        (Mood.BAD, "logs"),
        (Mood.BAD, ""),
        (Mood.WARN, ""),
    ]
    assert found[-1].text == secrets.sentence


async def test_a_wrong_clock_needs_somebody_and_a_guessable_token_is_for_the_banner_alone() -> (
    None
):
    operator = FakeOperator()
    operator.clock_reading = reading(5_000)
    operator.warnings = [NodeWarning(Topic.SECRETS, "The admin token can be guessed.")]
    (incident,) = find_incidents(Snapshot(status=await operator.status()))
    assert incident.title == "The node's clock is wrong"
    assert incident.mood is Mood.BAD
    assert "5.0 s ahead" in incident.detail


async def test_what_a_node_that_does_not_answer_said_of_itself_gives_way_to_that() -> None:
    found = await noticed(Notices(), problem="It is gone.", problems=("The disk is full.",))
    assert [each.text for each in found] == ["The node cannot be looked at: It is gone."]
