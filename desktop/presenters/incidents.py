"""What needs the operator: found in what the node says of itself, put in words, with a remedy each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

from core.control.node_warnings import Topic
from core.control.peering_views import ParentView
from core.control.views import (
    AccountView,
    EngineView,
    Exposure,
    LinkState,
    NodeStatus,
    SettlementDue,
    SettlementRow,
    UnknownRow,
    UnmatchedRow,
)
from core.settlement.records import SettlementState
from desktop import formatting
from desktop.engine_supervisor import ProcessState, ProcessStatus
from desktop.models.overview import Fix, Incident, Mood, Remedy
from desktop.presenters.names import Names

PACKETS_TELLING: Final = 20
"""Of fewer packets in a minute, their rejects say nothing about the node."""
NEAR_LIMIT_PERCENT: Final = 90
FAR_FROM_LIMIT_PERCENT: Final = 80
"""A peer that was told to be near its limit is told so until it is below this: each packet moves its balance."""
AT_LIMIT_PERCENT: Final = 97
FAILED_SHOWN_MS: Final = 7 * 86_400_000
"""A failed settlement needs somebody until it is this old; then it is history."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the node said when it was last looked at."""

    status: NodeStatus
    accounts: Sequence[AccountView] = ()
    engines: Sequence[EngineView] = ()
    settlements: Sequence[SettlementRow] = ()
    due: Sequence[SettlementDue] = ()
    unmatched: Sequence[UnmatchedRow] = ()
    unknown: Sequence[UnknownRow] = ()
    exposures: Sequence[Exposure] = ()
    rate_problems: Sequence[str] = ()
    """Stale prices, sources that fail and jumps that are held, a sentence each."""
    parent: ParentView | None = None
    """Where our address comes from."""
    processes: Sequence[ProcessStatus] = ()
    """Engines that this window started."""


def find_incidents(seen: Snapshot, told: Collection[str] = ()) -> Sequence[Incident]:
    """Return everything that needs somebody, what risks the most first.

    told: the keys of what was found before; what only wavers stays until it is clearly over.
    """
    names = Names()
    names.learn(seen.accounts)
    found = [
        *_node(seen.status),
        *_processes(seen.processes),
        *_engines(seen.engines, {each.name for each in seen.processes if _is_down(each)}),
        *_settlements(seen.settlements, seen.status.now_ms, names),
        *_unmatched(seen.unmatched),
        *_unknown(seen.unknown, names),
        *_limits(seen.accounts, told),
        *_links(seen.accounts),
        *_rates(seen.rate_problems),
    ]
    return sorted(found, key=lambda incident: incident.mood is not Mood.BAD)


def rejecting(fulfilled: int, rejected: int) -> Iterable[Incident]:
    """Tell of a minute in which most packets were rejected: every peer may be well, and the node not."""
    total = fulfilled + rejected
    if total < PACKETS_TELLING or rejected * 2 <= total:
        return
    yield Incident(
        key="rejecting",
        mood=Mood.BAD,
        title="Most packets are rejected",
        detail=f"{formatting.count(rejected)} of the last minute's {formatting.count(total)} were; "
        "each says why, and by whom.",
        fixes=(Fix("Show packets", Remedy.OPEN, "traffic"),),
        page="traffic",
    )


def percent_used(view: AccountView) -> int | None:
    """Return how much of the credit that it has with us a peer has used; None where it has none or no limit."""
    credit = view.account.min_balance
    if credit is None or credit >= 0:
        return None
    used = max(0, view.balance.pending_in - view.balance.net)
    return used * 100 // -credit


def _node(status: NodeStatus) -> Iterable[Incident]:
    for problem in status.problems:
        yield Incident(
            key=f"node:{problem}",
            mood=Mood.BAD,
            title="The node has a problem",
            detail=problem,
            fixes=(Fix("Show log", Remedy.OPEN, "logs"),),
            page="logs",
        )
    for warning in status.warnings:
        if warning.topic is Topic.CLOCK:
            yield Incident(
                key="clock",
                mood=Mood.BAD,
                title="The node's clock is wrong",
                detail=warning.sentence,
                fixes=(),
                page="logs",
            )


def _rates(problems: Iterable[str]) -> Iterable[Incident]:
    for problem in problems:
        yield Incident(
            key=f"rates:{problem}",
            mood=Mood.WARN,
            title="A rate needs you",
            detail=problem,
            fixes=(Fix("Show rates", Remedy.OPEN, "rates"),),
            page="rates",
        )


def _is_down(process: ProcessStatus) -> bool:
    return process.state in (ProcessState.GAVE_UP, ProcessState.WAITING)


def _processes(processes: Iterable[ProcessStatus]) -> Iterable[Incident]:
    for process in processes:
        if _is_down(process):
            yield Incident(
                key=f"process:{process.name}",
                mood=Mood.BAD if process.state is ProcessState.GAVE_UP else Mood.WARN,
                title=f"The {process.name} engine has stopped"
                if process.state is ProcessState.GAVE_UP
                else f"The {process.name} engine is started again",
                detail=process.sentence,
                fixes=(
                    Fix("Restart", Remedy.RESTART, target=process.name),
                    Fix("Show engines", Remedy.OPEN, "settlements", "engines"),
                ),
                page="settlements",
            )


def _engines(engines: Iterable[EngineView], told: set[str]) -> Iterable[Incident]:
    for engine in engines:
        name = engine.status.name
        if name in told or (engine.status.stopped_at_ms is not None and not engine.alive):
            continue
        if not engine.alive or engine.status.problem:
            yield Incident(
                key=f"engine:{name}",
                mood=Mood.WARN if engine.alive else Mood.BAD,
                title=f"The {name} engine has a problem"
                if engine.alive
                else f"The {name} engine does not report",
                detail=engine.status.problem or engine.sentence,
                fixes=(Fix("Show engines", Remedy.OPEN, "settlements", "engines"),),
                page="settlements",
            )


def _settlements(
    rows: Iterable[SettlementRow], now_ms: int, names: Names
) -> Iterable[Incident]:
    failed: dict[str, list[SettlementRow]] = {}
    for row in rows:
        lost = row.state in (SettlementState.FAILED, SettlementState.REVERSED)
        if lost and now_ms - row.updated_at_ms <= FAILED_SHOWN_MS:
            failed.setdefault(row.username, []).append(row)
    for username, group in sorted(failed.items()):
        newest = max(group, key=lambda row: row.updated_at_ms)
        many = f"{len(group)} settlements" if len(group) > 1 else "A settlement"
        shown = formatting.amount(newest.amount, newest.asset.code, newest.asset.scale)
        yield Incident(
            key=f"settlement:{username}",
            mood=Mood.BAD,
            title=f"{many} with {names.of(username)} did not succeed",
            detail=f"{shown}, {formatting.ago(now_ms, newest.updated_at_ms)}: {newest.problem}",
            fixes=(
                Fix("Show settlements", Remedy.OPEN, "settlements", "failed"),
                Fix("Settle now", Remedy.SETTLE, target=username),
            ),
            page="settlements",
        )


def _unmatched(rows: Sequence[UnmatchedRow]) -> Iterable[Incident]:
    if not rows:
        return
    row = rows[0]
    shown = formatting.amount(row.ledger_amount, row.ledger_asset.code, row.ledger_asset.scale)
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    yield Incident(
        key="unmatched",
        mood=Mood.WARN,
        title="Money came in from somebody whom no account names",
        detail=f"{shown} from {formatting.shortened(row.sender, 20)}{more}",
        fixes=(Fix("Assign to a peer", Remedy.OPEN, "settlements", "unmatched"),),
        page="settlements",
    )


def _unknown(rows: Sequence[UnknownRow], names: Names) -> Iterable[Incident]:
    if not rows:
        return
    row = rows[0]
    asset = row.outgoing_asset
    shown = formatting.amount(row.outgoing_amount, asset.code, asset.scale)
    many = f"{len(rows)} packets were" if len(rows) > 1 else "A packet was"
    yield Incident(
        key="unknown",
        mood=Mood.WARN,
        title=f"{many} left undecided",
        detail=f"{shown} to {names.of(row.to_username)}: its statement says whether it was fulfilled",
        fixes=(Fix("Resolve", Remedy.OPEN, "settlements", "unknown"),),
        page="settlements",
    )


def limit_key(username: str) -> str:
    """Return the key of the incident that a peer is near its limit."""
    return f"limit:{username}"


def _limits(views: Iterable[AccountView], told: Collection[str]) -> Iterable[Incident]:
    near = [
        (used, view)
        for view in views
        if (used := percent_used(view) or 0)
        >= (
            FAR_FROM_LIMIT_PERCENT
            if limit_key(view.account.username) in told
            else NEAR_LIMIT_PERCENT
        )
    ]
    for used, view in sorted(near, key=lambda pair: -pair[0]):
        account = view.account
        credit = formatting.amount(
            -(account.min_balance or 0), account.asset.code, account.asset.scale
        )
        yield Incident(
            key=limit_key(account.username),
            mood=Mood.BAD if used >= AT_LIMIT_PERCENT else Mood.WARN,
            title=f"{account.name} has used {used} % of the credit you give",
            detail=f"{view.summary}, of {credit}; beyond that its packets are rejected (T04)",
            fixes=(
                Fix("Show peer", Remedy.OPEN, "peers", account.username),
                Fix("Show packets", Remedy.OPEN, "traffic", account.username),
            ),
            page="peers",
        )


def _links(views: Iterable[AccountView]) -> Iterable[Incident]:
    for view in views:
        if view.state is LinkState.DOWN and view.account.enabled:
            yield Incident(
                key=f"link:{view.account.username}",
                mood=Mood.WARN,
                title=f"{view.account.name} cannot be reached",
                detail=view.state_reason,
                fixes=(Fix("Show peer", Remedy.OPEN, "peers", view.account.username),),
                page="peers",
            )
