"""Desktop tests run on the event loop that the application runs on, and clean up behind them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QApplication

from desktop import formatting
from desktop.event_loop import new_event_loop


def _qt_loop() -> asyncio.AbstractEventLoop:
    application = QApplication.instance() or QApplication([])
    assert isinstance(application, QApplication)
    application.setQuitOnLastWindowClosed(False)
    return new_event_loop(application)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"qt": _qt_loop}


@pytest.fixture
async def nothing_outlives_its_test(qapp: QApplication) -> AsyncIterator[None]:
    """Fail a test that leaves a task running or a window open."""
    widgets, tasks = set(qapp.topLevelWidgets()), asyncio.all_tasks()

    yield

    qapp.processEvents()
    left_tasks = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    left_widgets = [w for w in set(qapp.topLevelWidgets()) - widgets if w.isVisible()]
    assert not left_tasks, f"tasks still run: {left_tasks}"
    assert not left_widgets, f"windows are still open: {left_widgets}"


@pytest.fixture(autouse=True)
def amounts_are_seen_again() -> Iterator[None]:
    """Whether amounts are hidden is the same for the whole process."""
    yield

    formatting.hide_amounts(hidden=False)


@pytest.fixture(autouse=True)
def a_theme_ends_with_its_test() -> Iterator[None]:
    """Leave the next test an application without our colours: they change what widgets inherit."""
    yield

    application = QApplication.instance()
    if isinstance(application, QApplication) and application.styleSheet():
        application.setStyleSheet("")
        application.setPalette(QPalette())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every async test in this folder is watched; a plain one has no task to leave."""
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue  # pytest hands every test to every conftest
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "nothing_outlives_its_test")
