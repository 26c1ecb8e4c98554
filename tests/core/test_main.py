"""`signalbox-node` on the command line: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from core.__main__ import main
from core.account import NewTokens, Secret
from core.clock import WallClock
from core.config import program_version
from core.packet import Fulfill, address, parse_reply
from core.services.echo import PING_CONDITION
from core.stores.record import open_stores
from core.testing.builders import account, prepare

TOKEN = "an-operator's-token-of-some-length"


def test_help_names_the_commands_and_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0

    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "run",
        "audit",
        "check-config",
        "--http-bind HOST:PORT",
        "0.01 or 1%",
        "READY",
    ):
        assert words in text


@pytest.mark.parametrize("program", ["core", "core.cli", "core.settlement", "desktop"])
def test_each_program_says_its_version(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = importlib.import_module(f"{program}.__main__").main
    with pytest.raises(SystemExit) as ended:
        run(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.split()[1:] == [program_version()]


def test_check_config_prints_what_would_be_in_force_without_the_token(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check-config", "--spread", "1%", "--admin-token", TOKEN]) == 0

    text = " ".join(capsys.readouterr().out.split())
    assert "spread = 1/100" in text
    assert "hosts = (none)" in text
    assert "payment_reach = auto" in text
    assert "http_bind = 127.0.0.1:7770" in text
    assert TOKEN not in text


def test_check_config_finds_what_a_start_would_refuse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check-config", "--log-level", "loud"]) == 2
    assert "there are debug, info, warning" in capsys.readouterr().err

    assert main(["check-config", "--store", "sqlite:///"]) == 2
    assert "'sqlite:///' names no file" in capsys.readouterr().err

    assert main(["check-config", "--store", "memory:"]) == 2
    assert "admin_token: the store 'memory:' has no folder" in capsys.readouterr().err
    assert main(["check-config", "--store", "memory:", "--admin-token", TOKEN]) == 0


def test_an_impossible_setting_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "--http-bind", "nowhere"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("signalbox-node: http_bind: 'nowhere' is no address to listen on")


def test_an_audit_of_nothing_makes_no_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "--store", f"sqlite:///{tmp_path}/none.db"]) == 2

    assert "there is no database" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_audit_finds_what_was_changed_behind_the_books(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node" / "signalbox.db"
    store = f"sqlite:///{path}"
    asyncio.run(_booked(store))
    assert main(["audit", "--store", store]) == 0
    assert "the books hold" in capsys.readouterr().out
    with sqlite3.connect(path) as connection:
        changed = connection.execute("UPDATE balance SET payable = payable + 1").rowcount
    connection.close()
    assert changed

    assert main(["audit", "--store", store]) == 1

    text = " ".join(capsys.readouterr().out.split())
    assert "FOUND: " in text
    assert "the books do not hold" in text


def test_an_audit_of_a_backup_needs_no_key_file_and_makes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node" / "signalbox.db"
    asyncio.run(_booked(f"sqlite:///{path}"))
    backup = tmp_path / "backup" / "signalbox.db"
    backup.parent.mkdir()
    backup.write_bytes(path.read_bytes())
    whole = backup.read_bytes()

    assert main(["audit", "--store", f"sqlite:///{backup}"]) == 0

    assert "the books hold" in capsys.readouterr().out
    assert backup.read_bytes() == whole
    assert not backup.with_name("signalbox.db.key").exists()


def test_an_audit_sees_what_a_node_that_runs_has_only_in_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = f"sqlite:///{tmp_path}/node/signalbox.db"

    async def audit_while_open() -> int:
        stores = await open_stores(store, WallClock())
        await stores.accounts.insert_account(account("alice"), NewTokens())
        code = await asyncio.to_thread(main, ["audit", "--store", store])
        await stores.close()
        return code

    assert asyncio.run(audit_while_open()) == 0
    assert "accounts 1," in capsys.readouterr().out


def test_an_audit_of_what_is_no_store_of_ours_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, text = tmp_path / "other.db", tmp_path / "text.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE note (text)")
    connection.close()
    text.write_text("no database, " * 100)

    assert main(["audit", "--store", f"sqlite:///{other}"]) == 2
    assert "another program's database" in capsys.readouterr().err
    assert main(["audit", "--store", f"sqlite:///{text}"]) == 2
    assert "is not a Signalbox database" in capsys.readouterr().err


async def _booked(store: str) -> None:
    stores = await open_stores(store, WallClock())
    alice = account("alice")
    await stores.accounts.insert_account(alice, NewTokens())
    await stores.books.correct(alice.id, 70, "opening balance")
    await stores.close()


@asynccontextmanager
async def node(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "core", "run", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SIGNALBOX_ADMIN_TOKEN": TOKEN},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(process: asyncio.subprocess.Process) -> dict[str, object]:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("READY "), line
    said: dict[str, object] = json.loads(line.removeprefix("READY "))
    return said


async def test_a_node_serves_packets_and_the_api_and_stops_in_order(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/node/signalbox.db"
    stores = await open_stores(store, WallClock())
    alice = replace(account("alice"), ilp_address=address("test.here.alice"))
    tokens = NewTokens(ilp_over_http_incoming=Secret("alices-token"))
    await stores.accounts.insert_account(alice, tokens)
    await stores.close()

    async with (
        node(
            "--store",
            store,
            "--ilp-address",
            "test.here",
            "--http-bind",
            "127.0.0.1:0",
            "--hosts",
            "node.example",
        ) as process,
        ClientSession() as session,
    ):
        said = await ready(process)
        ping = prepare(
            5, destination="test.here", condition=PING_CONDITION, now_ms=WallClock().now_ms()
        )
        async with session.post(
            f"{said['url']}/accounts/alice/ilp",
            data=bytes(ping.octets),
            headers={
                "Authorization": "Bearer alices-token",
                "Content-Type": "application/octet-stream",
            },
        ) as response:
            reply = parse_reply(await response.read())
        async with session.get(
            f"{said['url']}/accounts/alice/balance",
            headers={"Authorization": f"Bearer {TOKEN}"},
        ) as response:
            balance = await response.json()
        statuses = {}
        for host in ("node.example", "other.example"):
            async with session.get(f"{said['url']}/", headers={"Host": host}) as response:
                statuses[host] = response.status
        process.send_signal(signal.SIGTERM)
        code = await process.wait()

    assert isinstance(reply, Fulfill)
    assert statuses == {"node.example": 200, "other.example": 421}
    assert (said["ilp_address"], said["pid"], balance["net"]) == (
        "test.here",
        process.pid,
        "-5",
    )
    assert code == 0
    stores = await open_stores(store, WallClock())
    assert (await stores.books.audit()).findings == ()
    assert (await stores.books.recover()).nodes == 0
    await stores.close()


async def test_a_node_ends_with_its_parents_pipe(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/node/signalbox.db"
    async with node(
        "--store", store, "--http-bind", "127.0.0.1:0", "--stop-with-stdin"
    ) as process:
        await ready(process)
        assert process.stdin is not None
        process.stdin.close()

        assert await process.wait() == 0


async def test_a_port_in_use_is_one_sentence_and_leaves_nothing_signed_on(
    tmp_path: Path,
) -> None:
    store = f"sqlite:///{tmp_path}/node/signalbox.db"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with node("--store", store, "--http-bind", f"127.0.0.1:{port}") as process:
            _, stderr = await process.communicate()

    text = stderr.decode()
    assert process.returncode == 2
    assert f"signalbox-node: http_bind: 127.0.0.1:{port} is in use by another program" in text
    assert "Traceback" not in text
    stores = await open_stores(store, WallClock())
    assert await stores.leases.nodes() == ()
    await stores.close()


@pytest.mark.parametrize("fault", ["no database", "a newer schema"])
async def test_a_store_that_cannot_be_used_is_one_sentence(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "node" / "signalbox.db"
    path.parent.mkdir(mode=0o700)
    if fault == "no database":
        path.write_text("this is a letter to my bank\n" * 100)
        path.chmod(0o600)
    else:
        await _booked(f"sqlite:///{path}")
        with sqlite3.connect(path) as connection:
            connection.execute(
                "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
                "SELECT migration_set, 'm9999_from_the_future', applied_at FROM _sqlite_migrations LIMIT 1"
            )
        connection.close()

    async with node("--store", f"sqlite:///{path}", "--http-bind", "127.0.0.1:0") as process:
        _, stderr = await process.communicate()

    text = stderr.decode()
    assert process.returncode == 2
    assert "signalbox-node: " in text
    assert "Traceback" not in text


async def test_a_packet_that_is_still_in_flight_when_the_node_ends_is_unknown_not_forgotten(
    tmp_path: Path,
) -> None:
    asked = asyncio.Event()

    class Silent(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            asked.set()

    silent = await asyncio.get_running_loop().create_server(Silent, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    store = f"sqlite:///{tmp_path}/node/signalbox.db"
    stores = await open_stores(store, WallClock())
    tokens = NewTokens(ilp_over_http_incoming=Secret("alices-token"))
    await stores.accounts.insert_account(account("alice"), tokens)
    bob = replace(account("bob"), ilp_over_http_url=f"http://127.0.0.1:{port}/ilp")
    await stores.accounts.insert_account(bob, NewTokens())
    await stores.close()

    async with (
        node(
            "--store", store, "--ilp-address", "test.node", "--http-bind", "127.0.0.1:0", "--drain-seconds", "0"
        ) as process,
        ClientSession() as session,
        asyncio.TaskGroup() as tasks,
    ):  # fmt: skip
        said = await ready(process)
        packet = prepare(7, expires_in_ms=25_000, now_ms=WallClock().now_ms())

        async def send() -> None:
            with contextlib.suppress(ClientError):
                await session.post(
                    f"{said['url']}/accounts/alice/ilp",
                    data=bytes(packet.octets),
                    headers={
                        "Authorization": "Bearer alices-token",
                        "Content-Type": "application/octet-stream",
                    },
                )

        tasks.create_task(send())
        await asked.wait()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    silent.close()

    stores = await open_stores(store, WallClock())
    await stores.books.recover()
    (unknown,) = await stores.books.unknown_transfers(limit=10)
    assert (unknown.outgoing_amount, unknown.to_account) == (7, bob.id)
    assert (await stores.books.balance(account("alice").id)).net == 0
    assert (await stores.books.audit()).findings == ()
    await stores.close()
