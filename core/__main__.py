"""`signalbox-node`: the node without a window, for servers."""

from __future__ import annotations

import argparse
import asyncio
import enum
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

from core.clock import WallClock
from core.config import (
    CONFIG_VARIABLE,
    MEMORY,
    SETTINGS,
    NodeConfig,
    admin_token,
    config_file,
    load_config,
    program_version,
    sqlite_path,
)
from core.errors import InterledgerError, SettingError
from core.garbage import calm_garbage_collector
from core.host import NodeHost
from core.ledger.books import AuditReport
from core.stores.record import audit_books
from core.telemetry.log import FORMAT, RedactingFormatter, read_levels

EXIT_FOUND: Final = 1
"""The audit found something."""
EXIT_REFUSED: Final = 2
"""What was asked for cannot be done; stderr has a sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        config = load_config(
            {
                setting.name: value
                for setting in SETTINGS
                if (value := getattr(parsed, setting.name, None)) is not None
            },
            os.environ,
            config_file(parsed.config, os.environ),
        )
        match parsed.command:
            case "check-config":
                return _check_config(config)
            case "audit":
                return asyncio.run(_audit(config))
            case _:
                return _run(config, stop_with_stdin=parsed.stop_with_stdin)
    except InterledgerError as error:
        sys.stderr.write(f"signalbox-node: {error}\n")
        return EXIT_REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signalbox-node",
        description="An Interledger node: it forwards packets between its accounts and keeps books that survive a kill.",
        epilog="Each setting may also be in the environment (SIGNALBOX_HTTP_BIND) or in the file of --config "
        '(http_bind = "127.0.0.1:7770"); the command line wins over the environment, and that over the file. '
        "SIGNALBOX_PASSPHRASE, if set, encrypts the secrets in the store instead of the key file beside it.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {program_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run the node until it is told to stop (SIGTERM, Ctrl-C)",
        description="Run the node. Once it serves, it writes one line to stdout: READY and a JSON object with its "
        "url. SIGTERM or Ctrl-C stops it in order: packets in flight are answered and booked first.",
        epilog="example: signalbox-node run --ilp-address test.my-node --http-bind 127.0.0.1:7770",
    )
    run.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="stop when standard input ends: for a parent process that may be killed",
    )
    audit = commands.add_parser(
        "audit",
        help="derive every balance from the journal anew and compare; exit code 0 if the books hold, 1 if not",
        description="Check the books of a store, and change nothing in it; a node may be running on it. "
        "A backup needs neither its key file nor the passphrase.",
    )
    check = commands.add_parser(
        "check-config",
        help="say which settings would be in force, and what is wrong with them",
        description="Read the settings as `run` would, print them, and start nothing.",
    )
    for command in (run, audit, check):
        _add_settings(command, only=("store",) if command is audit else None)
    return parser


def _add_settings(command: argparse.ArgumentParser, only: Sequence[str] | None) -> None:
    command.add_argument(
        "--config", metavar="FILE", help=f"a TOML file with settings (or {CONFIG_VARIABLE})"
    )
    for setting in SETTINGS:
        if only is None or setting.name in only:
            command.add_argument(
                setting.option,
                dest=setting.name,
                metavar=setting.placeholder,
                help=setting.help,
            )


def _check_config(config: NodeConfig) -> int:
    read_levels(config.log_level)
    if config.store == MEMORY:
        admin_token(config, None)
    for setting in SETTINGS:
        sys.stdout.write(f"{setting.name} = {_shown(getattr(config, setting.name))}\n")
    for warning in config.warnings():
        sys.stderr.write(f"warning: {warning}\n")
    return 0


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "(none)"
    if isinstance(value, enum.Enum):
        return str(value.value)  # as it is written in a file
    return "(not set)" if value is None else str(value)


def _run(config: NodeConfig, *, stop_with_stdin: bool) -> int:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(config, stop_with_stdin=stop_with_stdin))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's where it is installed: it has no wheel for some systems."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(config: NodeConfig, *, stop_with_stdin: bool) -> int:
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    host = await NodeHost.start(config)
    if stop_with_stdin:
        _stop_when_stdin_ends(loop, asked_to_stop)
    calm_garbage_collector()
    sys.stdout.write("READY " + json.dumps(_ready(host)) + "\n")
    sys.stdout.flush()
    await asked_to_stop.wait()
    await host.stop()
    return 0


def _ready(host: NodeHost) -> dict[str, object]:
    assert host.node.lease is not None
    return {
        "url": host.url,
        "ilp_address": host.node.address.current,
        "store": host.stores.url,
        "node": host.node.lease.number,
        "pid": os.getpid(),
        "admin_token_file": None
        if host.admin_token_file is None
        else str(host.admin_token_file),
    }


def _stop_when_stdin_ends(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Watch stdin in a thread: it may be a file or a terminal, which no event loop can watch."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, name="stdin", daemon=True).start()


async def _audit(config: NodeConfig) -> int:
    path = sqlite_path(config.store)
    if path is not None and not path.exists():
        raise SettingError("store", f"there is no database {path}")
    report = await audit_books(config.store, WallClock())
    sys.stdout.write(_audit_text(report))
    return 0 if report.passed else EXIT_FOUND


def _audit_text(report: AuditReport) -> str:
    lines = [
        f"accounts {report.accounts}, transfers {report.transfers}, pending {report.pending}, unknown {report.unknown}, late {report.late}"
    ]
    lines += [
        f"{total.code}@{total.scale}: peers {total.peers}, exchange {total.exchange}, spread {total.spread}, "
        f"settlement {total.settlement}, loss {total.loss}, correction {total.correction}, sum {total.sum}"
        for total in report.totals
    ]
    lines += [f"FOUND: {finding}" for finding in report.findings]
    lines.append(
        "the books hold"
        if report.passed
        else f"the books do not hold: {len(report.findings)} findings"
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
