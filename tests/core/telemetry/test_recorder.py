"""The recorder: counts, the newest packets, and what a second was like."""

from __future__ import annotations

import gc

import pytest

from core.account import AccountId
from core.ledger.books import Balance
from core.packet import ErrorCode, Reject
from core.service import Trace
from core.telemetry.recorder import MESSAGE_CHARACTERS_KEPT, PACKETS_KEPT, Recorder
from core.testing.builders import fulfill
from core.testing.clock import START_MS, FakeClock

ALICE, BOB = AccountId("alice"), AccountId("bob")


class Traffic:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.recorder = Recorder(self.clock)

    def packet(
        self,
        reply: Reject | None = None,
        *,
        sender: AccountId = ALICE,
        failed: bool = False,
        transfer: int | None = None,
    ) -> None:
        trace = Trace(100)
        trace.to_account, trace.outgoing_amount, trace.prefix = BOB, 99, "test.bob"
        trace.transfer = transfer
        self.recorder.came_in()
        answer = None if failed else reply or fulfill()
        self.recorder.ended(sender, trace, "test.bob.x", answer, 250)


def reject(code: ErrorCode = ErrorCode.UNREACHABLE, message: str = "no route") -> Reject:
    return Reject.build(code, triggered_by="test.far", message=message)


def test_packets_are_counted_by_account_code_and_route() -> None:
    traffic = Traffic()

    traffic.packet()
    traffic.packet(reject())
    traffic.packet(failed=True)
    traffic.packet(sender=BOB)

    alice = traffic.recorder.counters(ALICE)
    assert (alice.prepares, alice.fulfills, alice.rejects) == (3, 1, 2)
    assert alice.last_packet_at_ms == START_MS
    assert traffic.recorder.totals().prepares == 4
    assert traffic.recorder.reject_codes() == {"F02": 1, "T00": 1}
    assert traffic.recorder.routes() == {"test.bob": 4}
    assert traffic.recorder.in_flight() == 0


def test_what_is_kept_of_a_packet_is_nothing_that_the_garbage_collector_looks_at() -> None:
    traffic = Traffic()
    traffic.packet()
    gc.collect()
    before = len(gc.get_objects())

    for number in range(500):
        traffic.packet(transfer=(1 << 42) + number)

    assert len(gc.get_objects()) < before + 100


def test_the_last_reject_is_told_with_code_name_and_message() -> None:
    traffic = Traffic()
    assert traffic.recorder.counters(ALICE).last_reject == ""

    traffic.packet(reject())
    traffic.packet()

    counters = traffic.recorder.counters(ALICE)
    assert counters.last_reject == "F02 Unreachable: no route"
    assert counters.last_reject_by == "test.far"

    traffic.packet(failed=True)
    assert traffic.recorder.counters(ALICE).last_reject_by is None


def test_packets_are_numbered_and_a_reader_gets_what_came_since() -> None:
    traffic = Traffic()
    for _ in range(5):
        traffic.packet()

    def numbers(after: int, limit: int = 100) -> list[int]:
        return [
            record.sequence
            for record in traffic.recorder.packets(after_sequence=after, limit=limit)
        ]

    assert numbers(0) == [1, 2, 3, 4, 5]
    assert numbers(3) == [4, 5]
    assert numbers(5) == []
    assert numbers(99) == []
    assert numbers(0, limit=2) == [4, 5]


def test_the_newest_packets_are_kept_and_no_more() -> None:
    traffic = Traffic()
    for _ in range(PACKETS_KEPT + 10):
        traffic.packet()

    records = list(traffic.recorder.packets(after_sequence=0, limit=10**6))

    assert (len(records), records[0].sequence) == (PACKETS_KEPT, 11)


def test_each_packet_is_kept_with_its_row_in_the_books() -> None:
    traffic = Traffic()
    traffic.packet(transfer=(1 << 42) + 7)
    traffic.packet(reject(), transfer=(1 << 42) + 8)
    traffic.packet(reject())

    records = list(traffic.recorder.packets(after_sequence=0, limit=10))

    assert [(one.sequence, one.transfer, one.destination, one.code) for one in records] == [
        (1, (1 << 42) + 7, "test.bob.x", ""),
        (2, (1 << 42) + 8, "test.bob.x", "F02"),
        (3, None, "test.bob.x", "F02"),
    ]


def test_of_a_strangers_message_only_the_beginning_is_kept() -> None:
    traffic = Traffic()

    traffic.packet(reject(message="x" * 8000))

    (record,) = traffic.recorder.packets(after_sequence=0, limit=1)
    assert len(record.message) == MESSAGE_CHARACTERS_KEPT
    assert (record.code, record.triggered_by) == ("F02", "test.far")


def test_packets_a_second_are_a_mean_of_ten_and_fall_to_zero() -> None:
    traffic = Traffic()
    for _ in range(50):
        traffic.packet()

    traffic.recorder.end_step()
    assert traffic.recorder.counters(ALICE).packets_per_second == pytest.approx(5.0)
    assert traffic.recorder.totals().packets_per_second == pytest.approx(5.0)
    for _ in range(10):
        traffic.recorder.end_step()

    assert traffic.recorder.counters(ALICE).packets_per_second == pytest.approx(0)
    assert traffic.recorder.counters(BOB).packets_per_second == pytest.approx(0)


def test_a_step_becomes_one_point_an_account() -> None:
    traffic = Traffic()
    traffic.packet()
    traffic.packet(reject(ErrorCode.INSUFFICIENT_LIQUIDITY))

    points = traffic.recorder.points(
        traffic.recorder.end_step(), {ALICE: Balance(payable=7, receivable=2)}
    )

    alice, bob = sorted(points, key=lambda point: point.account)
    assert alice.at_s == START_MS // 1000
    assert (alice.prepares, alice.fulfills, alice.rejects) == (2, 1, 1)
    assert (alice.incoming_amount, alice.net) == (100, 5)
    assert (alice.latency_us_sum, alice.latency_us_max) == (500, 250)
    assert alice.reject_codes == {"T04": 1}
    assert (bob.outgoing_amount, bob.prepares, bob.net) == (99, 0, None)
    assert traffic.recorder.points(traffic.recorder.end_step(), {}) == []


def test_accounts_and_routes_that_are_gone_are_forgotten() -> None:
    traffic = Traffic()
    traffic.packet()

    traffic.recorder.keep_only({BOB}, set())

    assert traffic.recorder.counters(ALICE).prepares == 0
    assert traffic.recorder.routes() == {}
    assert traffic.recorder.totals().prepares == 1
