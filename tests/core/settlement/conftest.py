"""Two parties on a fake chain, with stores of each backend in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from core.testing.clock import FakeClock
from tests.core.settlement.fake_ledger import FakeChain, FakeLedger
from tests.core.settlement.parties import Party, peer

BACKENDS: Final = ("memory", "sqlite")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def url_of(backend: str, folder: Path) -> str:
    return "memory:" if backend == "memory" else f"sqlite:///{folder}/node.db"


@pytest.fixture
async def alice(
    backend: str, tmp_path: Path, clock: FakeClock, chain: FakeChain
) -> AsyncIterator[Party]:
    """The side that owes, on the address `alice`; its peer is `bob`."""
    party = await Party.open(
        url_of(backend, tmp_path / "alice"), clock, FakeLedger(chain, "alice"), peer("bob")
    )
    yield party
    await party.stores.close()


@pytest.fixture
async def bob(
    backend: str, tmp_path: Path, clock: FakeClock, chain: FakeChain
) -> AsyncIterator[Party]:
    """The side that is paid, on the address `bob`; its peer is `alice`."""
    party = await Party.open(
        url_of(backend, tmp_path / "bob"), clock, FakeLedger(chain, "bob"), peer("alice")
    )
    yield party
    await party.stores.close()
