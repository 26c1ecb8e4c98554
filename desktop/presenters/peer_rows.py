"""From the node's account to what is shown of a peer; nothing here asks the node."""

from __future__ import annotations

from typing import Final

from core.account import AMOUNT_MAX_BOOKED, Account, RoutingRelation
from core.control.views import AccountView, LinkState
from desktop import formatting
from desktop.models.gauge import Gauge
from desktop.models.peers import STATE_TEXTS, DeletePlan, PeerDetail, PeerRow, SettlePlan

STATES: Final = {
    LinkState.UP: "up",
    LinkState.IDLE: "idle",
    LinkState.DEGRADED: "degraded",
    LinkState.DOWN: "down",
    LinkState.PAUSED: "paused",
    LinkState.NEVER: "never",
}
RELATIONS: Final = {
    RoutingRelation.NON_ROUTING_ACCOUNT: "end point",
    RoutingRelation.PARENT: "parent",
    RoutingRelation.PEER: "peer",
    RoutingRelation.CHILD: "child",
}
_CODE_LENGTH: Final = 3


def gauge_of(view: AccountView) -> Gauge:
    """Return where the account's balance stands, read from our side."""
    account, balance = view.account, view.balance
    return Gauge(
        owed=-balance.net,
        incoming=balance.pending_in,
        outgoing=balance.pending_out,
        unknown=balance.unknown_out,
        limit=None if account.min_balance is None else max(-account.min_balance, 0),
        settle_at=account.settle_threshold,
        settle_to=None if account.settle_threshold is None else account.settle_to or 0,
    )


def peer_row_of(view: AccountView, now_ms: int) -> PeerRow:
    """Return the account as a row of the table."""
    account = view.account
    asset = account.asset
    return PeerRow(
        username=account.username,
        name=account.name,
        state=STATES[view.state],
        state_reason=view.state_reason,
        relation=RELATIONS[account.routing_relation],
        asset_code=asset.code,
        asset_scale=asset.scale,
        gauge=gauge_of(view),
        nets=view.recent_net,
        rate=view.packets_per_second,
        fulfills=view.fulfills,
        rejects=view.rejects,
        reject_code=view.last_reject[:_CODE_LENGTH],
        last_reject=view.last_reject,
        last_reject_is_ours=view.last_reject_is_ours,
        last_packet=formatting.ago(now_ms, view.last_packet_at_ms),
        last_packet_at_ms=view.last_packet_at_ms,
        settling=view.open_settlement,
        enabled=account.enabled,
    )


def detail_of(view: AccountView, now_ms: int) -> PeerDetail:
    """Return what the inspector shows."""
    row = peer_row_of(view, now_ms)
    account = view.account
    return PeerDetail(
        row=row,
        facts=(
            *_balance_facts(view, row),
            *_limit_facts(account, row),
            *_link_facts(view),
        ),
        notes=account.notes,
    )


def settle_plan_of(view: AccountView) -> SettlePlan:
    """Return what can be settled with this peer, and why not where nothing can."""
    account, asset = view.account, view.account.asset
    owed = max(view.balance.net, 0)
    presets = []
    settle_to = account.settle_to or 0
    if 0 < settle_to < owed:
        text = formatting.amount(settle_to, asset.code, asset.scale)
        presets.append((f"Down to {text}", owed - settle_to))
    if owed:
        presets.append(("All that you owe", owed))
    return SettlePlan(
        username=account.username,
        name=account.name,
        asset_code=asset.code,
        asset_scale=asset.scale,
        owed=owed,
        gauge=gauge_of(view),
        presets=tuple(presets),
        engine=view.engine_url or "",
        obstacle=_settle_obstacle(view, owed),
    )


def settle_amount_of(plan: SettlePlan, text: str) -> tuple[int | None, str]:
    """Return the amount that was typed and what it would lead to, or None and why it cannot be."""
    code, scale = plan.asset_code, plan.asset_scale
    try:
        amount = formatting.parse_amount(
            text, code, scale, minimum=1, maximum=max(plan.owed, 1)
        )
    except formatting.AmountProblem as problem:
        return None, str(problem)
    left = formatting.owed(plan.owed - amount, code, scale, plan.name)
    paid = formatting.amount(amount, code, scale)
    return amount, f"{paid} goes to {plan.name}; afterwards {left}."


def delete_plan_of(view: AccountView) -> DeletePlan:
    """Return what deleting this peer would mean."""
    account, balance = view.account, view.balance
    asset = account.asset
    sentences = []
    if balance.net:
        words = formatting.owed(balance.net, asset.code, asset.scale, account.name)
        if balance.net > 0:  # it begins with "you", and not with a name
            words = words[0].upper() + words[1:]
        sentences.append(f"{words}. Deleting writes that off; the journal keeps it.")
    in_flight = balance.pending_in + balance.pending_out
    if in_flight:
        text = formatting.amount(in_flight, asset.code, asset.scale)
        sentences.append(f"{text} is in flight: deleting is refused until that has ended.")
    sentences.append("Its tokens, limits and routes are removed. This cannot be undone.")
    return DeletePlan(
        username=account.username,
        name=account.name,
        sentences=tuple(sentences),
        typed_name=account.username if balance.net else "",
    )


def _settle_obstacle(view: AccountView, owed: int) -> str:
    name = view.account.name
    if view.open_settlement:
        return f"A settlement with {name} is under way: wait for its end."
    if not owed:
        return f"You owe {name} nothing."
    if view.engine_url is None:
        return (
            f"No settlement engine serves {name}: choose one in the editor, or a default for "
            f"{view.account.asset.code}."
        )
    return ""


def _balance_facts(view: AccountView, row: PeerRow) -> list[tuple[str, str]]:
    balance, gauge = view.balance, row.gauge
    facts = []
    if balance.payable and balance.receivable:
        # Both ways something is owed, and the headline is the difference: that must be seen.
        facts += [
            ("They owe, in all", row.amount(balance.receivable)),
            ("You owe, in all", row.amount(balance.payable)),
            ("The difference", row.words),
        ]
    facts += [
        ("Coming in", row.amount(balance.pending_in)),
        ("Going out", row.amount(balance.pending_out)),
    ]
    if balance.unknown_out:
        facts.append(("Undecided", row.amount(balance.unknown_out)))
    headroom = gauge.headroom
    facts.append(
        ("They may still send", "any amount" if headroom is None else row.amount(headroom))
    )
    return facts


def _limit_facts(account: Account, row: PeerRow) -> list[tuple[str, str]]:
    facts = []
    if account.max_packet_amount <= AMOUNT_MAX_BOOKED:
        facts.append(("Largest packet", row.amount(account.max_packet_amount)))
    if account.packets_per_minute_limit is not None:
        facts.append(("Packets a minute", formatting.count(account.packets_per_minute_limit)))
    if account.amount_per_minute_limit is not None:
        facts.append(("Amount a minute", row.amount(account.amount_per_minute_limit)))
    if account.settle_threshold is not None:
        facts.append(("You settle at", row.amount(account.settle_threshold)))
        facts.append(("… down to", row.amount(account.settle_to or 0)))
    return facts


def _link_facts(view: AccountView) -> list[tuple[str, str]]:
    account = view.account
    facts = [
        ("State", f"{STATE_TEXTS[STATES[view.state]]}: {view.state_reason}"),
        ("ILP address", str(account.ilp_address)),
        ("We send to", account.ilp_over_http_url or account.ilp_over_btp_url or "nowhere yet"),
        ("Settlement", view.engine_url or "no engine"),
    ]
    if account.settlement_address:
        facts.append(("Ledger address", account.settlement_address))
    facts.append(
        (
            "Packets since start",
            f"{formatting.count(view.prepares)}, {formatting.count(view.rejects)} rejected",
        )
    )
    return facts
