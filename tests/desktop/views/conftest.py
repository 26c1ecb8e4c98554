"""What views are tested in: our colours, and the whole window."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib.resources import files

import pytest
from PySide6.QtWidgets import QApplication

from desktop.theme import Theme, ThemeChoice
from tests.desktop.whole_window import WholeWindow, opened


@pytest.fixture
def theme(qapp: QApplication) -> Iterator[Theme]:
    """Our colours and widths, in the light."""
    stylesheet = files("resources").joinpath("styles", "app.qss").read_text()
    made = Theme(qapp, stylesheet, ThemeChoice.LIGHT)
    yield made
    made.deleteLater()


@pytest.fixture
async def whole(theme: Theme) -> AsyncIterator[WholeWindow]:
    """The window with every page that the application has."""
    async with opened(theme) as made:
        yield made
