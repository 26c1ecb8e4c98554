"""Counts packets as they end, and keeps the newest: in memory, bounded, a few microseconds a packet."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, final

from core.account import AccountId
from core.clock import Clock
from core.ledger.books import Balance
from core.packet import Reject, Reply, error_words
from core.service import Trace
from core.telemetry.history import HistoryPoint
from core.telemetry.records import PacketRecord, TrafficCounters

PACKETS_KEPT: Final = 20_000
"""About 400 octets each, so 8 MB; at 500 packets a second they are the last 40 seconds."""
RATE_STEPS: Final = 10
"""Packets a second are a mean over so many steps."""
MESSAGE_CHARACTERS_KEPT: Final = 300
"""A message may have 8191 octets of a stranger's text; nobody reads more than this of it in a list."""
FAILED_CODE: Final = "T00"

_Value: TypeAlias = str | int | None
_VALUES: Final = 12
"""Of each packet that ended: in the order in which `ended` writes them and `_record` reads them."""


@final
class _Tally:
    """What one account did since the process started."""

    __slots__ = ("fulfills", "last_at_ms", "last_reject", "rejects")

    def __init__(self) -> None:
        self.fulfills = 0
        self.rejects = 0
        self.last_at_ms: int | None = None
        self.last_reject: tuple[str, str, str | None] | None = None

    def counters(self, packets_per_second: float) -> TrafficCounters:
        last_reject, by = "", None
        if self.last_reject is not None:
            code, message, by = self.last_reject
            last_reject = f"{code} {error_words(code)}: {message}".removesuffix(": ")
        return TrafficCounters(
            prepares=self.fulfills + self.rejects,
            fulfills=self.fulfills,
            rejects=self.rejects,
            packets_per_second=packets_per_second,
            last_packet_at_ms=self.last_at_ms,
            last_reject=last_reject,
            last_reject_by=by,
        )


@final
class _Step:
    """What one account did within the step of time that runs now."""

    __slots__ = (
        "codes",
        "fulfills",
        "incoming_amount",
        "latency_us_max",
        "latency_us_sum",
        "outgoing_amount",
        "prepares",
    )

    def __init__(self) -> None:
        self.prepares = 0
        self.fulfills = 0
        self.incoming_amount = 0
        self.outgoing_amount = 0
        self.latency_us_sum = 0
        self.latency_us_max = 0
        self.codes: Counter[str] | None = None

    def point(self, at_s: int, account: AccountId, net: int | None) -> HistoryPoint:
        return HistoryPoint(
            at_s=at_s,
            account=account,
            prepares=self.prepares,
            fulfills=self.fulfills,
            rejects=self.prepares - self.fulfills,
            incoming_amount=self.incoming_amount,
            outgoing_amount=self.outgoing_amount,
            net=net,
            latency_us_sum=self.latency_us_sum,
            latency_us_max=self.latency_us_max,
            reject_codes=dict(self.codes or {}),
        )


@final
class Recorder:
    """The node's traffic, as the trace service hands it in and the operator's door reads it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_flight = 0
        self._sequence = 0
        self._ended: deque[_Value] = deque(maxlen=PACKETS_KEPT * _VALUES)
        """One value behind the other: 20,000 rows would be as many objects for the garbage collector to look at."""
        self._total = _Tally()
        self._tallies: dict[AccountId, _Tally] = {}
        self._step: dict[AccountId, _Step] = {}
        self._step_started_s = clock.now_ms() // 1000
        self._steps: deque[tuple[int, Mapping[AccountId, _Step]]] = deque(maxlen=RATE_STEPS)
        self._codes: Counter[str] = Counter()
        self._routes: Counter[str] = Counter()

    # --- On the packet's path

    def came_in(self) -> None:
        self._in_flight += 1

    def ended(
        self,
        account: AccountId,
        trace: Trace,
        destination: str,
        reply: Reply | None,
        latency_us: int,
    ) -> None:
        """Count a packet; no reply means that the node itself failed."""
        self._in_flight -= 1
        self._sequence += 1
        at_ms = self._clock.now_ms()
        tally = self._tallies.get(account)
        if tally is None:
            tally = self._tallies[account] = _Tally()
        step = self._step_of(account)
        step.prepares += 1
        step.latency_us_sum += latency_us
        if latency_us > step.latency_us_max:
            step.latency_us_max = latency_us
        tally.last_at_ms = self._total.last_at_ms = at_ms
        code = triggered_by = message = ""
        if reply is None or isinstance(reply, Reject):
            code = FAILED_CODE
            if reply is not None:
                code = reply.code.decode()
                triggered_by = reply.triggered_by
                message = reply.message[:MESSAGE_CHARACTERS_KEPT]
            tally.rejects += 1
            self._total.rejects += 1
            tally.last_reject = self._total.last_reject = (
                code,
                message,
                None if reply is None else triggered_by,
            )
            self._codes[code] += 1
            if step.codes is None:
                step.codes = Counter()
            step.codes[code] += 1
        else:
            tally.fulfills += 1
            self._total.fulfills += 1
            step.fulfills += 1
            step.incoming_amount += trace.incoming_amount
            if trace.to_account is not None and trace.outgoing_amount is not None:
                self._step_of(trace.to_account).outgoing_amount += trace.outgoing_amount
        if trace.prefix is not None:
            self._routes[trace.prefix] += 1
        self._ended.extend(
            (
                self._sequence,
                at_ms,
                account,
                trace.to_account,
                trace.incoming_amount,
                trace.outgoing_amount,
                trace.transfer,
                destination,
                code,
                triggered_by,
                message,
                latency_us,
            )
        )

    def _step_of(self, account: AccountId) -> _Step:
        step = self._step.get(account)
        if step is None:
            step = self._step[account] = _Step()
        return step

    # --- Once a second

    def end_step(self) -> tuple[int, Mapping[AccountId, _Step]]:
        """End the step of time that runs now, start the next, and return it with its first second."""
        ended = (self._step_started_s, self._step)
        self._steps.append(ended)
        self._step = {}
        self._step_started_s = self._clock.now_ms() // 1000
        return ended

    @staticmethod
    def points(
        ended: tuple[int, Mapping[AccountId, _Step]], balances: Mapping[AccountId, Balance]
    ) -> Sequence[HistoryPoint]:
        """Return an ended step as history has it, each account with its balance of now."""
        at_s, steps = ended
        return [
            step.point(at_s, account, balances[account].net if account in balances else None)
            for account, step in steps.items()
        ]

    def keep_only(self, accounts: Container[AccountId], prefixes: Container[str]) -> None:
        """Forget the counters of accounts and routes that are gone."""
        for account in [known for known in self._tallies if known not in accounts]:
            del self._tallies[account]
        for prefix in [known for known in self._routes if known not in prefixes]:
            del self._routes[prefix]

    # --- For the operator's door

    def totals(self) -> TrafficCounters:
        """Return the whole node's counters."""
        packets = sum(step.prepares for _, steps in self._steps for step in steps.values())
        return self._total.counters(packets / RATE_STEPS)

    def counters(self, account: AccountId) -> TrafficCounters:
        """Return one account's counters, zeros where it did nothing yet."""
        tally = self._tallies.get(account)
        if tally is None:
            return TrafficCounters()
        packets = sum(steps[account].prepares for _, steps in self._steps if account in steps)
        return tally.counters(packets / RATE_STEPS)

    def in_flight(self) -> int:
        """Return how many packets have come in and not ended."""
        return self._in_flight

    def reject_codes(self) -> Mapping[str, int]:
        """Return how many packets ended with each code."""
        return dict(self._codes)

    def routes(self) -> Mapping[str, int]:
        """Return how many packets each prefix of the routing table decided."""
        return dict(self._routes)

    def packets(self, *, after_sequence: int, limit: int) -> Iterator[PacketRecord]:
        """Return packets that ended since, oldest first, the newest `limit` of them.

        Which they are is settled now; each becomes a record when it is asked for, so that whoever
        wants all 20,000 may let others have a turn in between.
        """
        kept = len(self._ended) // _VALUES
        count = max(0, min(self._sequence - after_sequence, limit, kept))
        newest = list(islice(reversed(self._ended), count * _VALUES))
        newest.reverse()
        return (_record(newest[at : at + _VALUES]) for at in range(0, len(newest), _VALUES))


def _record(values: list[Any]) -> PacketRecord:
    (
        sequence,
        at_ms,
        from_account,
        to_account,
        incoming_amount,
        outgoing_amount,
        transfer,
        destination,
        code,
        triggered_by,
        message,
        latency_us,
    ) = values
    return PacketRecord(
        sequence=sequence,
        at_ms=at_ms,
        from_account=from_account,
        to_account=to_account,
        destination=destination,
        incoming_amount=incoming_amount,
        outgoing_amount=outgoing_amount,
        transfer=transfer,
        code=code,
        triggered_by=triggered_by,
        message=message,
        latency_us=latency_us,
    )
