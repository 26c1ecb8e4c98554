"""The stores that every contract test runs against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from core.stores import Stores, open_stores
from core.testing.clock import FakeClock

BACKENDS: Final = ("memory", "sqlite")

OpenStores = Callable[[], Awaitable[Stores]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the SQLite stores of a test are, or will be."""
    return tmp_path / "data" / "node.db"


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, database: Path) -> str:
    return {"memory": "memory:", "sqlite": f"sqlite:///{database}"}[request.param]


@pytest.fixture
async def stores(url: str, clock: FakeClock) -> AsyncIterator[Stores]:
    """Empty stores, of each backend in turn: a backend is right when the tests pass unchanged."""
    opened = await open_stores(url, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def open_file(database: Path, clock: FakeClock) -> AsyncIterator[OpenStores]:
    """Open the test's SQLite file, as often as it is called, each time as another process would."""
    opened: list[Stores] = []

    async def open_it() -> Stores:
        opened.append(await open_stores(f"sqlite:///{database}", clock))
        return opened[-1]

    yield open_it

    for stores in opened:
        await stores.close()
