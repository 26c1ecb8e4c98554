from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import qasync
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from desktop.event_loop import NestedEventLoop, new_event_loop


@pytest.fixture
def loop(qapp: QApplication) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that no test runs on yet."""
    made = NestedEventLoop(qapp)
    yield made
    made.close()


def test_it_is_a_qasync_loop(qapp: QApplication) -> None:
    made = new_event_loop(qapp)

    assert isinstance(made, qasync.QEventLoop)
    made.close()
    assert made.is_closed()


async def test_callbacks_run_in_the_order_in_which_they_were_asked_for() -> None:
    loop = asyncio.get_running_loop()
    ran: list[int] = []

    for i in range(500):
        loop.call_soon(ran.append, i)
    await asyncio.sleep(0.01)

    assert ran == list(range(500))


async def test_what_a_callback_schedules_runs_after_what_was_there() -> None:
    loop = asyncio.get_running_loop()
    ran: list[str] = []

    def first() -> None:
        ran.append("first")
        loop.call_soon(ran.append, "third")

    loop.call_soon(first)
    loop.call_soon(ran.append, "second")
    await asyncio.sleep(0.01)

    assert ran == ["first", "second", "third"]


@pytest.mark.parametrize("delay", [0.0001, 0.001, 0.0105, 0.05, 0.1234])
async def test_a_timer_fires_and_never_early(delay: float) -> None:
    loop = asyncio.get_running_loop()

    began = loop.time()
    async with asyncio.timeout(20):
        await asyncio.sleep(delay)

    assert loop.time() >= began + delay


async def test_timers_fire_in_the_order_of_their_time() -> None:
    loop = asyncio.get_running_loop()
    fired: list[int] = []

    for i in (5, 1, 4, 2, 3):
        loop.call_later(i / 500, fired.append, i)
    await asyncio.sleep(0.03)

    assert fired == [1, 2, 3, 4, 5]


async def test_a_cancelled_timer_does_not_fire_and_does_not_stay() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, NestedEventLoop)

    for handle in [loop.call_later(300, lambda: None) for _ in range(5_000)]:
        handle.cancel()
    await asyncio.sleep(0.001)

    assert len(loop._scheduled) < 500


async def test_a_timer_set_from_a_qt_slot_fires(qapp: QApplication) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    QTimer.singleShot(0, lambda: loop.call_later(0.002, done.set_result, "fired"))

    assert await asyncio.wait_for(done, 5) == "fired"


async def test_qt_goes_on_while_asyncio_is_busy(qapp: QApplication) -> None:
    loop = asyncio.get_running_loop()
    ticks: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(loop.time()))
    timer.start(1)

    stop_at = loop.time() + 0.2
    while loop.time() < stop_at:  # noqa: ASYNC110 # to be busy is the point
        await asyncio.sleep(0)
    timer.stop()

    assert len(ticks) >= 10


async def test_bytes_go_through_a_socket_both_ways() -> None:
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(100_000)).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(upper, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")

        assert await reader.read() == b"HELLO"

        writer.close()
        await writer.wait_closed()


async def test_a_subprocess_is_fed_read_and_waited_for() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; sys.stdout.write(sys.stdin.read()[::-1]); sys.exit(3)",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )

    output, _ = await child.communicate(b"abc")

    assert (output, child.returncode) == (b"cba", 3)


async def test_another_thread_wakes_the_loop() -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(done.set_result, 7))
    thread.start()

    assert await asyncio.wait_for(done, 5) == 7
    thread.join()
    assert await asyncio.to_thread(lambda: 8) == 8


async def test_a_signal_reaches_its_handler() -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, came.set)

    os.kill(os.getpid(), signal.SIGUSR1)

    await asyncio.wait_for(came.wait(), 5)
    loop.remove_signal_handler(signal.SIGUSR1)


@pytest.mark.logs_warning
async def test_a_task_that_opens_a_nested_qt_loop_is_refused_and_nothing_is_lost() -> None:
    loop = asyncio.get_running_loop()
    ran: list[str] = []
    loop.call_soon(ran.append, "waiting")
    loop.call_later(0.001, ran.append, "timer")
    nested = QEventLoop()
    QTimer.singleShot(1, lambda: loop.call_soon_threadsafe(ran.append, "socket"))
    QTimer.singleShot(30, nested.quit)

    nested.exec()
    within = list(ran)
    await asyncio.sleep(0.01)

    assert within == []
    assert sorted(ran) == ["socket", "timer", "waiting"]


async def test_a_slot_that_opens_a_nested_qt_loop_leaves_asyncio_running() -> None:
    loop = asyncio.get_running_loop()
    ran: list[str] = []
    nested = QEventLoop()
    done = loop.create_future()

    def slot() -> None:
        loop.call_later(0.005, ran.append, "timer")
        QTimer.singleShot(30, nested.quit)
        nested.exec()
        ran.append("closed")
        done.set_result(None)

    QTimer.singleShot(0, slot)
    await asyncio.wait_for(done, 5)

    assert ran == ["timer", "closed"]


def test_qt_quitting_begins_the_shutdown_and_does_not_cut_it_short(qapp: QApplication) -> None:
    closing = asyncio.Event()
    loop = NestedEventLoop(qapp, on_quit=closing.set)
    steps: list[str] = []

    async def main() -> int:
        QTimer.singleShot(0, qapp.quit)
        await closing.wait()
        steps.append("closing")
        await asyncio.sleep(0.005)
        steps.append("closed")
        return 7

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(main()) == 7

    assert steps == ["closing", "closed"]


def test_without_anybody_who_minds_a_quit_ends_the_loop(
    qapp: QApplication, loop: asyncio.AbstractEventLoop
) -> None:
    async def never() -> None:
        QTimer.singleShot(0, qapp.quit)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="stopped before Future completed"):
        loop.run_until_complete(never())

    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_must_end_the_program_gets_through_qt(
    loop: asyncio.AbstractEventLoop, error: type[BaseException]
) -> None:
    def end() -> None:
        raise error

    loop.call_soon(end)

    with pytest.raises(error):
        loop.run_forever()


async def test_an_error_in_a_callback_reaches_the_handler() -> None:
    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))

    loop.call_soon(lambda: 1 // 0)
    await asyncio.sleep(0.001)

    assert [type(error) for error in told] == [ZeroDivisionError]
    loop.set_exception_handler(None)


@pytest.mark.logs_warning
def test_a_slow_callback_is_told_of_in_debug_mode(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0

    loop.run_until_complete(asyncio.sleep(0))

    assert "took" in caplog.text


def test_a_closed_loop_takes_nothing_and_can_be_closed_again(
    loop: asyncio.AbstractEventLoop,
) -> None:
    loop.close()
    loop.close()

    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(lambda: None)


def test_a_hundred_loops_come_and_go(qapp: QApplication) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 # descriptors, not files

    for _ in range(100):
        with asyncio.Runner(loop_factory=lambda: NestedEventLoop(qapp)) as runner:
            runner.run(asyncio.sleep(0))

    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208


async def test_an_async_generator_left_open_is_closed_with_the_loop(qapp: QApplication) -> None:
    closed: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.append("closed")

    generator = numbers()
    assert await anext(generator) == 1
    await asyncio.get_running_loop().shutdown_asyncgens()

    assert closed == ["closed"]
