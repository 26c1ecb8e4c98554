"""Tasks and their owners."""

import pytest

from core.tasks import ANEW_SECONDS_MAX, begun_anew


@pytest.mark.logs_warning
async def test_what_a_fault_ends_begins_anew_each_time_later() -> None:
    begun, pauses = [0], []

    async def work() -> None:
        begun[0] += 1
        if begun[0] <= 9:
            raise ZeroDivisionError

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    await begun_anew(work, "looking", sleep)

    assert begun == [10]
    assert pauses == [1, 2, 4, 8, 16, 32, ANEW_SECONDS_MAX, ANEW_SECONDS_MAX, ANEW_SECONDS_MAX]
