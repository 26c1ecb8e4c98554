from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from core.errors import ControlError
from desktop.engine_supervisor import (
    FAILURES_MAX,
    BundledEngines,
    EngineSupervisor,
    ProcessState,
    Program,
    engine_command,
)

FAKE_ENGINE = """
import os, sys, time
kind = sys.argv[1]
if kind == "dies":
    print("the database is locked", flush=True)
    sys.exit(7)
if kind == "grandchild":
    if os.fork() == 0:
        time.sleep(30)
if kind == "stubborn":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("warming up", flush=True)
print('READY {"address": "0xabc"}', flush=True)
print("x" * 100_000 if kind == "verbose" else "hello", flush=True)
for line in sys.stdin:
    print(line.strip(), flush=True)
    if line.strip() == "die":
        sys.exit(3)
if kind == "stubborn":
    time.sleep(30)
"""


class Waits:
    """A sleep that takes no time and is remembered."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
async def supervisor(tmp_path: Path, waits: Waits) -> AsyncIterator[EngineSupervisor]:
    script = tmp_path / "engine.py"
    script.write_text(FAKE_ENGINE)

    def command(program: Program) -> Sequence[str]:
        return (sys.executable, str(script), *program.arguments)

    made = EngineSupervisor("memory:", command=command, sleep=waits, stop_seconds=0.2)
    yield made
    await made.close()


async def until(supervisor: EngineSupervisor, name: str, *states: ProcessState) -> None:
    """Wait for one of these states."""
    came = asyncio.Event()
    supervisor.changed.connect(lambda _name: came.set())
    while (status := supervisor.status(name)) is None or status.state not in states:
        async with asyncio.timeout(10):
            await came.wait()
        came.clear()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_an_engine_that_says_ready_is_running(supervisor: EngineSupervisor) -> None:
    said = await supervisor.start(Program(name="xrp", arguments=("fine",)))

    status = supervisor.status("xrp")
    assert said == {"address": "0xabc"}
    assert status is not None
    assert (status.state, status.restarts) == (ProcessState.RUNNING, 0)
    assert status.pid is not None
    assert os.getsid(status.pid) == status.pid


async def test_a_stopped_engine_is_gone(supervisor: EngineSupervisor) -> None:
    await supervisor.start(Program(name="xrp", arguments=("fine",)))
    status = supervisor.status("xrp")
    assert status is not None
    assert status.pid is not None

    await supervisor.stop("xrp")

    assert not is_alive(status.pid)
    assert [each.state for each in supervisor.statuses] == [ProcessState.STOPPED]


async def test_an_engine_that_dies_at_once_is_told_with_its_last_words(
    supervisor: EngineSupervisor, waits: Waits
) -> None:
    with pytest.raises(ControlError, match=r"ended with status 7.*the database is locked"):
        await supervisor.start(Program(name="xrp", arguments=("dies",)))

    status = supervisor.status("xrp")
    assert status is not None
    assert status.state is ProcessState.GAVE_UP
    assert waits.seconds == []
    assert "the database is locked" in status.sentence


@pytest.mark.logs_warning
async def test_an_engine_that_dies_again_and_again_is_given_up_loudly(
    supervisor: EngineSupervisor, waits: Waits, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.supervise(Program(name="xrp", arguments=("dies",)))

    await until(supervisor, "xrp", ProcessState.GAVE_UP)

    status = supervisor.status("xrp")
    assert status is not None
    assert waits.seconds == [1, 2, 4, 8, 16][: FAILURES_MAX - 1]
    assert (status.exit_code, status.last_lines[-1]) == (7, "the database is locked")
    assert "given up" in status.sentence
    assert [r.levelname for r in caplog.records].count("ERROR") == 1


@pytest.mark.logs_warning
async def test_an_engine_that_is_killed_comes_back(
    supervisor: EngineSupervisor, waits: Waits
) -> None:
    await supervisor.start(Program(name="xrp", arguments=("fine",)))
    before = supervisor.status("xrp")
    assert before is not None
    assert before.pid is not None

    os.kill(before.pid, signal.SIGKILL)
    await until(supervisor, "xrp", ProcessState.WAITING)
    await until(supervisor, "xrp", ProcessState.RUNNING)

    after = supervisor.status("xrp")
    assert after is not None
    assert after.pid != before.pid
    assert (after.restarts, after.exit_code) == (1, -9)


async def test_an_engine_that_does_not_want_to_end_is_made_to(
    supervisor: EngineSupervisor,
) -> None:
    await supervisor.start(Program(name="xrp", arguments=("stubborn",)))
    status = supervisor.status("xrp")
    assert status is not None
    assert status.pid is not None

    await supervisor.stop("xrp")

    assert not is_alive(status.pid)


async def test_a_line_without_end_does_not_stop_the_reading(
    supervisor: EngineSupervisor,
) -> None:
    await supervisor.start(Program(name="xrp", arguments=("verbose",)))
    process = supervisor._supervised["xrp"]._process
    assert process is not None
    assert process.stdin is not None

    process.stdin.write(b"still there\n")

    async with asyncio.timeout(10):
        while "still there" not in supervisor.statuses[0].last_lines:  # noqa: ASYNC110 # no event tells of a line
            await asyncio.sleep(0.01)


@pytest.mark.logs_warning
async def test_a_program_that_is_not_there_is_told(waits: Waits) -> None:
    supervisor = EngineSupervisor(
        "memory:", command=lambda _program: ("/no/such/engine",), sleep=waits
    )

    with pytest.raises(ControlError, match="cannot be started"):
        await supervisor.start_engine("xrp", rpc_url="http://127.0.0.1:1")
    supervisor.supervise_engine("xrp", rpc_url="http://127.0.0.1:1")
    await until(supervisor, "xrp", ProcessState.GAVE_UP)
    await supervisor.restart("xrp")
    await until(supervisor, "xrp", ProcessState.GAVE_UP)
    await supervisor.close()


async def test_an_engine_is_not_started_twice(supervisor: EngineSupervisor) -> None:
    await supervisor.start(Program(name="xrp", arguments=("fine",)))

    with pytest.raises(ControlError, match="runs already"):
        await supervisor.start(Program(name="xrp", arguments=("fine",)))


async def test_an_engine_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    engine = tmp_path / "engine.py"
    engine.write_text(FAKE_ENGINE)
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio, sys\n"
        "from desktop.engine_supervisor import EngineSupervisor, Program\n"
        "async def main():\n"
        "    s = EngineSupervisor('memory:', command=lambda p: (sys.executable, sys.argv[1], 'fine'))\n"
        "    await s.start(Program(name='xrp', arguments=()))\n"
        "    print(s.status('xrp').pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n",
        str(engine),
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_alive(pid)

    parent.kill()
    await parent.wait()

    async with asyncio.timeout(10):
        while is_alive(pid):  # noqa: ASYNC110 # no child of ours
            await asyncio.sleep(0.01)


FAKE_SETTLEMENT = """
import sys
if sys.argv[1] == "chain":
    print('READY {"rpc": "http://127.0.0.1:8545"}', flush=True)
else:
    print(" ".join(sys.argv[1:]), flush=True)
    print("READY {}", flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def bundled(tmp_path: Path) -> AsyncIterator[EngineSupervisor]:
    script = tmp_path / "settlement.py"
    script.write_text(FAKE_SETTLEMENT)
    made = EngineSupervisor(
        "sqlite:////data/signalbox.db",
        command=lambda program: (sys.executable, str(script), *program.arguments),
    )
    yield made
    await made.close()


async def test_an_engine_without_a_ledger_is_not_started_on_one_of_our_choice(
    bundled: EngineSupervisor,
) -> None:
    engines = BundledEngines(bundled, dict)

    with pytest.raises(ControlError, match="no chain is named"):
        await engines.restart("ethereum")

    status = engines.status("ethereum")
    assert status is not None
    assert status.state is ProcessState.NOT_SET_UP
    assert "--ethereum-rpc" in status.sentence


async def test_an_engine_starts_on_the_ledger_that_was_named(
    bundled: EngineSupervisor,
) -> None:
    engines = BundledEngines(bundled, lambda: {"ethereum": "https://rpc.example"})

    await engines.restart("ethereum")
    await engines.restart("ethereum")

    assert [status.name for status in engines.statuses] == ["ethereum"]
    with pytest.raises(ControlError, match="no engine"):
        await engines.restart("bitcoin")


def test_a_bundled_engine_is_a_module_in_a_checkout_and_a_program_in_a_bundle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = Program(name="ethereum", arguments=("ethereum", "--store", "memory:"))

    assert engine_command(program)[1:3] == ("-m", "core.settlement")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert engine_command(program)[0].endswith("signalbox-engine")
