"""Status, packets, history and the log at the operator's door; and what a reject code means."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from core.account import AccountId, Asset
from core.control.reasons import REASONS, Origin, advice, origin_of
from core.control.traffic import PACKETS_AT_ONCE, resolution_for
from core.control.views import PacketVerdict
from core.errors import SettingError, UnknownAccount
from core.packet import ErrorCode, Reject
from core.service import IncomingRequest
from core.telemetry.history import HistoryPoint, Resolution
from core.telemetry.records import LogLine
from core.testing.builders import prepare
from tests.core.control.bench import Bench


async def test_the_status_says_what_the_node_is_and_does(bench: Bench) -> None:
    before = await bench.control.status()
    await bench.add("bob")
    after = await bench.control.status()

    assert (after.ilp_address, after.version) == ("test.node", "1.2.3")
    assert after.ready
    assert (after.accounts, after.routes) == (1, 1)
    assert after.nodes_alive == 1
    assert after.last_change > before.last_change


async def test_a_node_with_a_problem_is_not_ready(bench: Bench) -> None:
    bench.problems.append("The store cannot be used.")

    status = await bench.control.status()

    assert not status.ready
    assert status.problems == ("The store cannot be used.",)


async def send(bench: Bench, sender: str, destination: str, amount: int) -> None:
    account = bench.node.directory.by_username(sender)
    assert account is not None
    packet = prepare(amount, destination=destination, now_ms=bench.clock.now_ms())
    await bench.node.incoming.handle(IncomingRequest(account, packet))


async def test_packets_are_told_by_name_with_what_to_do_about_a_reject(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob", ilp_over_http_url="http://127.0.0.1:1/ilp")
    await send(bench, "alice", "test.node.bob.x", 100)
    bench.link.fake.reply = Reject.build(
        ErrorCode.INSUFFICIENT_LIQUIDITY, triggered_by="test.node.bob", message="full"
    )
    await send(bench, "alice", "test.node.bob.x", 200)
    await send(bench, "alice", "test.nowhere", 300)

    good, full, lost = await bench.control.packets(after_sequence=0)

    assert good.verdict is PacketVerdict.FULFILLED
    assert (good.from_username, good.to_username) == ("alice", "bob")
    assert (good.incoming_amount, good.outgoing_amount, good.advice) == (100, 100, "")
    assert (full.verdict, full.code) == (PacketVerdict.REJECTED, "T04")
    assert full.message == "full"
    assert full.advice.startswith("Insufficient Liquidity: there is not enough credit")
    assert "You are at the limit that bob gave you" in full.advice
    assert (lost.code, lost.to_username, lost.outgoing_asset) == ("F02", None, None)
    assert "Add a route" in lost.advice
    assert await bench.control.packets(after_sequence=lost.sequence) == ()
    assert [p.sequence for p in await bench.control.packets(after_sequence=0, limit=1)] == [
        lost.sequence
    ]
    view = await bench.control.account("alice")
    assert (view.prepares, view.fulfills, view.rejects) == (3, 1, 2)


async def test_packets_of_an_account_that_is_gone_stay_readable(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob", ilp_over_http_url="http://127.0.0.1:1/ilp")
    await send(bench, "alice", "test.node.bob.x", 100)
    await bench.control.delete_account("bob", even_with_balance=True)

    (packet,) = await bench.control.packets(after_sequence=0)

    assert packet.to_username == "bob (deleted)"
    assert packet.outgoing_asset == Asset("USD", 2)


# --- History


@pytest.mark.parametrize(
    ("seconds", "samples_max", "resolution", "step_s"),
    [
        (60, 720, Resolution.SECOND, 1),
        (3_600, 720, Resolution.SECOND, 5),
        (3_600, 10, Resolution.MINUTE, 360),
        (3_601, 720, Resolution.MINUTE, 60),
        (86_400, 720, Resolution.MINUTE, 120),
        (30 * 86_400, 720, Resolution.HOUR, 3_600),
        (365 * 86_400, 720, Resolution.HOUR, 46_800),
        (31 * 86_400, 10_000, Resolution.HOUR, 3_600),
    ],
)
def test_history_has_the_finest_resolution_that_is_kept_and_fits(
    seconds: int, samples_max: int, resolution: Resolution, step_s: int
) -> None:
    assert resolution_for(seconds, samples_max) == (resolution, step_s)


def points(account: AccountId, at_s: int, count: int) -> Iterator[HistoryPoint]:
    for number in range(count):
        yield HistoryPoint(
            at_s=at_s + number,
            account=account,
            prepares=2,
            fulfills=1,
            rejects=1,
            incoming_amount=10,
            outgoing_amount=20,
            net=number,
            latency_us_sum=100 + number,
            latency_us_max=60 + number,
            reject_codes={"T04": 1},
        )


async def test_steps_are_summed_and_one_account_has_amounts_and_its_balance(
    bench: Bench,
) -> None:
    await bench.add("alice")
    await bench.add("bob")
    start_s = bench.clock.now_ms() // 1000
    await bench.stores.history.add([*points(bench.id_of("alice"), start_s, 10)])
    await bench.stores.history.add([*points(bench.id_of("bob"), start_s, 10)])
    bench.clock.advance(seconds=10)

    one = await bench.control.history(seconds=50, username="Alice", samples_max=10)
    all_ = await bench.control.history(seconds=50, samples_max=10)

    assert one.step_s == 5
    assert [sample.at_s for sample in one.samples] == [start_s, start_s + 5]
    first = one.samples[0]
    assert (first.prepares, first.fulfills, first.rejects) == (10, 5, 5)
    assert (first.incoming_amount, first.outgoing_amount, first.net) == (50, 100, 4)
    assert first.latency_us_mean == (100 + 101 + 102 + 103 + 104) // 10
    assert first.latency_us_max == 64
    assert first.reject_codes == {"T04": 5}
    assert all_.samples[0].prepares == 20
    assert (all_.samples[0].incoming_amount, all_.samples[0].net) == (0, None)
    assert one.from_s <= start_s < start_s + 10 <= one.until_s
    assert (one.until_s - one.from_s) // one.step_s <= 12


@pytest.mark.parametrize(
    ("seconds", "samples_max"), [(0, 10), (10**10, 10), (10, 0), (10, 10_001)]
)
async def test_a_history_of_no_length_is_refused(
    bench: Bench, seconds: int, samples_max: int
) -> None:
    with pytest.raises(SettingError):
        await bench.control.history(seconds=seconds, samples_max=samples_max)


async def test_the_history_of_nobody_is_refused(bench: Bench) -> None:
    with pytest.raises(UnknownAccount):
        await bench.control.history(seconds=60, username="nobody")


# --- The log


async def test_lines_come_since_the_last_and_the_newest_of_them(bench: Bench) -> None:
    bench.log.written = [
        LogLine(sequence=n, at_ms=n, level="info", component="core", text=f"line {n}")
        for n in range(1, 6)
    ]

    since = await bench.control.logs(after_sequence=2, limit=2)

    assert [line.sequence for line in since] == [4, 5]


async def test_the_level_of_the_log_is_set_or_refused(bench: Bench) -> None:
    assert await bench.control.set_log_level("debug") == "debug"
    with pytest.raises(SettingError):
        await bench.control.set_log_level("loud")
    assert bench.log.level == "debug"


# --- What a code means


@pytest.mark.parametrize("code", list(ErrorCode))
@pytest.mark.parametrize("origin", list(Origin))
def test_every_code_has_a_meaning_and_advice_whoever_said_it(
    code: ErrorCode, origin: Origin
) -> None:
    words = advice(code.decode(), origin, next_hop="bob")

    assert words.startswith(f"{code.words}: ")
    assert words.count(".") >= 2
    assert "{" not in words


def test_no_code_is_advised_on_that_does_not_exist() -> None:
    assert set(REASONS) == {code.decode() for code in ErrorCode}


@pytest.mark.parametrize("code", ["F42", "T42", "R42", "X42", ""])
def test_a_code_that_no_rfc_knows_counts_by_its_first_letter(code: str) -> None:
    assert advice(code, Origin.US).startswith("Unknown Error: a")


@pytest.mark.parametrize(
    ("triggered_by", "next_hop", "origin"),
    [
        ("test.node", "test.bob", Origin.US),
        ("test.node", None, Origin.US),
        ("test.bob", "test.bob", Origin.NEXT_HOP),
        ("test.bob.wallet", "test.bob", Origin.NEXT_HOP),
        ("", "test.bob", Origin.NEXT_HOP),
        ("test.bobby", "test.bob", Origin.FURTHER_ON),
        ("test.carol", "test.bob", Origin.FURTHER_ON),
        ("", None, Origin.FURTHER_ON),
    ],
)
def test_who_said_no_is_told_from_the_address(
    triggered_by: str, next_hop: str | None, origin: Origin
) -> None:
    assert origin_of(triggered_by, ours="test.node", next_hop=next_hop) is origin


async def test_a_long_list_of_packets_gives_others_their_turns(bench: Bench) -> None:
    await bench.add("alice")
    count = 2 * PACKETS_AT_ONCE + 1
    for _ in range(count):
        await send(bench, "alice", "test.nowhere", 1)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while not listing.done():
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        listing = tasks.create_task(bench.control.packets(after_sequence=0, limit=count))
        tasks.create_task(others())

    assert [packet.sequence for packet in listing.result()] == list(range(1, count + 1))
    assert turns >= count // PACKETS_AT_ONCE
