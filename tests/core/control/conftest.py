"""The node that the operator's door is tested on."""

from __future__ import annotations

import pytest

from tests.core.control.bench import Bench, make_bench


@pytest.fixture
async def bench() -> Bench:
    return await make_bench()
