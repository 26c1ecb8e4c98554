"""Waiting in async tests, where pytest-qt's own waits would nest one event loop in another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from PySide6.QtWidgets import QWidget

STEP_SECONDS: Final = 0.01
STEPS_MAX: Final = 500


async def activated(window: QWidget) -> None:
    """Wait until the window is the active one: only then do keys reach its actions."""
    for _ in range(STEPS_MAX):
        if window.isActiveWindow():
            return
        await asyncio.sleep(STEP_SECONDS)
    raise TimeoutError("the window was not activated")


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(STEPS_MAX):
        if is_so():
            return
        await asyncio.sleep(STEP_SECONDS)
    raise TimeoutError("it did not come to be so")
