"""`signalbox-engine`: one settlement engine as a process of its own, and the local test chain.

What takes seconds to load, the libraries that sign and the web's, is imported in the functions that need it,
behind what can be refused without: a mistyped option or store is told at once.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Final

from core.clock import Clock, WallClock
from core.config import program_version, sqlite_path
from core.errors import InterledgerError, SettingError
from core.settlement.engine import EngineOptions, SettlementEngine
from core.settlement.engines.ethereum_options import (
    ASSET_CODE,
    GWEI,
    KIND,
    SCALE,
    EthereumOptions,
)
from core.settlement.store import EngineIdentity
from core.stores.record import Stores, open_stores

log = logging.getLogger("signalbox.engine")

EXIT_FAILED: Final = 1
EXIT_REFUSED: Final = 2

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

_ABOUT: Final = """\
Pays what a Signalbox node owes its peers on a ledger, and credits what they pay.

The engine is a process beside the node. It shares the node's store, looks there for accounts whose debt
has reached their settlement threshold, pays them, and looks on the ledger for what came in. It may be
killed at any moment: nothing is lost and nothing is paid twice.
"""

_EXAMPLES: Final = """\
examples:
  signalbox-engine chain --fund 0x… &            a chain to try things on
  signalbox-engine address --store sqlite:////var/lib/signalbox/node.db
  signalbox-engine ethereum --store sqlite:////var/lib/signalbox/node.db --rpc http://127.0.0.1:8545

exit status: 0 stopped when asked; 1 had to stop, says why; 2 could not start, says why.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    try:
        return asyncio.run(_run(options))
    except InterledgerError as error:
        sys.stderr.write(f"signalbox-engine: {error}\n")
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return 0


async def _run(options: argparse.Namespace) -> int:
    command: Callable[[argparse.Namespace, Clock], Awaitable[int]] = options.command
    return await command(options, WallClock())


# --- ethereum -----------------------------------------------------------------------------------


async def _ethereum(options: argparse.Namespace, clock: Clock) -> int:
    stores = await _open(options.store, clock)
    try:
        import aiohttp  # noqa: PLC0415

        from core.settlement.engines.json_rpc import JsonRpc  # noqa: PLC0415

        async with aiohttp.ClientSession() as session:
            rpc = JsonRpc(session, options.rpc)
            from core.settlement.engines.ethereum import EthereumLedger  # noqa: PLC0415

            key, created_at_ms = await _wallet(stores, clock, options.name)
            ledger = EthereumLedger(
                rpc,
                key,
                EthereumOptions(
                    confirmations=options.confirmations,
                    fee_limit=options.fee_limit,
                    reserve=options.reserve,
                ),
            )
            engine = SettlementEngine(
                stores.settlements,
                ledger,
                clock,
                EngineOptions(
                    name=options.name,
                    pid=os.getpid(),
                    poll_seconds=options.poll_seconds,
                    bump_after_ms=round(options.bump_seconds * 1000),
                    wallet_created_at_ms=created_at_ms,
                ),
            )
            # Before it is ready: a node that cannot be reached now is a mistake in the address.
            state = await ledger.state()
            await engine.take()
            stop = _stop_on_signal(with_stdin=options.stop_with_stdin)
            _ready(engine=options.name, address=ledger.address, ledger=state.ledger)
            try:
                await engine.run(stop)
            except InterledgerError as error:
                sys.stderr.write(f"signalbox-engine: {error}\n")
                return EXIT_FAILED
    finally:
        await stores.close()
    return 0


async def _open(url: str, clock: Clock) -> Stores:
    _check_store(url)
    return await open_stores(url, clock)


def _check_store(url: str) -> None:
    """Refuse a store that no node has made: with a mistyped one nothing would ever be settled."""
    if url == "memory:":
        raise SettingError(
            "store", "an engine shares its node's store, and memory is not shared"
        )
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise SettingError(
            "store", f"there is no database {path}; the node makes it when it first starts"
        )


async def _wallet(stores: Stores, clock: Clock, name: str) -> tuple[bytes, int]:
    """Return the wallet's key and since when there is one; make it if there is none."""
    key = await stores.settings.load_secret(_secret(name))
    if key is None:
        # With the engine's lease, so that two processes never make two keys.
        lease = await stores.settlements.take_engine(_identity(name))
        try:
            key = await stores.settings.load_secret(_secret(name))
            if key is None:
                from core.settlement.engines.ethereum import new_key  # noqa: PLC0415

                key = new_key()
                await _save_key(stores, clock, name, key)
        finally:
            await stores.settlements.release_engine(lease)
    created = await stores.settings.load_setting(_created(name))
    return key, int(created or 0)


async def _save_key(stores: Stores, clock: Clock, name: str, key: bytes) -> None:
    # The time first: with a key and no time the whole chain would be read.
    await stores.settings.save_setting(_created(name), str(clock.now_ms()))
    await stores.settings.save_secret(_secret(name), key)


def _identity(name: str) -> EngineIdentity:
    return EngineIdentity(
        name=name, kind=KIND, asset_code=ASSET_CODE, ledger_scale=SCALE, pid=os.getpid()
    )


def _secret(name: str) -> str:
    return f"settlement_engine.{name}.key"


def _created(name: str) -> str:
    return f"settlement_engine.{name}.created_at_ms"


# --- address, import-key ------------------------------------------------------------------------


async def _address(options: argparse.Namespace, clock: Clock) -> int:
    stores = await _open(options.store, clock)
    try:
        key, _ = await _wallet(stores, clock, options.name)
    finally:
        await stores.close()
    from core.settlement.engines.ethereum import address_of  # noqa: PLC0415

    sys.stdout.write(f"{address_of(key)}\n")
    return 0


async def _import_key(options: argparse.Namespace, clock: Clock) -> int:
    _check_store(options.store)  # before anybody types a key
    from core.settlement.engines.ethereum import address_of, parse_key  # noqa: PLC0415

    if sys.stdin.isatty():
        sys.stderr.write("The private key, 64 hexadecimal digits, then Enter: ")
    key = parse_key(await asyncio.to_thread(sys.stdin.readline))
    stores = await _open(options.store, clock)
    try:
        lease = await stores.settlements.take_engine(_identity(options.name))
        try:
            known = await stores.settings.load_secret(_secret(options.name))
            if known is not None and known != key:
                raise SettingError(
                    "key",
                    f"the engine {options.name} has the wallet {address_of(known)} already; "
                    "import into an engine of another name (--name)",
                )
            if known is None:
                await _save_key(stores, clock, options.name, key)
        finally:
            await stores.settlements.release_engine(lease)
    finally:
        await stores.close()
    sys.stdout.write(f"{address_of(key)}\n")
    return 0


# --- chain --------------------------------------------------------------------------------------


async def _chain(options: argparse.Namespace, _clock: Clock) -> int:
    # A second's worth of imports and 40 MB that no other command needs.
    from aiohttp import web  # noqa: PLC0415

    from core.settlement.chain import CHAIN_ID, ChainServer, TestChain  # noqa: PLC0415

    stop = _stop_on_signal(with_stdin=options.stop_with_stdin)
    funds: Mapping[str, int] = dict(options.fund)
    server = ChainServer(TestChain(funds), block_seconds=options.block_seconds)
    runner = web.AppRunner(server.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", options.port)
        try:
            await site.start()
        except OSError as error:
            why = (
                "is taken by another program; choose another"
                if error.errno == errno.EADDRINUSE
                else f"cannot be listened on: {os.strerror(error.errno or 0)}"
            )
            raise SettingError("port", f"127.0.0.1:{options.port} {why}") from error
        host, port = runner.addresses[0][:2]
        _ready(
            rpc=f"http://{host}:{port}",
            chain_id=CHAIN_ID,
            label="local test chain, resets on stop",
        )
        await server.mine(stop)
    finally:
        await runner.cleanup()
    return 0


# --- What they share ----------------------------------------------------------------------------


def _ready(**facts: object) -> None:
    """Tell whoever started this, in one line of JSON, that it works now."""
    sys.stdout.write("READY " + json.dumps({"pid": os.getpid(), **facts}) + "\n")
    sys.stdout.flush()


def _stop_on_signal(*, with_stdin: bool) -> asyncio.Event:
    """Return what is set by SIGTERM or SIGINT, and where asked for by the end of stdin."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(number, stop.set)
    if with_stdin:
        threading.Thread(
            target=_wait_for_end_of_stdin, args=(loop, stop), name="stdin", daemon=True
        ).start()
    return stop


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Not through sys.stdin: a thread that waits in its lock keeps the process from ending.
    with suppress(OSError):
        while os.read(0, 4096):
            continue
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(stop.set)


# --- The command line ---------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signalbox-engine",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {program_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    ethereum = _add(
        commands, "ethereum", "pay and be paid in ETH on an Ethereum chain", _ethereum
    )
    _add_store(ethereum)
    ethereum.add_argument(
        "--rpc",
        required=True,
        metavar="URL",
        help="JSON-RPC address of a node of the chain, like http://127.0.0.1:8545",
    )
    ethereum.add_argument(
        "--confirmations",
        type=_count,
        default=EthereumOptions().confirmations,
        metavar="N",
        help="how deep a payment must be, its own block counted, before it counts "
        "(default: %(default)s; 2 is enough on the local test chain)",
    )
    ethereum.add_argument(
        "--poll-seconds",
        type=_seconds,
        default=5.0,
        metavar="S",
        help="how often to look (default: %(default)s)",
    )
    ethereum.add_argument(
        "--bump-seconds",
        type=_seconds,
        default=120.0,
        metavar="S",
        help="offer a higher fee when a payment has waited so long (default: %(default)s)",
    )
    ethereum.add_argument(
        "--fee-limit",
        type=_gwei,
        default=EthereumOptions().fee_limit,
        metavar="GWEI",
        help="never offer more for a unit of gas (default: 200)",
    )
    ethereum.add_argument(
        "--reserve",
        type=_ether,
        default=EthereumOptions().reserve,
        metavar="ETH",
        help="leave so much in the wallet, for fees (default: 0.00105)",
    )
    _add_stop(ethereum)

    address = _add(
        commands,
        "address",
        "print the wallet's address, where peers pay us; make the wallet if there is none",
        _address,
    )
    _add_store(address)
    imports = _add(
        commands, "import-key", "read the wallet's private key from standard input", _import_key
    )
    _add_store(imports)

    chain = _add(
        commands, "chain", "run a local test chain, which begins anew with each start", _chain
    )
    chain.epilog = (
        "It listens on 127.0.0.1 only. An address can be funded later, too: "
        "JSON-RPC signalbox_fund [ADDRESS, WEI in hexadecimal]."
    )
    chain.add_argument(
        "--port",
        type=_port,
        default=8545,
        metavar="PORT",
        help="where to listen on 127.0.0.1; 0 takes any free port (default: %(default)s)",
    )
    chain.add_argument(
        "--fund",
        type=_funding,
        action="append",
        default=[],
        metavar="ADDRESS[=ETH]",
        help="let this address begin with so much (default: 1000); may be repeated",
    )
    chain.add_argument(
        "--block-seconds",
        type=_seconds,
        default=1.0,
        metavar="S",
        help="make a block so often (default: %(default)s)",
    )
    _add_stop(chain)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    help_: str,
    command: Callable[[argparse.Namespace, Clock], Awaitable[int]],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=help_, description=help_[0].upper() + help_[1:] + "."
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="how much to tell on standard error (default: %(default)s)",
    )
    parser.set_defaults(command=command)
    return parser


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        required=True,
        metavar="URL",
        help="the node's store, like sqlite:////var/lib/signalbox/node.db; the node makes it",
    )
    parser.add_argument(
        "--name",
        type=_name,
        default=KIND,
        help="accounts name the engine as signalbox:NAME (default: %(default)s)",
    )


def _add_stop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="stop when standard input ends, as it does when the parent process dies",
    )


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name: 1 to 32 of a-z 0-9 _ -, beginning with a letter or digit"
        )
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.01 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _gwei(text: str) -> int:
    return _scaled(text, GWEI, "gwei")


def _ether(text: str) -> int:
    return _scaled(text, 10**SCALE, "ETH")


def _scaled(text: str, unit: int, name: str) -> int:
    try:
        amount = Decimal(text) * unit
    except ArithmeticError:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= 10**30 or amount != int(amount):
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of {name}")
    return int(amount)


def _funding(text: str) -> tuple[str, int]:
    from core.settlement.engines.ethereum import parse_address  # noqa: PLC0415

    address, _, amount = text.partition("=")
    try:
        return parse_address(address), _ether(amount or "1000")
    except InterledgerError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
