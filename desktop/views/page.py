"""How a page plugs into the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from desktop.presenters.page import PagePresenter
from desktop.views.widgets import TableView


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What can be done on a page from anywhere: the palette shows the page, and then does it."""

    title: str
    act: Callable[[], object]
    words: str = ""
    """Other words that it is found by."""
    possible: Callable[[], bool] = lambda: True


class Page(QWidget):
    """One page of the window: a widget with a name, an icon and a presenter.

    The window calls `presenter.start()` when the page is shown and `presenter.stop()` when it is
    hidden, puts `inspector` into the dock while the page is the current one, and listens to the
    presenter's `failed`, `reported`, `problem_changed`, `refreshed` and `badge_changed`.
    """

    key: ClassVar[str]
    """What other pages call it: `overview`, `peers`, `routes`, `traffic`, `settlements`, `logs`."""
    title: ClassVar[str]
    icon: ClassVar[str]
    """A file in resources/icons, without its suffix."""

    navigated = Signal(str, str)
    """Another page is wanted: its key, and what to show there (a username, a prefix, a filter), or nothing."""

    inspector_wanted = Signal(bool)
    """Whether the inspector is to be seen: not while nothing is selected, nor while the page edits."""

    def __init__(self, presenter: PagePresenter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.presenter = presenter
        self.inspector: QWidget | None = None
        """Details of what is selected; None for a page without any."""
        self.wants_inspector = False

    def want_inspector(self, wanted: bool) -> None:  # noqa: FBT001 # also a slot
        """Say whether there is something for the inspector to show."""
        if wanted != self.wants_inspector:
            self.wants_inspector = wanted
            self.inspector_wanted.emit(wanted)

    def open(self, target: str) -> None:
        """Show `target`, which another page navigated to."""

    def pose(self) -> None:
        """Show what this page is for, as its picture should: the first row, unless a page knows better."""
        for table in self.findChildren(TableView):
            if table.isVisible() and table.table_model.shown:
                if not table.selected_rows:
                    table.selectRow(0)
                return

    def focus_filter(self) -> None:
        """Put the cursor into the page's filter line; `/` does."""

    def deeds(self) -> Sequence[Deed]:
        """Return what can be done here, each by the name that it has nowhere else."""
        return ()

    def add(self) -> None:
        """Begin adding what the page lists; Ctrl+N does, on the peers page."""
