"""Pictures of every page, light and dark, for the README and for whoever has no display."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from desktop.theme import Theme, ThemeChoice
from desktop.views.main_window import MainWindow
from desktop.views.page import Page
from desktop.views.widgets import TableView

SETTLE_SECONDS: Final = 0.8
"""A page that was just shown has asked the node, and drawn what it said, after this."""


async def take_pictures(
    window: MainWindow,
    pages: Sequence[Page],
    theme: Theme,
    directory: Path,
    *,
    settle_seconds: float = SETTLE_SECONDS,
) -> Sequence[Path]:
    """Write PAGE-light.png and PAGE-dark.png for each page; the first row of a table is selected."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    before = theme.choice
    taken = []
    for page in pages:
        window.show_page(page.key)
        await asyncio.sleep(settle_seconds)
        select_first_row(page)
        await asyncio.sleep(settle_seconds / 2)
        for choice in (ThemeChoice.LIGHT, ThemeChoice.DARK):
            theme.choose(choice)
            await asyncio.sleep(settle_seconds / 4)
            path = directory / f"{page.key}-{choice.value}.png"
            if not window.grab().save(str(path)):
                raise OSError(f"the picture {path} cannot be written")
            taken.append(path)
    theme.choose(before)
    return taken


def select_first_row(page: Page) -> None:
    """Select the first row of the page's first table that has one, so that the inspector has something to show."""
    for table in page.findChildren(TableView):
        if table.isVisible() and table.table_model.shown:
            if not table.selected_rows:
                table.selectRow(0)
            return
