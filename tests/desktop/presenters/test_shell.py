from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.errors import StoreUnavailable
from desktop.engine_supervisor import ProcessState, ProcessStatus
from desktop.models.overview import Mood, ShellState
from desktop.presenters.shell import ShellPresenter, engine_pill, network_of
from desktop.presenters.watch import NodeWatch
from tests.desktop.fake_operator import FakeOperator


class Frame:
    """A shell presenter, and the last state that it told of."""

    def __init__(self) -> None:
        self.operator = FakeOperator()
        self.watch = NodeWatch(self.operator, self.operator.clock)
        self.shell = ShellPresenter(self.watch)
        self.states: list[ShellState] = []
        self.shell.state_changed.connect(self.states.append)

    @property
    def state(self) -> ShellState:
        return self.states[-1]

    async def look(self, *, seconds: int = 0) -> None:
        if seconds:
            self.operator.tick(seconds)
        await self.watch.update_and_report()


@pytest.fixture
async def frame() -> AsyncIterator[Frame]:
    made = Frame()
    yield made
    await made.watch.close()


@pytest.mark.parametrize(
    ("address", "network", "mood"),
    [
        ("g.eu.alice", "LIVE", Mood.WARN),
        ("test.alice", "TESTNET", Mood.OK),
        ("test1.alice", "TESTNET", Mood.OK),
        ("private.alice", "PRIVATE", Mood.PLAIN),
        ("local.alice", "PRIVATE", Mood.PLAIN),
    ],
)
def test_the_network_is_told_by_the_address(address: str, network: str, mood: Mood) -> None:
    assert network_of(address)[:2] == (network, mood)


async def test_every_component_has_a_pill_with_a_reason(frame: Frame) -> None:
    await frame.look()

    pills = {pill.key: pill for pill in frame.state.pills}
    assert list(pills) == ["node", "peers", "engine:ethereum", "rates", "clock", "store"]
    assert {pills[key].mood for key in ("node", "engine:ethereum", "store")} == {Mood.OK}
    assert pills["peers"].mood is Mood.WARN
    assert "Down: " in pills["peers"].reason
    assert "127.0.0.1:7770" in pills["node"].reason
    assert frame.state.banner == ()


async def test_rates_have_a_pill_where_packets_are_converted_and_it_says_what_is_wrong(
    frame: Frame,
) -> None:
    await frame.look()
    seen = frame.watch.snapshot
    assert seen is not None
    pills = {pill.key: pill for pill in frame.state.pills}
    assert (pills["rates"].mood, pills["rates"].page) == (Mood.WARN, "rates")
    assert pills["rates"].reason == "\n".join(seen.rate_problems)
    of_one_asset = [view for view in seen.accounts if view.account.asset.code == "USD"]

    def shown(**changed: Any) -> dict[str, Mood]:
        frame.watch.snapshot = dataclasses.replace(seen, rate_problems=(), **changed)
        frame.watch.looked.emit()
        return {pill.key: pill.mood for pill in frame.state.pills}

    assert shown()["rates"] is Mood.OK
    assert "rates" not in shown(accounts=of_one_asset)


async def test_the_badge_says_where_our_address_is_from_and_a_new_one_is_told(
    frame: Frame,
) -> None:
    said: list[str] = []
    frame.shell.reported.connect(said.append)
    await frame.look()
    assert "was given when the node was started" in frame.state.network_reason
    assert not said

    frame.operator.ilp_address = "g.parent.alice"
    await frame.look()

    assert said == ["This node is g.parent.alice now"]
    assert frame.state.network == "LIVE"


async def test_badges_count_problems_by_page(frame: Frame) -> None:
    await frame.look()

    assert frame.state.badges == {
        "overview": 8,
        "settlements": 4,
        "peers": 2,
        "rates": 2,
    }


async def test_a_node_that_cannot_be_asked_is_told_and_what_was_seen_stays(
    frame: Frame,
) -> None:
    await frame.look()
    frame.operator.errors["status"] = StoreUnavailable("the database is locked")

    await frame.look(seconds=9)

    assert frame.state.ilp_address == "test.signalbox.alice"
    assert frame.state.pills[0].mood is Mood.BAD
    assert "the database is locked" in frame.state.banner[0].text.lower()
    words, mood = frame.shell.live()
    assert (words.replace("\u00a0", " "), mood) == ("Stale 9.0 s", Mood.BAD)


async def test_it_recovers_by_itself(frame: Frame) -> None:
    frame.operator.errors["status"] = StoreUnavailable("the database is locked")
    await frame.look()
    del frame.operator.errors["status"]

    await frame.look(seconds=1)

    assert frame.state.banner == ()
    assert frame.shell.live()[1] is Mood.OK


async def test_the_share_of_the_last_minute_forgets_what_was_before(frame: Frame) -> None:
    await frame.look()
    for name, view in frame.operator.views.items():
        frame.operator.replace_view(name, rejects=view.rejects + 1_000)
    frame.operator.clock.advance(1)
    await frame.look()
    assert frame.watch.last_minute() == (0, 12_000)

    for _ in range(62):
        frame.operator.clock.advance(1)
        await frame.look()

    assert frame.watch.last_minute() == (0, 0)


async def test_details_are_not_asked_for_every_second_but_at_once_after_a_change(
    frame: Frame,
) -> None:
    await frame.look()
    await frame.look(seconds=1)
    asked = [call[0] for call in frame.operator.calls].count("accounts")

    frame.operator.changes += 1
    await frame.look(seconds=1)

    assert asked == 1
    assert [call[0] for call in frame.operator.calls].count("accounts") == 2


async def test_the_watch_goes_on_by_itself_while_it_is_started(frame: Frame) -> None:
    frame.watch.every_seconds = 0.01
    frame.watch.start()
    frame.watch.start()

    await asyncio.sleep(0.1)
    frame.watch.stop()
    looked = [call[0] for call in frame.operator.calls].count("status")
    await asyncio.sleep(0.05)

    assert looked >= 3
    assert [call[0] for call in frame.operator.calls].count("status") == looked


async def test_a_balance_that_moves_has_a_pace(frame: Frame) -> None:
    await frame.look()
    for _ in range(30):
        view = frame.operator.views["bob"]
        frame.operator.replace_view(
            "bob",
            balance=dataclasses.replace(view.balance, receivable=view.balance.receivable + 300),
        )
        await frame.look(seconds=3)

        if _ == 3:
            assert frame.watch.pace("bob") == 0

    assert frame.watch.pace("bob") == -100
    assert frame.watch.pace("nobody") == 0


@pytest.mark.parametrize(
    ("state", "mood"),
    [
        (ProcessState.STARTING, Mood.PLAIN),
        (ProcessState.WAITING, Mood.WARN),
        (ProcessState.GAVE_UP, Mood.BAD),
        (ProcessState.STOPPED, Mood.PAUSED),
    ],
)
def test_a_process_of_ours_tells_more_than_what_its_engine_last_wrote(
    state: ProcessState, mood: Mood
) -> None:
    engine = FakeOperator().engine_views[0]
    process = ProcessStatus(name="ethereum", state=state, sentence="It is so.")

    pill = engine_pill("ethereum", process, engine)

    assert (pill.mood, pill.reason) == (mood, "It is so.")
    assert engine_pill("ethereum", None, engine).mood is Mood.OK
    assert engine_pill("ethereum", None, None).mood is Mood.PLAIN
