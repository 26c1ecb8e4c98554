"""Brings up one engine after another, each a process of its own, and lets none grow old.

A child dies at a random one of its calls to the store or the ledger (os._exit, so nothing is tidied up), or
of SIGKILL at a random moment. The parent imports once and forks, so that a life begins within
milliseconds. With standard input at its end it brings up no more, and writes what it has seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from core.clock import WallClock
from core.errors import SettlementError
from core.settlement.engine import EngineOptions, SettlementEngine
from core.settlement.engines.ethereum import EthereumLedger
from core.settlement.engines.ethereum_options import EthereumOptions
from core.settlement.engines.json_rpc import JsonRpc
from core.stores import open_stores
from tests.core.settlement.broken_engines import broadcast_first, credit_apart_from_cursor
from tests.core.settlement.crashing import Dying

EXIT_KILLED: Final = 9
EXIT_STOPPED: Final = 3
OUTSIDE: Final = 0.3
"""The share of lives that SIGKILL ends."""
LIFE_SECONDS: Final = 3.0
THAT_MATTER: Final = {"decide", "sign", "broadcast", "finish", "apply_scan"}

CHANCE_BETWEEN: Final = 0.5
"""Of a death at the moment that only a broken engine has."""

MUTANTS: Final[
    dict[str, Callable[[SettlementEngine, Callable[[], None]], SettlementEngine]]
] = {
    "none": lambda engine, _: engine,
    "broadcast-first": broadcast_first,
    "credit-apart": credit_apart_from_cursor,
}


@dataclass(slots=True)
class RandomFuse:
    """Burns at each call with some chance, a greater one just after a step that mattered."""

    random: random.Random
    chance: float
    chance_after: float
    last: str = ""

    def call(self, name: str) -> None:
        chance = self.chance_after if self.last in THAT_MATTER else self.chance
        self.last = name
        self._burn(chance)

    def between(self) -> None:
        self._burn(CHANCE_BETWEEN)

    def _burn(self, chance: float) -> None:
        if self.random.random() < chance:
            os._exit(EXIT_KILLED)


async def live(options: argparse.Namespace, chance: random.Random) -> None:
    """Be an engine, until death."""
    stores = await open_stores(options.store, WallClock())
    key = await stores.settings.load_secret("settlement_engine.ethereum.key")
    assert key is not None
    fuse = RandomFuse(chance, options.chance, options.chance_after)
    async with aiohttp.ClientSession() as session:
        ledger = EthereumLedger(
            JsonRpc(session, options.rpc), key, EthereumOptions(confirmations=2)
        )
        engine = SettlementEngine(
            Dying(stores.settlements, fuse),
            Dying(ledger, fuse),
            WallClock(),
            EngineOptions(
                name="ethereum", pid=os.getpid(), poll_seconds=0.05, bump_after_ms=300
            ),
        )
        MUTANTS[options.mutant](engine, fuse.between)
        await engine.run(asyncio.Event())


def child(options: argparse.Namespace, number: int) -> None:
    """Live one life; never return."""
    code = 1
    try:
        asyncio.run(live(options, random.Random(f"{options.seed}-{number}")))
    except SettlementError as error:
        sys.stderr.write(f"{error}\n")
        code = EXIT_STOPPED
    except Exception:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


def end(pid: int, seconds: float) -> int:
    """Wait for a child's end, for so long; then kill it. Return how it ended, -9 for SIGKILL."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", required=True)
    parser.add_argument("--rpc", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--chance", type=float, default=0.02)
    parser.add_argument("--chance-after", type=float, default=0.1)
    parser.add_argument("--mutant", choices=MUTANTS, default="none")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    endings: dict[str, int] = {}
    number = 0
    while True:
        ended, _, _ = select.select([0], [], [], 0)
        if ended and not os.read(0, 1):
            break
        number += 1
        pid = os.fork()
        if pid == 0:
            child(options, number)
        outside = chance.random() < OUTSIDE
        code = end(pid, chance.uniform(0.05, 0.4) if outside else LIFE_SECONDS)
        endings[str(code)] = endings.get(str(code), 0) + 1
    sys.stdout.write(json.dumps({"lives": number, "endings": endings}) + "\n")


if __name__ == "__main__":
    main()
