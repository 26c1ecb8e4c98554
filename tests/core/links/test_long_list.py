"""Long answers of the API: whole, and written in pieces."""

from __future__ import annotations

import asyncio
import json

import pytest

from core.links.control_http.long_list import ROWS_AT_ONCE, list_response


@pytest.mark.parametrize("count", [0, 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 3 * ROWS_AT_ONCE])
async def test_every_row_is_in_the_answer_once_and_in_order(count: int) -> None:
    answer = await list_response(range(count), lambda number: {"row": number, "text": "é, ["})

    assert answer.content_type == "application/json"
    assert json.loads(answer.text or "") == [
        {"row": number, "text": "é, ["} for number in range(count)
    ]


async def test_others_get_a_turn_between_two_pieces() -> None:
    turns: list[int] = []
    written: list[int] = []

    def row(number: int) -> dict[str, object]:
        written.append(number)
        return {"row": number}

    async def others() -> None:
        while len(written) < 3 * ROWS_AT_ONCE:
            turns.append(len(written))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(list_response(range(3 * ROWS_AT_ONCE), row))
        tasks.create_task(others())

    assert turns == [ROWS_AT_ONCE, 2 * ROWS_AT_ONCE]
