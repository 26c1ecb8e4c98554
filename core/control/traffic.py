"""What went through: packets, history and the log, as the operator sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, final

from core.account import Account, AccountDirectory, AccountId
from core.clock import Clock
from core.control.accounts import find_account
from core.control.reasons import advice, origin_of
from core.control.routes import asset_of, name_of
from core.control.sources import TrafficSource
from core.control.views import History, HistorySample, PacketVerdict, PacketView
from core.errors import SettingError
from core.node_address import NodeAddress
from core.telemetry.history import HistoryPoint, HistoryStore, Resolution
from core.telemetry.records import PacketRecord

PACKETS_MAX: Final = 20_000
PACKETS_AT_ONCE: Final = 250
"""So many take a few milliseconds; then packets and painting get their turns."""
SAMPLES_MAX: Final = 10_000
HISTORY_SECONDS_MAX: Final = 20 * 366 * 86_400
HISTORY_POINTS_MAX: Final = 200_000
"""Of all accounts together, the newest: a request costs no more memory than this, whatever is asked."""
_KEPT_SECONDS: Final = {Resolution.SECOND: 3_600, Resolution.MINUTE: 30 * 86_400}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficDesk:
    """What the operator sees of traffic."""

    directory: AccountDirectory
    node_address: NodeAddress
    traffic: TrafficSource
    history_store: HistoryStore
    clock: Clock

    async def packets(self, *, after_sequence: int, limit: int) -> Sequence[PacketView]:
        records = self.traffic.packets(
            after_sequence=after_sequence, limit=min(max(limit, 0), PACKETS_MAX)
        )
        views: list[PacketView] = []
        while piece := [self._packet(record) for record in islice(records, PACKETS_AT_ONCE)]:
            views += piece
            if len(piece) == PACKETS_AT_ONCE:
                await asyncio.sleep(0)
        return tuple(views)

    async def history(self, *, seconds: int, username: str | None, samples_max: int) -> History:
        if not 1 <= seconds <= HISTORY_SECONDS_MAX:
            raise SettingError(
                "seconds", f"{seconds} was found; it needs 1 to {HISTORY_SECONDS_MAX}"
            )
        if not 1 <= samples_max <= SAMPLES_MAX:
            raise SettingError(
                "samples_max", f"{samples_max} was found; it needs 1 to {SAMPLES_MAX}"
            )
        account = None if username is None else find_account(self.directory, username).id
        resolution, step_s = resolution_for(seconds, samples_max)
        until_s = -(-self.clock.now_ms() // 1000 // step_s) * step_s + step_s
        from_s = (until_s - seconds) // step_s * step_s
        points = await self.history_store.read(
            resolution,
            from_s=from_s,
            until_s=until_s,
            account=account,
            points_max=HISTORY_POINTS_MAX,
        )
        return History(
            step_s=step_s,
            from_s=from_s,
            until_s=until_s,
            samples=tuple(_samples(points, step_s, account)),
        )

    def _packet(self, record: PacketRecord) -> PacketView:
        receiver = (
            None if record.to_account is None else self.directory.by_id(record.to_account)
        )
        return PacketView(
            sequence=record.sequence,
            at_ms=record.at_ms,
            from_username=name_of(self.directory, record.from_account),
            to_username=None
            if record.to_account is None
            else name_of(self.directory, record.to_account),
            destination=record.destination,
            incoming_amount=record.incoming_amount,
            incoming_asset=asset_of(self.directory, record.from_account),
            outgoing_amount=record.outgoing_amount,
            outgoing_asset=None
            if record.to_account is None
            else asset_of(self.directory, record.to_account),
            transfer=record.transfer,
            verdict=PacketVerdict.REJECTED if record.code else PacketVerdict.FULFILLED,
            code=record.code,
            triggered_by=record.triggered_by,
            message=record.message,
            advice=self._advice(record, receiver),
            latency_us=record.latency_us,
        )

    def _advice(self, record: PacketRecord, receiver: Account | None) -> str:
        if not record.code:
            return ""
        origin = origin_of(
            record.triggered_by,
            ours=self.node_address.current,
            next_hop=None if receiver is None else receiver.ilp_address,
        )
        return advice(record.code, origin, next_hop=None if receiver is None else receiver.name)


def resolution_for(seconds: int, samples_max: int) -> tuple[Resolution, int]:
    """Return the finest resolution that is kept for so long, and a step of which so many samples fit."""
    step_s = -(-seconds // samples_max)
    if seconds <= _KEPT_SECONDS[Resolution.SECOND] and step_s < Resolution.MINUTE:
        resolution = Resolution.SECOND
    elif seconds <= _KEPT_SECONDS[Resolution.MINUTE] and step_s < Resolution.HOUR:
        resolution = Resolution.MINUTE
    else:
        resolution = Resolution.HOUR
    return resolution, -(-step_s // resolution) * resolution


def _samples(
    points: Iterable[HistoryPoint], step_s: int, account: AccountId | None
) -> Iterable[HistorySample]:
    """Yield one sample for each step that has points; amounts and net only of a single account."""
    step: list[HistoryPoint] = []
    for point in points:
        if step and point.at_s // step_s != step[0].at_s // step_s:
            yield _sample(step, step_s, account)
            step = []
        step.append(point)
    if step:
        yield _sample(step, step_s, account)


def _sample(
    step: Sequence[HistoryPoint], step_s: int, account: AccountId | None
) -> HistorySample:
    fulfills = sum(point.fulfills for point in step)
    rejects = sum(point.rejects for point in step)
    codes: dict[str, int] = {}
    for point in step:
        for code, count in point.reject_codes.items():
            codes[code] = codes.get(code, 0) + count
    ended = fulfills + rejects
    nets = [point.net for point in step if point.net is not None]
    single = account is not None
    return HistorySample(
        at_s=step[0].at_s // step_s * step_s,
        prepares=sum(point.prepares for point in step),
        fulfills=fulfills,
        rejects=rejects,
        latency_us_mean=sum(point.latency_us_sum for point in step) // ended if ended else 0,
        latency_us_max=max(point.latency_us_max for point in step),
        reject_codes=codes,
        incoming_amount=sum(point.incoming_amount for point in step) if single else 0,
        outgoing_amount=sum(point.outgoing_amount for point in step) if single else 0,
        net=nets[-1] if single and nets else None,
    )
