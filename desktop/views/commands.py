"""Everything that the window can do, said once: shortcuts, menus and the palette are made of this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from desktop import formatting
from desktop.models.palette import Entry, Kind
from desktop.views.page import Page
from desktop.views.widgets import TableView


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    action: QAction
    title: str
    detail: str
    words: str
    kind: Kind
    possible: Callable[[], bool]


@final
class Commands:
    """The window's actions, by what they are called; each name is there once."""

    def __init__(self, window: QWidget) -> None:
        self._window = window
        self._commands: dict[str, _Command] = {}
        self._rows: list[QAction] = []

    def add(
        self,
        title: str,
        act: Callable[[], object],
        *keys: str,
        detail: str = "",
        words: str = "",
        kind: Kind = Kind.ACTION,
        possible: Callable[[], bool] = lambda: True,
    ) -> None:
        """Add an action with its shortcuts; it is offered while it is possible."""
        action = QAction(title, self._window)
        action.setShortcuts([QKeySequence(each) for each in keys])
        action.triggered.connect(lambda _checked=False: act())
        self._window.addAction(action)
        self.adopt(action, title, detail=detail, words=words, kind=kind, possible=possible)

    def adopt(
        self,
        action: QAction,
        title: str,
        *,
        detail: str = "",
        words: str = "",
        kind: Kind = Kind.ACTION,
        possible: Callable[[], bool] = lambda: True,
    ) -> None:
        """Add an action that a menu has; here it is called so."""
        if title in self._commands:
            raise ValueError(f"the window can {title!r} already")
        self._commands[title] = _Command(
            action=action, title=title, detail=detail, words=words, kind=kind, possible=possible
        )

    def add_page(self, page: Page, show: Callable[[], object], key: str) -> None:
        """Add a page, and what can be done on it: the page is shown first."""

        def on_page(act: Callable[[], object]) -> Callable[[], None]:
            def work() -> None:
                show()
                act()

            return work

        self.add(page.title, show, key, detail="Page", kind=Kind.PAGE)
        for each in page.deeds():
            self.add(
                each.title,
                on_page(each.act),
                detail=page.title,
                words=each.words,
                possible=each.possible,
            )

    @property
    def actions(self) -> Sequence[QAction]:
        """All of them."""
        return [command.action for command in self._commands.values()]

    def offered(self, page: Page | None) -> Sequence[Entry]:
        """Return what can be done now: pages first, then what the rows that are selected on this page allow."""
        entries = [
            Entry(
                kind=command.kind,
                key=command.title,
                title=command.title,
                detail=command.detail,
                keys=_keys(command.action),
                words=command.words,
            )
            for command in self._commands.values()
            if command.action.isEnabled() and command.possible()
        ]
        pages = [entry for entry in entries if entry.kind is Kind.PAGE]
        others = [entry for entry in entries if entry.kind is not Kind.PAGE]
        return [*pages, *self._offered_rows(page), *others]

    def run(self, entry: Entry) -> None:
        """Do what was chosen of what was offered last."""
        if entry.kind is Kind.ROW:
            self._rows[int(entry.key)].trigger()
        else:
            self._commands[entry.key].action.trigger()

    def _offered_rows(self, page: Page | None) -> Sequence[Entry]:
        self._rows = []
        if page is None:
            return ()
        entries = []
        for table in page.findChildren(TableView):
            count = len(table.selected_rows) if table.isVisible() else 0
            name = table.accessibleName() or page.title
            for action in table.actions() if count else ():
                if action.isEnabled() and not action.isSeparator():
                    entries.append(
                        Entry(
                            kind=Kind.ROW,
                            key=str(len(self._rows)),
                            title=action.text(),
                            detail=f"{name}: {formatting.counted(count, 'row')} selected",
                            keys=_keys(action),
                        )
                    )
                    self._rows.append(action)
        return entries


def _keys(action: QAction) -> str:
    return action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
