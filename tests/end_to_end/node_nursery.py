"""Brings up node processes at once: it has imported the program, and forks.

Each line on standard input is a command line of `signalbox-node`, as JSON, with the name of a mutant, or
`none`. The child runs the program's own `main`. What the children write goes to the nursery's standard
output, between a line `BORN pid` and a line `DEAD pid status`.

The mutants are books with one promise broken, for the tests to prove that they would notice.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import core.host
import core.stores.sqlite
import core.stores.sqlite.settlements
from core.__main__ import main as signalbox_node
from core.clock import Clock
from core.ledger.books import Transfer, TransferId, TransferState
from core.ledger.postings import add
from core.service import Booked
from core.stores import Stores, open_stores
from core.stores.sqlite.journal import load_lines, save_lines
from core.stores.sqlite.packets import find

BEHIND_SECONDS: Final = 0.02


class Behind:
    """Books of the right kind, but for what a mutant does otherwise."""

    def __init__(self, books: Any) -> None:
        self._books = books
        self._file = books._file
        self._tasks: set[asyncio.Task[Any]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    def start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class PrepareBehind(Behind):
    """Lets the packet leave, and writes soon afterwards that it did."""

    def __init__(self, books: Any) -> None:
        super().__init__(books)
        self._made: dict[TransferId, asyncio.Task[TransferId]] = {}

    async def prepare(self, transfer: Transfer) -> TransferId:
        number = TransferId(-1 - len(self._made))
        self._made[number] = self.start(self._later(transfer))
        return number

    async def _later(self, transfer: Transfer) -> TransferId:
        await asyncio.sleep(BEHIND_SECONDS)
        made: TransferId = await self._books.prepare(transfer)
        return made

    async def fulfill(
        self, number: TransferId, fulfillment: bytes, _received: object = None, **_: object
    ) -> Booked:
        await self._books.fulfill(await self._made[number], fulfillment)
        return Booked()

    async def reject(self, number: TransferId, code: bytes) -> None:
        await self._books.reject(await self._made[number], code)


class FulfillBehind(Behind):
    """Lets the fulfillment go back, and books it soon afterwards."""

    async def fulfill(
        self, number: TransferId, fulfillment: bytes, _received: object = None, **_: object
    ) -> Booked:
        self._tasks.add(self.start(self._later(number, fulfillment)))
        return Booked()

    async def _later(self, number: TransferId, fulfillment: bytes) -> None:
        await asyncio.sleep(BEHIND_SECONDS)
        await self._books.fulfill(number, fulfillment)


class FulfillInTwo(Behind):
    """Moves the balances in one transaction, and the transfer's state in the next."""

    async def fulfill(
        self, number: TransferId, fulfillment: bytes, _received: object = None, **_: object
    ) -> Booked:
        await self._file.write(partial(_move_balances, number=number))
        await self._file.write(
            lambda connection: (
                connection.execute(
                    "UPDATE transfer SET state = 1, final_at_ms = 1, result = ? WHERE id = ?",
                    (fulfillment, number),
                ).rowcount
            )
        )
        return Booked()


class NoCopies:
    """Knows no packet that was prepared before."""

    is_empty = True

    def look(self, *_: object) -> None:
        """See nothing."""

    def remember(self, *_: object, **__: object) -> None:
        """Remember nothing."""


class CopiesAnew(Behind):
    """Sends what the node before it has sent already."""

    def __init__(self, books: Any) -> None:
        super().__init__(books)
        books._packets._copies = NoCopies()


def _move_balances(connection: sqlite3.Connection, *, number: int) -> None:
    found = find(connection, number)
    assert found is not None
    held, _ = found
    lines = load_lines(connection, {held.source, held.target})
    source, target = lines[held.source], lines[held.target]
    incoming_amount, outgoing_amount = held.amounts
    add(TransferState.PENDING, source, target, -incoming_amount, -outgoing_amount)
    add(TransferState.FULFILLED, source, target, incoming_amount, outgoing_amount)
    save_lines(connection, lines)


MUTANTS: Final[dict[str, Callable[[Any], Any]]] = {
    "none": lambda books: books,
    "prepare-behind": PrepareBehind,
    "fulfill-behind": FulfillBehind,
    "fulfill-in-two": FulfillInTwo,
    "copies-anew": CopiesAnew,
}


def child(arguments: list[str], mutant: str) -> None:
    """Be a node; never return."""
    code = 70
    try:
        if mutant != "none":

            async def open_mutated(
                url: str, clock: Clock, *, commit_on_loop: bool = False
            ) -> Stores:
                stores = await open_stores(url, clock, commit_on_loop=commit_on_loop)
                return replace(stores, books=MUTANTS[mutant](stores.books))

            core.host.open_stores = open_mutated  # type: ignore[attr-defined]
        code = signalbox_node(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def say(line: str) -> None:
    os.write(1, (line + "\n").encode())


def main() -> None:
    living: set[int] = set()
    wake_up, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake_up], [], [])
        if wake_up in ready:
            os.read(wake_up, 4096)
        for pid in sorted(living):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                living.discard(pid)
                say(f"DEAD {pid} {os.waitstatus_to_exitcode(status)}")
        if 0 not in ready:
            continue
        octets = os.read(0, 65536)
        if not octets:
            break
        *lines, pending = (pending + octets).split(b"\n")
        for line in lines:
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for descriptor in (wake_up, waker):
                    os.close(descriptor)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                child(order["arguments"], order["mutant"])
            living.add(pid)
            say(f"BORN {pid}")
    for pid in living:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
