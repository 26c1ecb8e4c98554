"""A child process, and what is said of one that ends."""

from __future__ import annotations

import pytest

from core.errors import ControlError
from core.practice.process import Child


async def test_of_a_child_that_ends_the_cause_is_said_first() -> None:
    child = Child("alice's node", "timeit", ["-s", "raise ValueError('the cause')"])

    with pytest.raises(ControlError) as told:
        await child.start()

    assert str(told.value).startswith(
        "alice's node ended at once, with code 1: ValueError: the cause / "
    )
    await child.stop()
