"""Pictures of every page, light and dark, for the README and for whoever has no display."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from desktop.theme import Theme, ThemeChoice
from desktop.views.main_window import MainWindow
from desktop.views.page import Page

SETTLE_SECONDS: Final = 0.6
"""A page that was just shown has asked the node, and drawn what it said, after this."""


async def take_pictures(
    window: MainWindow,
    pages: Sequence[Page],
    theme: Theme,
    directory: Path,
    *,
    settle_seconds: float = SETTLE_SECONDS,
) -> Sequence[Path]:
    """Write PAGE-light.png and PAGE-dark.png for each page, each as it poses."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    before = theme.choice
    taken = []
    # Theme by theme: a change of theme polishes every widget anew, and packets wait for that.
    for choice in (ThemeChoice.LIGHT, ThemeChoice.DARK):
        theme.choose(choice)
        for page in pages:
            window.show_page(page.key)
            await asyncio.sleep(settle_seconds)
            page.pose()
            await asyncio.sleep(settle_seconds)
            path = directory / f"{page.key}-{choice.value}.png"
            if not window.grab().save(str(path)):
                raise OSError(f"the picture {path} cannot be written")
            taken.append(path)
    theme.choose(before)
    return taken
