from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence

import pytest

from desktop.engine_supervisor import ProcessState, ProcessStatus
from desktop.presenters.settlements import SettlementsPresenter
from tests.desktop.fake_operator import FakeOperator


class FakeEngines:
    """Processes that do as they are told."""

    def __init__(self, *statuses: ProcessStatus) -> None:
        self.by_name = {status.name: status for status in statuses}
        self.told: list[tuple[str, str]] = []

    @property
    def statuses(self) -> Sequence[ProcessStatus]:
        return tuple(self.by_name.values())

    def status(self, name: str) -> ProcessStatus | None:
        return self.by_name.get(name)

    async def stop(self, name: str) -> None:
        self.told.append(("stop", name))

    async def restart(self, name: str) -> None:
        self.told.append(("restart", name))


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def settlements(operator: FakeOperator) -> AsyncIterator[SettlementsPresenter]:
    presenter = SettlementsPresenter(operator, operator.clock)
    await presenter.update_and_report()
    yield presenter
    await presenter.close()


async def test_every_settlement_stands_in_one_of_the_lists(
    operator: FakeOperator, settlements: SettlementsPresenter
) -> None:
    lists = (settlements.under_way, settlements.done, settlements.failed_ones)

    assert sum(model.total for model in lists) == len(operator.settlement_rows)
    assert {row.state for row in settlements.under_way.rows} == {"intent", "signed", "sent"}
    assert {row.state for row in settlements.done.rows} == {"final", "credited"}
    assert {row.state for row in settlements.failed_ones.rows} == {"failed", "reversed"}


async def test_both_amounts_are_exact_each_in_its_own_asset(
    operator: FakeOperator, settlements: SettlementsPresenter
) -> None:
    row = settlements.done.row(0)

    assert row.amount_text == "0.0125\u00a0ETH"
    assert row.fee_text == "0.000147\u00a0ETH"
    assert (row.steps_done, row.state_text) == (4, "Final, 12 confirmations")


async def test_what_needs_somebody_is_counted(
    operator: FakeOperator, settlements: SettlementsPresenter
) -> None:
    counts: list[object] = []
    settlements.badge_changed.connect(counts.append)
    operator.engine_views = [dataclasses.replace(operator.engine_views[0], alive=False)]

    await settlements.update_and_report()

    assert counts == [settlements.failed_ones.total + 1 + 1 + 1]


async def test_an_engine_tells_its_wallet_head_and_sign_of_life(
    settlements: SettlementsPresenter,
) -> None:
    card = settlements.engines[0]

    facts = dict(card.facts)
    assert facts["Wallet"] == "987.654321\u00a0ETH"
    assert facts["Process"] == "4242, started elsewhere"
    assert not card.can_stop


async def test_a_process_of_ours_is_started_and_stopped_and_its_last_words_are_shown(
    operator: FakeOperator,
) -> None:
    engines = FakeEngines(
        ProcessStatus(name="ethereum", state=ProcessState.RUNNING, sentence="It runs.", pid=7),
        ProcessStatus(
            name="xrp",
            state=ProcessState.GAVE_UP,
            sentence="It ended 6 times.",
            restarts=6,
            last_lines=("one", "no such ledger"),
        ),
    )
    presenter = SettlementsPresenter(operator, operator.clock, engines)
    await presenter.update_and_report()

    ethereum, xrp = presenter.engines
    assert (ethereum.can_start, ethereum.can_stop) == (False, True)
    assert dict(ethereum.facts)["Process"] == "7, started here"
    assert (xrp.alive, xrp.can_start) == (False, True)
    assert (xrp.state, xrp.problem) == ("Ended", "It ended 6 times.")
    assert xrp.last_words == ("one", "no such ledger")

    presenter.stop_engine("ethereum")
    presenter.start_engine("xrp")
    await presenter.tasks.finish()
    await presenter.close()
    assert engines.told == [("stop", "ethereum"), ("restart", "xrp")]


async def test_an_engine_that_nobody_has_set_up_is_no_problem_and_says_what_it_needs(
    operator: FakeOperator,
) -> None:
    nowhere = ProcessStatus(
        name="xrp", state=ProcessState.NOT_SET_UP, sentence="No chain is named for it."
    )
    elsewhere = dataclasses.replace(nowhere, name="ethereum")
    alone = SettlementsPresenter(operator, operator.clock)
    with_both = SettlementsPresenter(operator, operator.clock, FakeEngines(nowhere, elsewhere))
    badges: dict[SettlementsPresenter, object] = {}
    for presenter in (alone, with_both):
        presenter.badge_changed.connect(lambda n, p=presenter: badges.update({p: n}))
        await presenter.update_and_report()
        await presenter.close()

    ethereum, xrp = with_both.engines
    assert (xrp.state, xrp.sentence) == ("Not set up", "No chain is named for it.")
    assert (xrp.set_up, xrp.can_start, xrp.facts) == (False, False, ())
    assert (ethereum,) == alone.engines
    assert badges[alone] == badges[with_both]


async def test_money_from_nobody_is_credited_to_whom_the_operator_says(
    operator: FakeOperator, settlements: SettlementsPresenter
) -> None:
    settlements.assign(settlements.unmatched.row(0).key, "erin")
    await settlements.tasks.finish()

    assert ("assign_unmatched", "0x5f1c…:0", "erin") in operator.calls
    assert settlements.unmatched.total == 0


async def test_an_undecided_packet_is_decided_once_by_its_whole_number(
    operator: FakeOperator, settlements: SettlementsPresenter
) -> None:
    row = settlements.unknown.row(0)
    assert int(row.id) > 2**32

    settlements.resolve(row.id, fulfilled=False)
    await settlements.tasks.finish()

    assert ("resolve_unknown", (2 << 42) + 1871, False) in operator.calls
    assert settlements.unknown.total == 0
