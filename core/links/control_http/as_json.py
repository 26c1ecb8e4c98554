"""What the operator is shown, as JSON; accounts are in `account_json`.

In calls of our own an amount is text, digits of
the smallest unit: JavaScript's numbers are exact to 2^53 only, and amounts go to 2^64.
"""

from __future__ import annotations

from typing import TypeAlias

from core.account import Asset, format_number
from core.control.views import (
    AuditReport,
    EngineView,
    Exposure,
    History,
    LogLine,
    NodeStatus,
    PacketView,
    PingResult,
    RatesView,
    RouteAnswer,
    RouteView,
    SettlementDue,
    SettlementRow,
    UnknownResolved,
    UnknownRow,
    UnmatchedRow,
)
from core.telemetry.peer_time import ClockReading

Json: TypeAlias = dict[str, object]


def status_json(status: NodeStatus) -> Json:
    """Return the node at a glance."""
    return {
        "status": "Ready" if status.ready else "Troubled",
        "ilp_address": status.ilp_address,
        "version": status.version,
        "problems": list(status.problems),
        "node_number": status.node_number,
        "nodes_alive": status.nodes_alive,
        "started_at_ms": status.started_at_ms,
        "now_ms": status.now_ms,
        "store_url": status.store_url,
        "store_octets": status.store_octets,
        "http_bind": status.http_bind,
        "accounts": status.accounts,
        "routes": status.routes,
        "in_flight": status.in_flight,
        "packets_per_second": status.packets_per_second,
        "prepares": status.prepares,
        "fulfills": status.fulfills,
        "rejects": status.rejects,
        "unknown_transfers": status.unknown_transfers,
        "last_change": status.last_change,
        "warnings": [
            {"topic": warning.topic.value, "sentence": warning.sentence}
            for warning in status.warnings
        ],
        "clock": None if status.clock is None else clock_json(status.clock),
    }


def clock_json(reading: ClockReading) -> Json:
    """Return this machine's clock beside those of its peers."""
    return {
        "offset_ms": reading.offset_ms,
        "bound_ms": reading.bound_ms,
        "peers": list(reading.peers),
        "told_at_ms": reading.told_at_ms,
        "wrong_peers": [
            {"username": each.peer, "offset_ms": each.offset_ms} for each in reading.wrong
        ],
    }


def ping_json(result: PingResult) -> Json:
    """Return how a ping ended."""
    return {
        "answered": result.answered,
        "latency_us": result.latency_us,
        "sentence": result.sentence,
    }


def route_json(route: RouteView) -> Json:
    """Return one line of the routing table."""
    return {
        "prefix": route.prefix,
        "next_hop": route.next_hop,
        "source": route.source,
        "path": list(route.path),
    }


def answer_json(answer: RouteAnswer) -> Json:
    """Return where a packet would go, step by step."""
    return {
        "forwarded": answer.forwarded,
        "sentence": answer.sentence,
        "prefix": answer.prefix,
        "next_hop": answer.next_hop,
        "incoming_amount": str(answer.incoming_amount),
        "incoming_asset": _asset_or_none(answer.incoming_asset),
        "outgoing_amount": _amount(answer.outgoing_amount),
        "outgoing_asset": _asset_or_none(answer.outgoing_asset),
        "expires_in_ms": answer.expires_in_ms,
        "alternatives": [route_json(route) for route in answer.alternatives],
        "steps": [
            {
                "service": step.service,
                "verdict": step.verdict.value,
                "sentence": step.sentence,
                "code": None if step.reject is None else step.reject.code.decode(),
                "facts": dict(step.facts),
            }
            for step in answer.steps
        ],
    }


def rates_json(rates: RatesView) -> dict[str, float]:
    """Return prices as interledger-rs does: numbers, which are rounded."""
    return {code: float(price) for code, price in rates.prices.items()}


def exact_rates_json(rates: RatesView) -> Json:
    """Return prices and spread as text, exact."""
    spread = rates.spread
    return {
        "prices": dict(rates.prices),
        "spread": str(spread),
        "spread_numerator": str(spread.numerator),
        "spread_denominator": str(spread.denominator),
    }


def settlement_json(row: SettlementRow) -> Json:
    """Return one settlement."""
    return {
        "id": row.id,
        "username": row.username,
        **asset_json(row.asset),
        "engine": row.engine,
        "direction": row.direction.value,
        "state": row.state.value,
        "amount": str(row.amount),
        "exact": format_number(row.amount, row.asset.scale),
        "ledger_amount": str(row.ledger_amount),
        "ledger_asset": asset_json(row.ledger_asset),
        "transaction": row.transaction,
        "confirmations": row.confirmations,
        "fee": _amount(row.fee),
        "attempts": row.attempts,
        "problem": row.problem,
        "created_at_ms": row.created_at_ms,
        "updated_at_ms": row.updated_at_ms,
    }


def due_json(due: SettlementDue) -> Json:
    """Return what is owed to one account, and why it is or is not settled."""
    return {
        "username": due.username,
        **asset_json(due.asset),
        "owed": str(due.owed),
        "settle_threshold": _amount(due.settle_threshold),
        "settle_to": _amount(due.settle_to),
        "engine_url": due.engine_url,
        "due": due.due,
        "reason": due.reason,
    }


def engine_json(view: EngineView) -> Json:
    """Return an engine process."""
    status = view.status
    return {
        "name": status.name,
        "kind": status.kind,
        "alive": view.alive,
        "sentence": view.sentence,
        "pid": status.pid,
        "epoch": status.epoch,
        "started_at_ms": status.started_at_ms,
        "heartbeat_at_ms": status.heartbeat_at_ms,
        "stopped_at_ms": status.stopped_at_ms,
        "ledger": status.ledger,
        "address": status.address,
        "asset_code": status.asset_code,
        "ledger_scale": status.ledger_scale,
        "balance": _amount(status.balance),
        "head": status.head,
        "problem": status.problem,
    }


def unmatched_json(row: UnmatchedRow) -> Json:
    """Return money that nobody is credited for."""
    return {
        "key": row.key,
        "engine": row.engine,
        "sender": row.sender,
        "ledger_amount": str(row.ledger_amount),
        "ledger_asset": asset_json(row.ledger_asset),
        "transaction": row.transaction,
        "seen_at_ms": row.seen_at_ms,
    }


def unknown_json(row: UnknownRow) -> Json:
    """Return a leg that a crash left undecided."""
    return {
        "id": str(row.id),
        "from_username": row.from_username,
        "to_username": row.to_username,
        "outgoing_amount": str(row.outgoing_amount),
        "outgoing_asset": asset_json(row.outgoing_asset),
        "destination": row.destination,
        "created_at_ms": row.created_at_ms,
        "payment": row.payment,
    }


def resolved_json(resolved: UnknownResolved) -> Json:
    """Return what one call resolved."""
    return {
        "resolved": resolved.transfers,
        "sums": [
            {
                "asset_code": asset.code,
                "asset_scale": asset.scale,
                "amount": str(amount),
            }
            for asset, amount in sorted(
                resolved.sums.items(), key=lambda item: (item[0].code, item[0].scale)
            )
        ],
        "more": resolved.more,
    }


def audit_json(report: AuditReport) -> Json:
    """Return whether the books hold."""
    return {
        "passed": report.passed,
        "findings": list(report.findings),
        "accounts": report.accounts,
        "transfers": report.transfers,
        "pending": report.pending,
        "unknown": report.unknown,
        "late": report.late,
        "totals": [
            {
                "asset_code": total.code,
                "asset_scale": total.scale,
                "peers": str(total.peers),
                "exchange": str(total.exchange),
                "spread": str(total.spread),
                "settlement": str(total.settlement),
                "loss": str(total.loss),
                "correction": str(total.correction),
                "sum": str(total.sum),
            }
            for total in report.totals
        ],
    }


def exposure_json(exposure: Exposure) -> Json:
    """Return what is owed in one asset."""
    return {
        **asset_json(exposure.asset),
        "owed_to_us": str(exposure.owed_to_us),
        "owed_by_us": str(exposure.owed_by_us),
        "in_flight": str(exposure.in_flight),
        "unknown": str(exposure.unknown),
    }


def packet_json(packet: PacketView) -> Json:
    """Return one packet that ended."""
    return {
        "sequence": packet.sequence,
        "at_ms": packet.at_ms,
        "from_username": packet.from_username,
        "to_username": packet.to_username,
        "destination": packet.destination,
        "incoming_amount": str(packet.incoming_amount),
        "incoming_asset": asset_json(packet.incoming_asset),
        "outgoing_amount": _amount(packet.outgoing_amount),
        "outgoing_asset": _asset_or_none(packet.outgoing_asset),
        "transfer": None if packet.transfer is None else str(packet.transfer),
        "verdict": packet.verdict.value,
        "code": packet.code,
        "triggered_by": packet.triggered_by,
        "message": packet.message,
        "advice": packet.advice,
        "latency_us": packet.latency_us,
    }


def history_json(history: History) -> Json:
    """Return what happened, step by step."""
    return {
        "step_s": history.step_s,
        "from_s": history.from_s,
        "until_s": history.until_s,
        "samples": [
            {
                "at_s": sample.at_s,
                "prepares": sample.prepares,
                "fulfills": sample.fulfills,
                "rejects": sample.rejects,
                "latency_us_mean": sample.latency_us_mean,
                "latency_us_max": sample.latency_us_max,
                "reject_codes": dict(sample.reject_codes),
                "incoming_amount": str(sample.incoming_amount),
                "outgoing_amount": str(sample.outgoing_amount),
                "net": _amount(sample.net),
            }
            for sample in history.samples
        ],
    }


def log_json(line: LogLine) -> Json:
    """Return one line of the log."""
    return {
        "sequence": line.sequence,
        "at_ms": line.at_ms,
        "level": line.level,
        "component": line.component,
        "text": line.text,
    }


def asset_json(asset: Asset) -> Json:
    """Return what amounts beside it count."""
    return {"asset_code": asset.code, "asset_scale": asset.scale}


def _asset_or_none(asset: Asset | None) -> Json | None:
    return None if asset is None else asset_json(asset)


def _amount(amount: int | None) -> str | None:
    return None if amount is None else str(amount)
