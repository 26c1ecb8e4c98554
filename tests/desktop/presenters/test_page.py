from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.errors import Conflict, StoreUnavailable
from desktop.presenters.page import PagePresenter
from desktop.tasks import UNEXPECTED, sentence
from tests.desktop.fake_operator import FakeOperator


class Page(PagePresenter):
    """Asks for the accounts, again and again."""

    every_seconds = 0.01
    looks = 0

    async def update(self) -> None:
        self.looks += 1
        await self.operator.accounts()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    operator = FakeOperator()
    made = Page(operator, operator.clock)
    yield made
    await made.close()


async def test_it_looks_again_and_again_while_it_is_seen_and_no_longer(page: Page) -> None:
    page.start()
    page.start()
    await asyncio.sleep(0.08)
    page.stop()
    looks = page.looks
    await asyncio.sleep(0.03)

    assert looks >= 3
    assert page.looks == looks


async def test_a_refresh_does_not_wait_for_the_next_look(page: Page) -> None:
    page.every_seconds = 60
    page.start()
    await asyncio.sleep(0.01)

    page.refresh()
    await asyncio.sleep(0.01)

    assert page.looks == 2


async def test_a_node_that_cannot_be_asked_is_a_problem_until_it_can(page: Page) -> None:
    told: list[str] = []
    page.problem_changed.connect(told.append)
    assert isinstance(page.operator, FakeOperator)
    page.operator.errors["accounts"] = StoreUnavailable("the database is locked")

    await page.update_and_report()
    await page.update_and_report()
    del page.operator.errors["accounts"]
    await page.update_and_report()

    assert told == ["The database is locked.", ""]


@pytest.mark.logs_warning
async def test_a_mistake_of_ours_is_reported_and_does_not_freeze_the_page(page: Page) -> None:
    failures: list[str] = []
    page.failed.connect(failures.append)
    assert isinstance(page.operator, FakeOperator)
    page.operator.errors["accounts"] = ZeroDivisionError("a mistake")

    page.start()
    await asyncio.sleep(0.02)
    del page.operator.errors["accounts"]
    page._start_if_wanted()
    await asyncio.sleep(0.02)

    assert failures == [UNEXPECTED]
    assert page.looks > 1


async def test_what_was_asked_for_is_reported_or_refused_in_a_sentence(page: Page) -> None:
    told: list[str] = []
    page.reported.connect(told.append)
    page.failed.connect(told.append)

    async def succeed() -> str:
        return "carol saved"

    async def fail() -> str:
        raise Conflict("a settlement is under way")

    page.run(succeed, name="saving carol")
    running = page.tasks.running
    page.run(fail, name="settling")
    await page.tasks.finish()

    assert running == ("saving carol",)
    assert told == ["carol saved", "A settlement is under way."]
    assert page.tasks.running == ()


async def test_closing_ends_what_runs(page: Page) -> None:
    ended: list[bool] = []

    async def forever() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)
        return ""

    page.run(forever, name="waiting")
    await asyncio.sleep(0.01)
    await page.close()

    assert ended == [True]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the port is in use", "The port is in use."),
        ("username: it is empty", "username: it is empty."),
        ("Already a sentence!", "Already a sentence!"),
        ("", UNEXPECTED),
    ],
)
def test_an_error_is_shown_as_a_sentence(text: str, shown: str) -> None:
    assert sentence(Conflict(text)) == shown
