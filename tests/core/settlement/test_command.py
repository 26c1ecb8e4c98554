"""`signalbox-engine` as an operator and a supervisor meet it: as a process."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.clock import WallClock
from core.settlement.__main__ import main
from core.settlement.engines.ethereum import address_of
from core.stores import open_stores

KEY = "0x" + "11" * 32


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "core.settlement",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(*arguments: str, stdin: str = "") -> tuple[int | None, str, str]:
    """Return exit status, output and errors."""
    process = await start(*arguments)
    output, errors = await process.communicate(stdin.encode())
    return process.returncode, output.decode(), errors.decode()


async def ready(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("READY ")
    facts: dict[str, Any] = json.loads(line.removeprefix("READY "))
    return facts


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """The store of a node that has run once."""
    url = f"sqlite:///{tmp_path}/data/node.db"
    await (await open_stores(url, WallClock())).close()
    return url


@pytest.fixture
async def rpc() -> AsyncIterator[str]:
    chain = await start("chain", "--port", "0", "--stop-with-stdin")
    facts = await ready(chain)
    assert "local test chain" in facts["label"]
    yield facts["rpc"]
    output, errors = await chain.communicate(b"")
    assert (chain.returncode, output, errors) == (0, b"", b"")


def refusals(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one sentence with which these arguments are refused, with exit status 2."""
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_store_that_is_none_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for store, sentence in (
        ("nonsense", "names no store"),
        ("memory:", "memory is not shared"),
        (f"sqlite:///{tmp_path}", "store"),
    ):
        said = refusals(capsys, "address", "--store", store, "--log-level", "error")
        assert said.startswith("signalbox-engine: ")
        assert sentence in said


@pytest.mark.parametrize("command", ["ethereum", "address", "import-key"])
def test_a_store_that_no_node_has_made_is_refused_and_not_made(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mistyped = tmp_path / "dta" / "node.db"
    rpc = ("--rpc", "http://127.0.0.1:8545") if command == "ethereum" else ()

    said = refusals(capsys, command, "--store", f"sqlite:///{mistyped}", *rpc)

    assert said == (
        f"signalbox-engine: store: there is no database {mistyped}; "
        "the node makes it when it first starts"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_does_not_wait_for_libraries_that_sign() -> None:
    heavy = ("aiohttp", "eth_account", "eth_keys", "eth_utils", "py_ecc")
    program = f"""
import sys
from core.settlement.__main__ import main
assert main(["ethereum", "--store", "sqlite:////no/such.db", "--rpc", "http://127.0.0.1:1"]) == 2
assert not sys.modules.keys() & set({heavy!r}), sys.modules.keys() & set({heavy!r})
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (0, "")
    assert "there is no database /no/such.db" in ended.stderr


def test_a_store_of_a_newer_version_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], url: str
) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('signalbox', 'm9999_future', '')"
        )
        connection.commit()

    assert "install the newer version" in refusals(capsys, "address", "--store", url)


def test_a_ledgers_node_that_cannot_be_reached_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], url: str
) -> None:
    for address, sentence in (
        ("http://127.0.0.1:1/secret", "at 127.0.0.1:1 cannot be reached: nobody listens there"),
        ("127.0.0.1:8545", "must be like http://127.0.0.1:8545"),
    ):
        said = refusals(capsys, "ethereum", "--store", url, "--rpc", address)
        assert sentence in said
        assert "secret" not in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "COMMAND"),
        (["bitcoin"], "invalid choice"),
        (["ethereum"], "--store, --rpc"),
        (["address", "--store", "x", "--name", "A B"], "is no name"),
        (["chain", "--fund", "0x12"], "is not an Ethereum address"),
        (["chain", "--fund", "0x" + "1" * 40 + "=-1"], "is no amount of ETH"),
        (["chain", "--fund", "0x" + "1" * 40 + "=1e999999"], "is no amount of ETH"),
        (["chain", "--block-seconds", "0"], "is no number of seconds"),
        (["ethereum", "--store", "x", "--rpc", "x", "--confirmations", "0"], "from 1 to 1000"),
        (["ethereum", "--store", "x", "--rpc", "x", "--fee-limit", "nan"], "no amount of gwei"),
    ],
)
def test_arguments_that_cannot_be_are_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a command that does its work writes, run in this process."""
    assert main(arguments) == 0
    return capsys.readouterr().out


async def saved_key(url: str) -> bytes:
    stores = await open_stores(url, WallClock())
    key = await stores.settings.load_secret("settlement_engine.ethereum.key")
    await stores.close()
    assert key is not None
    return key


def test_a_wallet_is_made_once_and_its_key_is_nowhere_in_clear(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = asyncio.run(run("address", "--store", url))

    assert first == (0, told(capsys, "address", "--store", url), "")
    assert told(capsys, "address", "--store", url, "--name", "second") != first[1]
    key = asyncio.run(saved_key(url))
    assert first[1].strip() == address_of(key)
    for file in (tmp_path / "data").iterdir():
        octets = file.read_bytes()
        assert key not in octets
        assert key.hex().encode() not in octets


async def test_many_that_ask_for_the_address_at_once_are_told_the_same(url: str) -> None:
    found = await asyncio.gather(*(run("address", "--store", url) for _ in range(4)))

    addresses = {output for status, output, _ in found if status == 0}
    assert len(addresses) == 1
    assert all("runs already" in errors for status, _, errors in found if status != 0)


def test_a_key_is_imported_once_and_never_said(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("import-key", "--store", url)
    status, output, errors = asyncio.run(run(*command, stdin=KEY + "\n"))
    assert (status, output.strip()) == (0, address_of(bytes.fromhex(KEY[2:])))
    assert "11" * 32 not in output + errors

    monkeypatch.setattr("sys.stdin", io.StringIO(KEY))
    assert told(capsys, *command) == output
    monkeypatch.setattr("sys.stdin", io.StringIO("0x" + "22" * 32))
    assert "import into an engine of another name" in refusals(capsys, *command)
    monkeypatch.setattr("sys.stdin", io.StringIO("33" * 31))
    errors = refusals(capsys, *command)
    assert "64 hexadecimal digits" in errors
    assert "33" * 31 not in errors


async def test_an_engine_says_when_it_is_ready_and_stops_on_sigterm(url: str, rpc: str) -> None:
    engine = await start("ethereum", "--store", url, "--rpc", rpc)
    facts = await ready(engine)
    assert facts == {
        "pid": engine.pid,
        "engine": "ethereum",
        "address": address_of(await saved_key(url)),
        "ledger": "local test chain",
    }

    status, _, errors = await run("ethereum", "--store", url, "--rpc", rpc)
    assert status == 2
    assert f"runs already on this store, as process {engine.pid}" in errors

    engine.terminate()
    await engine.communicate()
    assert engine.returncode == 0
    stores = await open_stores(url, WallClock())
    (seen,) = await stores.settlements.engine_statuses()
    await stores.close()
    assert seen.stopped_at_ms is not None


async def test_an_engine_stops_when_its_parents_pipe_does(url: str, rpc: str) -> None:
    engine = await start("ethereum", "--store", url, "--rpc", rpc, "--stop-with-stdin")
    await ready(engine)

    await engine.communicate(b"")

    assert engine.returncode == 0


async def test_a_port_that_is_taken_is_told_in_a_sentence(rpc: str) -> None:
    status, _, errors = await run("chain", "--port", rpc.rpartition(":")[2])

    assert status == 2
    assert errors.endswith("is taken by another program; choose another\n")


async def test_a_port_that_cannot_be_is_told_in_a_sentence() -> None:
    status, _, errors = await run("chain", "--port", "99999")

    assert status == 2
    assert "'99999' is no port: 0 to 65535" in errors
