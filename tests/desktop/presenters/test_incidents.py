from __future__ import annotations

import dataclasses

import pytest

from core.control.views import LinkState
from core.ledger.books import Balance
from desktop.engine_supervisor import ProcessState, ProcessStatus
from desktop.models.overview import Incident, Mood, Remedy
from desktop.presenters.incidents import Snapshot, find_incidents, percent_used, rejecting
from tests.desktop.fake_operator import FakeOperator


async def snapshot(operator: FakeOperator, **changes: object) -> Snapshot:
    seen = Snapshot(
        status=await operator.status(),
        accounts=await operator.accounts(),
        engines=await operator.engines(),
        settlements=await operator.settlements(),
        due=await operator.settlements_due(),
        unmatched=await operator.unmatched(),
        unknown=await operator.unknown_transfers(),
        exposures=await operator.exposure(),
    )
    return dataclasses.replace(seen, **changes)  # type: ignore[arg-type]  # the caller's fields


def keys(incidents: object) -> set[str]:
    assert isinstance(incidents, list)
    return {incident.key for incident in incidents if isinstance(incident, Incident)}


async def test_every_trouble_of_a_busy_node_is_found_with_a_remedy() -> None:
    found = find_incidents(await snapshot(FakeOperator()))

    assert keys(found) == {
        "settlement:erin", "settlement:frank", "unmatched", "unknown", "limit:bob", "link:ivan",
    }  # fmt: skip
    assert all(incident.fixes for incident in found)
    assert [incident.mood for incident in found] == sorted(
        (incident.mood for incident in found), key=lambda mood: mood is not Mood.BAD
    )


async def test_a_node_without_peers_needs_nobody() -> None:
    assert find_incidents(await snapshot(FakeOperator(peers=0))) == []


async def test_what_the_node_says_is_wrong_comes_first() -> None:
    operator = FakeOperator()
    operator.problems = ["The store cannot be used: the database is locked."]

    found = find_incidents(await snapshot(operator))

    assert (found[0].mood, found[0].detail) == (Mood.BAD, operator.problems[0])


async def test_a_peer_at_its_limit_is_told_with_its_balance_and_its_packets() -> None:
    found = find_incidents(await snapshot(FakeOperator()))

    limit = next(incident for incident in found if incident.key == "limit:bob")
    assert limit.title == "bob has used 98 % of the credit you give"
    assert limit.mood is Mood.BAD
    assert [(fix.remedy, fix.page, fix.target) for fix in limit.fixes] == [
        (Remedy.OPEN, "peers", "bob"),
        (Remedy.OPEN, "traffic", "bob"),
    ]


@pytest.mark.parametrize(
    ("min_balance", "balance", "used"),
    [
        (-100, Balance(receivable=97), 97),
        (-100, Balance(receivable=90, pending_in=7), 97),
        (-100, Balance(payable=50), 0),
        (-100, Balance(receivable=150), 150),
        (0, Balance(), None),
        (None, Balance(receivable=97), None),
    ],
)
async def test_used_credit_counts_what_is_in_flight(
    min_balance: int | None, balance: Balance, used: int | None
) -> None:
    view = (await FakeOperator().accounts())[0]
    view = dataclasses.replace(
        view,
        account=dataclasses.replace(view.account, min_balance=min_balance),
        balance=balance,
    )

    assert percent_used(view) == used


async def test_a_paused_peer_that_is_down_needs_nobody() -> None:
    operator = FakeOperator()
    await operator.set_enabled("ivan", enabled=False)
    operator.replace_view("ivan", state=LinkState.DOWN)

    assert "link:ivan" not in keys(find_incidents(await snapshot(operator)))


async def test_an_engine_that_was_given_up_can_be_restarted_and_is_told_once() -> None:
    operator = FakeOperator()
    operator.engine_views = [
        dataclasses.replace(operator.engine_views[0], alive=False, sentence="It is silent.")
    ]
    process = ProcessStatus(
        name="ethereum",
        state=ProcessState.GAVE_UP,
        sentence="ethereum ended with status 1: it last wrote “port in use”.",
    )

    found = find_incidents(await snapshot(operator, processes=(process,)))

    engine = [incident for incident in found if "ethereum" in incident.key]
    assert [incident.key for incident in engine] == ["process:ethereum"]
    assert engine[0].detail == process.sentence
    assert engine[0].fixes[0].remedy is Remedy.RESTART


async def test_an_engine_elsewhere_that_falls_silent_is_told_and_one_that_was_stopped_is_not() -> (
    None
):
    operator = FakeOperator()
    engine = operator.engine_views[0]
    silent = dataclasses.replace(engine, alive=False, sentence="It is silent.")
    stopped = dataclasses.replace(
        silent, status=dataclasses.replace(engine.status, stopped_at_ms=1)
    )

    told = find_incidents(await snapshot(operator, engines=(silent,)))
    quiet = find_incidents(await snapshot(operator, engines=(stopped,)))

    assert "engine:ethereum" in keys(told)
    assert "engine:ethereum" not in keys(quiet)


async def test_a_settlement_that_failed_long_ago_is_history() -> None:
    operator = FakeOperator()
    operator.settlement_rows = [
        dataclasses.replace(row, updated_at_ms=row.updated_at_ms - 8 * 86_400_000)
        for row in operator.settlement_rows
    ]

    found = keys(find_incidents(await snapshot(operator)))

    assert not {key for key in found if key.startswith("settlement:")}


@pytest.mark.parametrize(
    ("fulfilled", "rejected", "told"), [(10, 15, True), (15, 10, False), (0, 19, False)]
)
def test_a_minute_of_mostly_rejects_is_told_whatever_the_peers_are_like(
    fulfilled: int,
    rejected: int,
    told: bool,  # a case
) -> None:
    found = list(rejecting(fulfilled, rejected))

    assert bool(found) is told
    assert all(incident.page == "traffic" for incident in found)
