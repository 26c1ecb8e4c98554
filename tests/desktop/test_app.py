"""The application as its user runs it: a process of its own, started by its command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from core.config import Bind, NodeConfig
from desktop.__main__ import has_display, main
from desktop.app import Desktop, Options
from desktop.settings import SettingsFile
from desktop.theme import Theme, ThemeChoice

LISTENING = re.compile(r"listening on (http://\S+)")


class Program:
    """`signalbox`, running without a display."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lines: list[str] = []
        self.process: asyncio.subprocess.Process | None = None

    async def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "desktop",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={
                **os.environ,
                "QT_QPA_PLATFORM": "offscreen",
                "XDG_DATA_HOME": str(self.home / "data"),
                "XDG_CONFIG_HOME": str(self.home / "config"),
                "TMPDIR": str(self.home),
                **(environment or {}),
            },
        )

    async def until(self, pattern: str) -> re.Match[str]:
        """Read its output until a line has this."""
        assert self.process is not None
        assert self.process.stdout is not None
        async with asyncio.timeout(50):
            while line := await self.process.stdout.readline():
                self.lines.append(line.decode().rstrip())
                if (found := re.search(pattern, self.lines[-1])) is not None:
                    return found
        raise AssertionError(f"it never said {pattern!r}: {self.lines}")

    async def end(self) -> int:
        """Read what it still says, and return its exit code."""
        assert self.process is not None
        assert self.process.stdout is not None
        async with asyncio.timeout(50):
            rest = await self.process.stdout.read()
            self.lines += rest.decode().splitlines()
            return await self.process.wait()


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    made = Program(tmp_path)
    yield made
    if made.process is not None and made.process.returncode is None:
        made.process.kill()
        await made.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_start_makes_what_it_needs_and_a_signal_ends_it_in_order(
    program: Program, number: signal.Signals
) -> None:
    await program.start("--http-bind", "127.0.0.1:0")
    await program.until(LISTENING.pattern)
    await program.until("window is open")
    assert program.process is not None

    program.process.send_signal(number)

    assert await program.end() == 0
    assert not [line for line in program.lines if "WARNING" in line or "Traceback" in line]
    database = program.home / "data" / "signalbox" / "signalbox.db"
    assert database.exists()
    assert database.stat().st_mode & 0o777 == 0o600
    assert database.parent.stat().st_mode & 0o777 == 0o700


async def test_a_port_in_use_is_told_in_a_sentence_and_nothing_is_left_running(
    program: Program,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        await program.start(
            "--http-bind", f"127.0.0.1:{port}", "--screenshots", str(program.home / "shots")
        )
        code = await program.end()

    assert code == 2
    assert f"{port}" in program.lines[-1]
    assert "Traceback" not in "\n".join(program.lines)


async def test_pictures_of_an_empty_node_are_taken_without_a_display(program: Program) -> None:
    shots = program.home / "shots"
    await program.start(
        "--http-bind", "127.0.0.1:0", "--screenshots", str(shots),
        environment={"DISPLAY": "", "QT_QPA_PLATFORM": ""},
    )  # fmt: skip

    assert await program.end() == 0, program.lines
    assert sorted(path.name for path in shots.iterdir()) == sorted(
        f"{page}-{theme}.png"
        for page in (
            *("overview", "peers", "routes", "traffic"),
            *("settlements", "payments", "rates", "logs"),
        )
        for theme in ("light", "dark")
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ethereum-rpc", "nonsense"), "must be like http://127.0.0.1:8545"),
        (("--screenshots", "/dev/null/shots"), "/dev/null/shots cannot be made"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(
    arguments: tuple[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_the_settings_file_may_be_named_by_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "node.toml"
    file.write_text("in_flight_mx = 5\n")
    monkeypatch.setenv("SIGNALBOX_CONFIG", str(file))
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")

    # The other setting cannot be, either: without the file, it would be the one that is told.
    assert main(["--http-bind", "nowhere"]) == 2
    assert "in_flight_mx: there is no such setting; did you mean" in capsys.readouterr().err


async def test_a_file_that_is_no_database_is_refused_with_a_sentence(program: Program) -> None:
    directory = program.home / "broken"
    directory.mkdir(mode=0o700)
    database = directory / "signalbox.db"
    database.write_bytes(b"this is no database, but it is long enough to look at" * 40)
    await program.start(
        "--store", f"sqlite:///{database}", "--http-bind", "127.0.0.1:0",
        "--screenshots", str(program.home / "shots"),
    )  # fmt: skip

    assert await program.end() == 2
    assert "Traceback" not in "\n".join(program.lines)
    assert str(database) in program.lines[-1]


def test_without_a_display_it_says_so_and_offers_pictures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)

    code = main(["--theme", "dark"])

    assert code == 2
    assert "--screenshots" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "platform", "answer"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"QT_QPA_PLATFORM": "offscreen"}, "linux", True),
        ({"QT_QPA_PLATFORM": "xcb"}, "linux", False),
        ({}, "darwin", True),
    ],
)
def test_a_display_is_found_by_the_environment(
    environment: Mapping[str, str], platform: str, answer: bool
) -> None:
    assert has_display(environment, platform) is answer


def test_help_names_every_way_to_start_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    said = capsys.readouterr().out
    assert ended.value.code == 0
    for option in (
        "--demo",
        "--screenshots",
        "--theme",
        "--store",
        "--http-bind",
        "--ilp-address",
    ):
        assert option in said


@contextlib.asynccontextmanager
async def opened(qapp: QApplication) -> AsyncIterator[tuple[Desktop, asyncio.Event]]:
    theme = Theme(qapp, "", ThemeChoice.LIGHT)
    config = NodeConfig(store="memory:", http_bind=Bind("127.0.0.1", 0))
    async with Desktop.opened(Options(config=config), SettingsFile(None), theme) as desktop:
        yield desktop, asyncio.Event()
    theme.deleteLater()


@pytest.mark.parametrize("how", ["close", "quit"])
async def test_closing_the_window_and_quitting_end_the_same_way(
    qapp: QApplication, how: str
) -> None:
    async with opened(qapp) as (desktop, closing):
        QTimer.singleShot(50, desktop.window.close if how == "close" else closing.set)

        async with asyncio.timeout(20):
            assert await desktop.serve(closing) == 0


async def test_a_peer_added_through_the_window_is_there_for_the_api(qapp: QApplication) -> None:
    from aiohttp import ClientSession

    from core.control.views import AccountDetails

    async with opened(qapp) as (desktop, _closing):
        node = desktop.node
        await node.operator.create_account(
            AccountDetails(username="bob", asset_code="USD", asset_scale=2)
        )

        async with (
            ClientSession() as session,
            session.get(f"{node.url}/accounts/bob/balance") as response,
        ):
            assert response.status == 401
        assert [view.account.username for view in await node.operator.accounts()] == ["bob"]
