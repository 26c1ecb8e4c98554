"""The stores that every contract test runs against."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, Protocol

import pytest

from core.stores import Stores, open_stores
from core.stores.sqlite import open_sqlite
from core.stores.sqlite.connection import connect
from core.testing.clock import FakeClock

BACKENDS: Final = ("memory", "sqlite")
COMMITS_ON_LOOP: Final = "sqlite, on the loop"
"""The same file, where single packets are committed without the thread."""


class OpenStores(Protocol):
    """Opens the test's SQLite file, as often as it is called, each time as another process would."""

    async def __call__(
        self, *, connect: Callable[[Path], sqlite3.Connection] = connect
    ) -> Stores: ...


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the SQLite stores of a test are, or will be."""
    return tmp_path / "data" / "node.db"


@pytest.fixture(params=(*BACKENDS, COMMITS_ON_LOOP))
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(backend: str, database: Path) -> str:
    return "memory:" if backend == "memory" else f"sqlite:///{database}"


@pytest.fixture
async def stores(backend: str, url: str, clock: FakeClock) -> AsyncIterator[Stores]:
    """Empty stores, of each backend in turn: a backend is right when the tests pass unchanged."""
    opened = await open_stores(url, clock, commit_on_loop=backend == COMMITS_ON_LOOP)
    yield opened
    await opened.close()


@pytest.fixture
async def open_file(database: Path, clock: FakeClock) -> AsyncIterator[OpenStores]:
    opened: list[Stores] = []

    async def open_it(*, connect: Callable[[Path], sqlite3.Connection] = connect) -> Stores:
        opened.append(await open_sqlite(f"sqlite:///{database}", clock, connect=connect))
        return opened[-1]

    yield open_it

    for stores in opened:
        await stores.close()
