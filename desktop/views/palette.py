"""The palette: one line to type into, and everything that can be gone to or done, the best first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, final

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QFocusEvent,
    QKeyEvent,
    QPainter,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.palette import TYPED_MAX, Entry
from desktop.presenters.palette import PalettePresenter
from desktop.theme import colours, mixed
from desktop.views.widgets import SPACE, TextLabel

WIDTH: Final = 620
TOP: Final = 56
"""How far below the window's upper edge it is: under the strip."""
ROW_HEIGHT: Final = 32
ROWS_SEEN: Final = 11
PAGE_ROWS: Final = 10
KEYS_WIDTH: Final = 96
_GAP: Final = 16
_HINT: Final = "Go to, do, find a peer (@), or type an ILP address or a $pointer"

_STAYS: Final = (Qt.FocusReason.PopupFocusReason, Qt.FocusReason.ActiveWindowFocusReason)

_Index = QModelIndex | QPersistentModelIndex


@final
class Palette(QFrame):
    """Lies over the window until something is chosen, Esc is pressed, or the focus is elsewhere."""

    chosen = Signal(object)
    """An Entry."""

    def __init__(
        self,
        presenter: PalettePresenter,
        offered: Callable[[], Sequence[Entry]],
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._presenter = presenter
        self._offer = offered
        self._offered: Sequence[Entry] = ()
        self._window = window
        self._before: QWidget | None = None
        """Who had the focus."""
        self.setObjectName("palette")
        self.setAccessibleName("Palette")
        self.field = QLineEdit()
        self.field.setPlaceholderText(_HINT)
        self.field.setAccessibleName(_HINT)
        self.field.setMaxLength(TYPED_MAX + 1)
        self.field.setClearButtonEnabled(True)
        self.model = EntriesModel(self)
        self.list = QListView()
        self.list.setModel(self.model)
        self.list.setItemDelegate(EntryCell(self.list))
        self.list.setUniformItemSizes(True)
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setMouseTracking(True)
        self.list.setAccessibleName("What was found")
        self.nothing = TextLabel("Nothing is called so.", role="muted")
        self.nothing.setContentsMargins(SPACE, SPACE, SPACE, SPACE)
        keys = TextLabel(
            "↑ ↓ choose · Enter do · Esc close · > actions · @ peers", role="muted"
        )
        keys.setContentsMargins(SPACE, 0, SPACE, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE, SPACE, SPACE, SPACE)
        layout.setSpacing(SPACE)
        layout.addWidget(self.field)
        layout.addWidget(self.nothing)
        layout.addWidget(self.list)
        layout.addWidget(keys)
        self.field.textChanged.connect(self._find)
        self.field.installEventFilter(self)
        self.list.clicked.connect(self._choose)
        self.list.selectionModel().currentChanged.connect(self._announce)
        window.installEventFilter(self)
        self.hide()

    def toggle(self) -> None:
        """Open it, or close it where it is open."""
        if self.isVisible():
            self.close_again()
        else:
            self.open()

    def open(self) -> None:
        """Show everything that there is, and wait for a word."""
        self._window.activateWindow()
        self._before = self._window.focusWidget()
        self._presenter.begin()
        self._offered = self._offer()
        self.field.clear()
        self._find("")
        self._place()
        self.show()
        self.raise_()
        self.field.setFocus(Qt.FocusReason.PopupFocusReason)

    def close_again(self) -> None:
        """Give the focus back to who had it."""
        before, self._before = self._before, None
        had_focus = self.field.hasFocus()
        self.hide()
        if had_focus and before is not None:
            before.setFocus(Qt.FocusReason.PopupFocusReason)

    @property
    def current(self) -> Entry | None:
        """What Enter would choose."""
        return self.model.entry(self.list.currentIndex())

    def _find(self, typed: str) -> None:
        self.model.replace(self._presenter.find(typed, self._offered))
        count = self.model.rowCount()
        self.nothing.setVisible(count == 0)
        self.list.setVisible(count > 0)
        self.list.setFixedHeight(max(1, min(count, ROWS_SEEN)) * ROW_HEIGHT)
        self._go_to(0)
        self._place()

    def _place(self) -> None:
        margin = 4 * SPACE
        self.setFixedWidth(min(WIDTH, self._window.width() - margin))
        layout = self.layout()
        assert layout is not None
        layout.activate()
        self.resize(self.width(), layout.sizeHint().height())
        self.move((self._window.width() - self.width()) // 2, TOP)

    def _go_to(self, row: int) -> None:
        last = self.model.rowCount() - 1
        index = self.model.index(max(0, min(row, last)), 0)
        self.list.setCurrentIndex(index)

    def _announce(self, index: QModelIndex) -> None:
        # The focus stays in the line: without this, whoever listens does not hear what is chosen.
        entry = self.model.entry(index)
        if entry is not None and self.isVisible() and QAccessible.isActive():
            QAccessible.updateAccessibility(
                QAccessibleAnnouncementEvent(self.field, _spoken(entry))
            )

    def _choose(self, index: QModelIndex) -> None:
        entry = self.model.entry(index)
        if entry is None:
            return
        # First the focus goes back: what is chosen may want it elsewhere.
        self.close_again()
        self._presenter.note(entry)
        self.chosen.emit(entry)

    def _press(self, key: int) -> bool:
        row = self.list.currentIndex().row()
        rows = self.model.rowCount()
        steps = {
            Qt.Key.Key_Down: 1,
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_PageDown: PAGE_ROWS,
            Qt.Key.Key_PageUp: -PAGE_ROWS,
        }
        if key == Qt.Key.Key_Escape:
            self.close_again()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self.list.currentIndex())
        elif key == Qt.Key.Key_Down and row == rows - 1:
            self._go_to(0)
        elif key == Qt.Key.Key_Up and row == 0:
            self._go_to(rows - 1)
        elif key in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            pass  # there is nowhere else to go to
        elif key in steps:
            self._go_to(row + steps[Qt.Key(key)])
        else:
            return False
        return True

    # --- What Qt calls

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._window:
            if event.type() == QEvent.Type.Resize and self.isVisible():
                self._place()
            return False
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._press(event.key())
        if not isinstance(event, QFocusEvent) or not event.lostFocus():
            return False
        # Its own menu, and another window, leave it where it is.
        if self.isVisible() and event.reason() not in _STAYS:
            self._before = None
            self.hide()
        return False


@final
class EntriesModel(QAbstractListModel):
    """What was found."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: Sequence[Entry] = ()

    @property
    def entries(self) -> Sequence[Entry]:
        """All that is listed, the best first."""
        return self._entries

    def replace(self, entries: Sequence[Entry]) -> None:
        """List these instead."""
        self.beginResetModel()
        self._entries = tuple(entries)
        self.endResetModel()

    def entry(self, index: _Index) -> Entry | None:
        """Return what is listed there."""
        return self._entries[index.row()] if index.isValid() else None

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 # as Qt's own
        return 0 if parent.isValid() else len(self._entries)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self.entry(index)
        if entry is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return _spoken(entry)
        return None


@final
class EntryCell(QStyledItemDelegate):
    """A line: what it is called, where it belongs, and its keys."""

    def sizeHint(self, _option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(0, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        model = index.model()
        assert isinstance(model, EntriesModel)
        entry = model.entry(index)
        if entry is None:
            return
        box, palette, state = QRectF(option.rect), option.palette, option.state
        look = colours(palette)
        painter.save()
        if state & QStyle.StateFlag.State_Selected:
            _fill(painter, box, look.selection)
        elif state & QStyle.StateFlag.State_MouseOver:
            _fill(painter, box, mixed(look.base, look.selection, 0.4))
        box.adjust(SPACE, 0, -SPACE, 0)
        metrics = painter.fontMetrics()
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.setPen(QColor(look.muted))
        painter.drawText(box, right, entry.keys)
        box.setRight(box.right() - KEYS_WIDTH)
        painter.drawText(box, right, entry.detail)
        box.setRight(box.right() - metrics.horizontalAdvance(entry.detail) - _GAP)
        painter.setPen(QColor(look.text))
        title = metrics.elidedText(
            formatting.one_line(entry.title), Qt.TextElideMode.ElideMiddle, int(box.width())
        )
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title)
        painter.restore()


def _fill(painter: QPainter, box: QRectF, colour: str) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawRoundedRect(box.adjusted(0, 1, 0, -1), 5, 5)


def _spoken(entry: Entry) -> str:
    return ", ".join(text for text in (entry.title, entry.detail, entry.keys) if text)
