from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from desktop import passphrase
from desktop.presenters.lock import WAIT_SECONDS_MAX, LockPresenter
from desktop.settings import SettingsFile
from tests.desktop.fake_operator import FakeClock
from tests.desktop.waiting import until

WORD = "correct horse"
KEPT = passphrase.hash_of(WORD, log_cost=4)


class Lock:
    """A lock, its clock and what it said."""

    def __init__(self, settings: SettingsFile) -> None:
        self.clock = FakeClock()
        self.settings = settings
        self.said: list[str] = []
        self.presenter = LockPresenter(settings, self.clock)
        self.presenter.refused.connect(self.said.append)

    def is_locked(self) -> bool:
        return self.presenter.is_locked

    async def open(self, typed: str) -> None:
        self.presenter.open(typed)
        await until(lambda: not self.presenter.is_working)


@pytest.fixture
async def lock() -> AsyncIterator[Lock]:
    settings = SettingsFile(None)
    settings.change(passphrase=KEPT)
    made = Lock(settings)
    yield made
    await made.presenter.close()


async def test_it_locks_and_only_the_passphrase_opens_it(lock: Lock) -> None:
    lock.presenter.lock()
    assert lock.is_locked()

    await lock.open("something else")
    assert lock.is_locked()
    assert lock.said == ["That is not the passphrase."]

    lock.clock.advance(1)
    await lock.open(WORD)
    assert not lock.is_locked()


async def test_each_wrong_try_makes_the_next_one_wait_longer_up_to_a_minute(lock: Lock) -> None:
    lock.presenter.lock()
    waits = []
    for _ in range(9):
        await lock.open("wrong one")
        waits.append(lock.presenter.wait_seconds)
        lock.clock.advance(lock.presenter.wait_seconds)

    assert waits == [1, 2, 4, 8, 16, 32, WAIT_SECONDS_MAX, WAIT_SECONDS_MAX, WAIT_SECONDS_MAX]

    await lock.open(WORD)
    lock.presenter.lock()
    await lock.open("wrong one")
    assert lock.presenter.wait_seconds == 1, "the right one ends it"


async def test_nothing_is_tried_while_it_waits_not_even_the_passphrase(lock: Lock) -> None:
    lock.presenter.lock()
    await lock.open("wrong one")
    lock.clock.advance(0.5)

    await lock.open(WORD)

    assert lock.is_locked()
    lock.clock.advance(0.5)
    await lock.open(WORD)
    assert not lock.is_locked()


async def test_a_passphrase_is_tried_beside_the_loop_and_one_at_a_time(
    lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may_end = threading.Event(), threading.Event()
    tried: list[str] = []

    def slow(typed: str, _kept: str) -> bool:
        tried.append(typed)
        began.set()
        return may_end.wait(10) and typed == WORD

    monkeypatch.setattr(passphrase, "fits", slow)
    lock.presenter.lock()
    lock.presenter.open(WORD)
    await until(began.is_set)  # the loop goes on while the thread is kept

    lock.presenter.open("another one")
    assert lock.presenter.is_working
    assert lock.is_locked()
    may_end.set()
    await until(lambda: not lock.presenter.is_working)

    assert tried == [WORD]
    assert not lock.is_locked()


async def test_without_a_passphrase_it_does_not_lock() -> None:
    lock = Lock(SettingsFile(None))

    lock.presenter.lock()
    lock.presenter.lock_after(1)
    lock.clock.advance(3_600)
    lock.presenter.look()

    assert not lock.is_locked()
    await lock.presenter.close()


@pytest.mark.parametrize(
    ("new", "again", "said"),
    [
        ("short", "short", "It needs at least 6 letters."),
        ("correct horse", "correct house", "The two are not the same."),
        ("x" * 1_001, "x" * 1_001, "It may have at most 1\u202f000 letters."),
    ],
)
async def test_a_new_passphrase_must_do(new: str, again: str, said: str) -> None:
    lock = Lock(SettingsFile(None))

    lock.presenter.set_passphrase(new, again)

    assert lock.said == [said]
    assert not lock.presenter.has_passphrase
    await lock.presenter.close()


async def test_another_passphrase_is_taken_from_who_knows_the_former(lock: Lock) -> None:
    lock.presenter.set_passphrase("battery staple", "battery staple", current="guessed")
    await until(lambda: not lock.presenter.is_working)
    assert lock.said == ["That is not the passphrase."]
    assert lock.settings.current.passphrase == KEPT
    assert lock.presenter.wait_seconds == 1, "here it is no quicker to guess"

    lock.clock.advance(1)
    lock.presenter.set_passphrase("battery staple", "battery staple", current=WORD)
    await until(lambda: not lock.presenter.is_working)

    lock.presenter.lock()
    await lock.open(WORD)
    assert lock.is_locked()
    lock.clock.advance(1)
    await lock.open("battery staple")
    assert not lock.is_locked()


async def test_it_locks_by_itself_where_nobody_was_there_for_so_long(lock: Lock) -> None:
    lock.clock.advance(7_200)
    lock.presenter.look()
    assert not lock.is_locked(), "only if that was chosen"

    lock.presenter.lock_after(5)
    lock.clock.advance(299)
    lock.presenter.look()
    lock.presenter.note_input()
    lock.clock.advance(299)
    lock.presenter.look()
    assert not lock.is_locked()

    lock.clock.advance(1)
    lock.presenter.look()
    assert lock.is_locked()

    await lock.open(WORD)
    lock.presenter.look()
    assert not lock.is_locked(), "who opened it was there"


async def test_it_is_kept_in_a_file_that_only_its_owner_reads_and_locked_at_the_next_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "window.json"
    path.write_text("{}")
    path.chmod(0o644)
    first = Lock(SettingsFile(path))
    first.presenter.set_passphrase(WORD, WORD)
    await until(lambda: first.presenter.has_passphrase)
    first.presenter.lock_after(15)
    first.presenter.lock()
    await first.presenter.close()

    assert path.stat().st_mode & 0o777 == 0o600
    assert WORD not in path.read_text()
    second = Lock(SettingsFile(path))
    assert second.is_locked()
    assert second.presenter.minutes == 15
    assert str(path) in second.presenter.way_out
    await second.open(WORD)
    assert not second.is_locked()
    await second.presenter.close()
    third = Lock(SettingsFile(path))
    assert not third.is_locked()
    await third.presenter.close()


async def test_who_forgot_it_deletes_the_entry_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "window.json"
    settings = SettingsFile(path)
    settings.change(passphrase=KEPT, locked=True, lock_after_minutes=1)
    values = json.loads(path.read_text())
    del values["passphrase"]
    path.write_text(json.dumps(values))

    lock = Lock(SettingsFile(path))

    assert not lock.is_locked()
    assert not lock.presenter.has_passphrase
    assert lock.presenter.minutes == 0
    await lock.presenter.close()


async def test_what_is_under_way_ends_with_the_window(lock: Lock) -> None:
    lock.presenter.lock()
    lock.presenter.open(WORD)

    await lock.presenter.close()

    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
