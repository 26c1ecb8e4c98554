"""The books at every place where a crash can find them: between statements, within a commit, on a failing disk.

A scripted run is done once. At each statement the files are copied, as a killed process leaves them;
afterwards its log is cut at each frame and within it, as a power cut leaves it. Every copy is opened as
the next process would: what had been acknowledged is there, what had not is there as a whole or not
at all, recovery settles it by rule, and the audit passes.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from core.account import AccountId
from core.errors import StoreError, StoreUnavailable
from core.ledger.books import AuditReport, Balance, Books, TransferId, TransferState
from core.rates.rate import convert
from core.stores import Stores
from core.stores.node_number import NodeNumber
from core.stores.sqlite import open_sqlite
from core.stores.sqlite.auditing import audit
from core.stores.sqlite.books import SqliteBooks
from core.stores.sqlite.connection import SqliteFile
from core.testing.builders import EUR, FULFILLMENT
from core.testing.clock import FakeClock
from tests.core.stores.people import ALICE, BOB, NO_TOKENS, alice, bob, transfer
from tests.core.stores.sqlite.watched import failure, watched

P, F, R, E, L, U = TransferState


# --- The script ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Acknowledged:
    """What the script was told: each transfer's state, and which one may be under way beside it."""

    states: dict[TransferId, TransferState] = field(default_factory=dict)
    under_way: dict[TransferId, TransferState] = field(default_factory=dict)
    corrected: int = 0
    correcting: int = 0

    def copy(self) -> Acknowledged:
        return replace(self, states=dict(self.states), under_way=dict(self.under_way))


async def prepare_accounts(stores: Stores) -> None:
    await stores.accounts.insert_account(alice(min_balance=-100_000), NO_TOKENS)
    await stores.accounts.insert_account(bob(asset=EUR), NO_TOKENS)
    await stores.leases.sign_on("node")


async def play(books: Books, clock: FakeClock, told: Acknowledged) -> None:
    """Do a little of everything, one call after the other and some together."""

    async def prepare(amount: int) -> TransferId:
        outgoing_amount, conversion = convert(amount, Fraction(10, 7), Fraction(1, 300))
        made: TransferId = await again(
            partial(
                books.prepare,
                replace(
                    transfer(amount), outgoing_amount=outgoing_amount, conversion=conversion
                ),
            )
        )
        told.states[made] = P
        return made

    async def decide(
        transfer_id: TransferId, state: TransferState, call: Callable[[], Awaitable[object]]
    ) -> None:
        told.under_way[transfer_id] = state
        await again(call)
        del told.under_way[transfer_id]
        told.states[transfer_id] = state

    async def correct(amount: int) -> None:
        told.correcting = amount
        await again(partial(books.correct, ALICE, amount, "script"))
        told.correcting = 0
        told.corrected += amount

    made = [await prepare(amount) for amount in (1, 700, 50_000)]
    made += await asyncio.gather(*(prepare(amount) for amount in (3, 5, 7, 11, 13)))
    with pytest.raises(StoreError):
        await prepare(10**9)
    await decide(made[0], F, partial(books.fulfill, made[0], FULFILLMENT))
    await decide(made[1], R, partial(books.reject, made[1], b"F02"))
    await correct(12)
    await decide(made[2], E, partial(books.expire, made[2]))
    await decide(made[3], E, partial(books.expire, made[3]))
    await decide(made[2], L, partial(books.fulfill_late, made[2], FULFILLMENT))
    await asyncio.gather(
        decide(made[3], R, partial(books.abandon, made[3])),
        decide(made[4], F, partial(books.fulfill, made[4], FULFILLMENT)),
        decide(made[5], L, partial(books.fulfill_late, made[5], FULFILLMENT)),
        prepare(17),
    )
    await decide(made[6], E, partial(books.expire, made[6]))
    await correct(-5)
    clock.advance(seconds=1)
    await again(partial(books.roll_up, before_ms=clock.now_ms(), rows_max=2))
    await decide(made[7], F, partial(books.fulfill, made[7], FULFILLMENT))


async def again(call: Callable[[], Awaitable[Any]]) -> Any:
    """Make a call until the store can take it, as the services do."""
    while True:
        try:
            return await call()
        except StoreUnavailable:
            continue


# --- What the next process finds -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """The books after recovery."""

    report: AuditReport
    states: dict[int, TransferState]
    folded: int
    corrected: int


def open_as_next(path: Path) -> Found:
    """Open a copy as the next process does: its log is replayed, and recovery settles what is open."""
    return asyncio.run(_open_as_next(path))


async def _open_as_next(path: Path) -> Found:
    clock = FakeClock()
    clock.advance(seconds=3600)
    file = await SqliteFile.open(path)
    books = SqliteBooks(file, clock, NodeNumber())
    try:
        await books.recover()
        found = await file.read(_look)
        assert (await books.recover()).transfers == 0
        return found
    finally:
        await file.close()


def _look(connection: sqlite3.Connection) -> Found:
    return Found(
        audit(connection),
        {
            number: TransferState(state)
            for number, state in connection.execute("SELECT id, state FROM transfer")
        },
        connection.execute("SELECT coalesce(sum(transfers), 0) FROM folded").fetchone()[0],
        connection.execute(
            "SELECT coalesce(sum(payable - receivable), 0) FROM entry"
        ).fetchone()[0],
    )


def settled(state: TransferState) -> TransferState:
    """Return what recovery makes of a dead node's transfer."""
    return U if state in (P, E) else state


def problems(told: Acknowledged, found: Found) -> Iterator[str]:
    yield from found.report.findings
    if found.report.pending:
        yield f"{found.report.pending} transfers of a dead node are pending"
    missing = [number for number in told.states if number not in found.states]
    final = [
        n for n in missing if settled(told.states[n]) is told.states[n] or n in told.under_way
    ]
    if len(missing) > found.folded or len(final) < len(missing):
        yield f"transfers {missing} were acknowledged, and are gone"
    for number, state in told.states.items():
        if number in found.states:
            possible = {settled(state), settled(told.under_way.get(number, state))}
            if found.states[number] not in possible:
                yield f"transfer {number} was acknowledged as {state.name}, and is {found.states[number].name}"
    if found.corrected not in (told.corrected, told.corrected + told.correcting):
        yield f"corrections of {told.corrected} were acknowledged, and {found.corrected} is booked"


# --- Between statements ----------------------------------------------------------------------------


@dataclass(slots=True)
class Copier:
    """Copies the files of a database at each statement of its writer."""

    path: Path
    folder: Path
    told: Acknowledged
    copies: list[tuple[Path, Acknowledged, str]] = field(default_factory=list)
    is_on: bool = False

    def before(self, statement: str) -> None:
        if self.is_on:
            copy = self.folder / f"{len(self.copies)}" / self.path.name
            copy.parent.mkdir(parents=True)
            for suffix in ("", "-wal"):
                source = self.path.with_name(self.path.name + suffix)
                if source.exists():
                    shutil.copyfile(source, copy.with_name(copy.name + suffix))
            self.copies.append((copy, self.told.copy(), statement))


async def scripted(
    path: Path, folder: Path, wrap: Callable[[Any], Any] = lambda books: books
) -> Copier:
    """Play the script once; return a copy of the files from before each of its statements."""
    told = Acknowledged()
    copier = Copier(path, folder, told)
    clock = FakeClock()
    stores = await open_sqlite(
        f"sqlite:///{path}", clock, connect=partial(watched, before=copier.before)
    )
    await prepare_accounts(stores)
    copier.is_on = True
    await play(wrap(stores.books), clock, told)
    copier.before("the end")
    copier.is_on = False
    await stores.close()
    return copier


async def findings_of(copier: Copier) -> Sequence[str]:
    found = []
    for copy, told, statement in copier.copies:
        next_finds = await asyncio.to_thread(open_as_next, copy)
        found += [f"before {statement!r}: {p}" for p in problems(told, next_finds)]
    return found


async def test_a_crash_at_any_statement_leaves_what_was_acknowledged(
    database: Path, tmp_path: Path
) -> None:
    copier = await scripted(database, tmp_path / "copies")

    assert await findings_of(copier) == []
    assert len(copier.copies) > 80
    ends = {statement.split()[0] for _, _, statement in copier.copies}
    assert {"BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE"} <= ends


class CommitsTooEarly:
    """Books that post a fulfillment's balances in one transaction, and its state in another."""

    def __init__(self, books: Any) -> None:
        self._books = books

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    async def fulfill(self, transfer_id: TransferId, fulfillment: bytes) -> None:
        def credit(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE balance SET payable = payable + 1 WHERE account = "
                "(SELECT number FROM account WHERE id = ?)",
                (BOB,),
            )

        def undo(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE balance SET payable = payable - 1 WHERE account = "
                "(SELECT number FROM account WHERE id = ?)",
                (BOB,),
            )

        await self._books._file.write(credit)
        await self._books.fulfill(transfer_id, fulfillment)
        await self._books._file.write(undo)


class AnswersTooEarly:
    """Books that say that a fulfillment is booked before it is."""

    def __init__(self, books: Any) -> None:
        self._books = books
        self._later: list[asyncio.Task[None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    async def fulfill(self, transfer_id: TransferId, fulfillment: bytes) -> None:
        async def later() -> None:
            await asyncio.sleep(0)
            with suppress(StoreUnavailable):  # the script ended, and closed it
                await self._books.fulfill(transfer_id, fulfillment)

        self._later.append(asyncio.get_running_loop().create_task(later()))


@pytest.mark.parametrize("broken", [CommitsTooEarly, AnswersTooEarly])
async def test_a_broken_order_of_writes_is_found_out(
    database: Path, tmp_path: Path, broken: Callable[[Any], Any]
) -> None:
    copier = await scripted(database, tmp_path / "copies", broken)

    assert await findings_of(copier) != []


# --- Power cuts ------------------------------------------------------------------------------------

FRAME_OCTETS: Final = 24 + 4096
HEADER_OCTETS: Final = 32
CUTS_WITHIN_A_FRAME: Final = (0, 24, 512, 24 + 2048, 4096)


async def test_a_log_cut_or_torn_at_any_place_is_a_prefix_of_what_happened(
    database: Path, tmp_path: Path
) -> None:
    copier = await scripted(database, tmp_path / "copies")
    last, _, _ = copier.copies[-1]
    whole = wal_of(last).read_bytes()
    sizes = [(wal_of(copy).stat().st_size, told) for copy, told, _ in copier.copies]
    first_size = sizes[0][0]
    assert (first_size - HEADER_OCTETS) % FRAME_OCTETS == 0
    assert len(whole) == sizes[-1][0]  # never folded into the file meanwhile
    work = tmp_path / "cut" / "node.db"
    work.parent.mkdir()

    points = 0
    for frame in range(first_size, len(whole) + 1, FRAME_OCTETS):
        for within in CUTS_WITHIN_A_FRAME:
            cut = frame + within
            if cut > len(whole):
                continue
            # What was acknowledged when the log was no longer than this had been forced to the disk.
            told = [told for size, told in sizes if size <= cut][-1]
            torn = whole[:cut] + bytes(min(700, len(whole) - cut))
            found = await asyncio.to_thread(open_cut, last, work, torn)
            points += 1
            assert found.corrected in {0, 12, 7}
            later = replace(
                told,
                under_way=dict(sizes[-1][1].states),
                correcting=found.corrected - told.corrected,
            )
            assert list(problems(later, found)) == [], f"cut at {cut}"
    assert points > 150


def open_cut(source: Path, work: Path, log: bytes) -> Found:
    for left in work.parent.iterdir():
        left.unlink()
    shutil.copyfile(source, work)
    wal_of(work).write_bytes(log)
    return open_as_next(work)


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


# --- A disk that fails -----------------------------------------------------------------------------


@dataclass(slots=True)
class Failing:
    """Fails one statement, counted from when it is on."""

    at: int
    code: int
    count: int = 0
    is_on: bool = False

    def before(self, statement: str) -> None:
        if not self.is_on or statement == "ROLLBACK":
            return
        self.count += 1
        if self.count == self.at:
            raise failure(self.code)


async def play_on(folder: Path, failing: Failing) -> tuple[Mapping[AccountId, Balance], int]:
    """Play the script on a disk that fails; return the balances, and how many transfers there are."""
    clock, told = FakeClock(), Acknowledged()
    stores = await open_sqlite(
        f"sqlite:///{folder / 'node.db'}",
        clock,
        connect=partial(watched, before=failing.before),
    )
    await prepare_accounts(stores)
    failing.is_on = True
    await play(stores.books, clock, told)
    failing.is_on = False
    report, balances = await stores.books.audit(), await stores.books.balances()
    await stores.close()
    assert report.findings == ()
    return balances, report.transfers


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR])
async def test_a_disk_that_fails_at_any_statement_changes_nothing_and_is_tried_again(
    tmp_path: Path, code: int
) -> None:
    never = Failing(0, code)
    expected = await play_on(tmp_path / "never", never)

    # A third of the places for each code.
    for at in range(1 + (code == sqlite3.SQLITE_IOERR), never.count + 1, 3):
        failing = Failing(at, code)
        assert await play_on(tmp_path / str(at), failing) == expected, f"failed at {at}"
        assert failing.count >= at
    assert never.count > 80


async def test_a_number_that_a_failed_commit_had_used_is_not_used_again(tmp_path: Path) -> None:
    clock, failing = FakeClock(), Failing(0, sqlite3.SQLITE_FULL)
    stores = await open_sqlite(
        f"sqlite:///{tmp_path / 'data' / 'node.db'}",
        clock,
        connect=partial(watched, before=failing.before),
    )
    await prepare_accounts(stores)
    await stores.accounts.update_account(bob(), NO_TOKENS)
    first = await stores.books.prepare(transfer(1))
    failing.is_on, failing.at = True, 5  # BEGIN, two looks, INSERT, balances, COMMIT
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await stores.books.prepare(transfer(2))
    failing.is_on = False

    second = await stores.books.prepare(transfer(4))
    await stores.books.fulfill(first, FULFILLMENT)

    assert second > first + 1
    assert (await stores.books.balance(ALICE)).pending_in == 4
    assert (await stores.books.audit()).findings == ()
    await stores.close()
