"""Desktop tests run on the event loop that the application runs on, and clean up behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import qasync
from PySide6.QtWidgets import QApplication


def _qt_loop() -> asyncio.AbstractEventLoop:
    application = QApplication.instance() or QApplication([])
    assert isinstance(application, QApplication)
    application.setQuitOnLastWindowClosed(False)
    loop: asyncio.AbstractEventLoop = qasync.QEventLoop(application)
    return loop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"qt": _qt_loop}


@pytest.fixture(autouse=True)
async def nothing_outlives_its_test(qapp: QApplication) -> AsyncIterator[None]:
    """Fail a test that leaves a task running or a window open."""
    widgets, tasks = set(qapp.topLevelWidgets()), asyncio.all_tasks()

    yield

    qapp.processEvents()
    left_tasks = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    left_widgets = [w for w in set(qapp.topLevelWidgets()) - widgets if w.isVisible()]
    assert not left_tasks, f"tasks still run: {left_tasks}"
    assert not left_widgets, f"windows are still open: {left_widgets}"
