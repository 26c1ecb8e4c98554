"""Fields that are more than a line of text: amounts with their unit, tokens, and choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from PySide6.QtCore import QPointF, QRect, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QStyle,
    QStyleOptionButton,
    QVBoxLayout,
    QWidget,
)

from desktop.theme import colours, figures
from desktop.views.widgets import action_button

CLIPBOARD_SECONDS = 60


@final
class AmountEdit(QLineEdit):
    """An amount in whole units; its asset stands inside the field, at the right.

    Whether it is an amount is for the presenter to say, which parses it exactly.
    """

    def __init__(self) -> None:
        super().__init__()
        self._unit = ""
        self.setFont(figures(self.font()))

    @property
    def unit(self) -> str:
        return self._unit

    def set_unit(self, code: str) -> None:
        """Show the asset that is counted."""
        if code != self._unit:
            self._unit = code
            room = self.fontMetrics().horizontalAdvance(code) + 10 if code else 0
            self.setTextMargins(0, 0, room, 0)
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._unit:
            painter = QPainter(self)
            painter.setPen(QColor(colours(self.palette()).muted))
            box = QRect(0, 0, self.width() - 10, self.height())
            painter.drawText(
                box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self._unit
            )


@final
class CheckBox(QCheckBox):
    """A box with a tick in the accent's text colour, in both themes."""

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self.isChecked():
            return
        option = QStyleOptionButton()
        self.initStyleOption(option)
        box = QRectF(
            self.style().subElementRect(QStyle.SubElement.SE_CheckBoxIndicator, option, self)
        )
        look = colours(QApplication.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(look.accent_text if self.isEnabled() else look.muted), 2))
        x, y = box.center().x(), box.center().y()
        painter.drawPolyline([QPointF(x - 4, y), QPointF(x - 1, y + 3), QPointF(x + 4, y - 3)])


@final
class SecretEdit(QWidget):
    """A token: masked, shown while the button is held, made up on demand, copied for a minute."""

    text_changed = Signal(str)
    generate_wanted = Signal()
    clear_wanted = Signal()

    def __init__(self, *, generates: bool) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setEchoMode(QLineEdit.EchoMode.Password)
        self.reveal_button = action_button("Reveal")
        self.reveal_button.setToolTip("shown while held")
        self.generate_button = action_button("Generate")
        self.copy_button = action_button("Copy")
        self.clear_button = action_button("Remove")
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (
            self.reveal_button,
            self.copy_button,
            self.generate_button,
            self.clear_button,
        ):
            buttons.addWidget(button)
        buttons.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.line)
        layout.addLayout(buttons)
        self.generate_button.setVisible(generates)
        self.clear_button.hide()
        self.setFocusProxy(self.line)
        self._forget = QTimer(self)
        self._forget.setSingleShot(True)
        self._forget.setInterval(CLIPBOARD_SECONDS * 1000)
        self._copied = ""
        self._connect()
        self._enable()

    def set_stored(self, *, stored: bool) -> None:
        """Say that a token is stored already, which is not shown."""
        self.clear_button.setVisible(stored)
        self.line.setPlaceholderText("stored; type to replace it" if stored else "")

    def _connect(self) -> None:
        self.line.textChanged.connect(self.text_changed)
        self.line.textChanged.connect(self._enable)
        self.reveal_button.pressed.connect(self._reveal)
        self.reveal_button.released.connect(self._mask)
        self.generate_button.clicked.connect(self.generate_wanted)
        self.clear_button.clicked.connect(self.clear_wanted)
        self.copy_button.clicked.connect(self._copy)
        self._forget.timeout.connect(self._clear_clipboard)

    def _enable(self) -> None:
        typed = bool(self.line.text())
        self.reveal_button.setEnabled(typed)
        self.copy_button.setEnabled(typed)

    def _reveal(self) -> None:
        self.line.setEchoMode(QLineEdit.EchoMode.Normal)

    def _mask(self) -> None:
        self.line.setEchoMode(QLineEdit.EchoMode.Password)

    def _copy(self) -> None:
        self._copied = self.line.text()
        QApplication.clipboard().setText(self._copied)
        self._forget.start()

    def _clear_clipboard(self) -> None:
        clipboard = QApplication.clipboard()
        if self._copied and clipboard.text() == self._copied:
            clipboard.clear()
        self._copied = ""


@final
class Choice(QComboBox):
    """A choice of values with their words; the wheel scrolls the page, not the choice."""

    chosen = Signal(str)

    def __init__(
        self, choices: Sequence[tuple[str, str]] = (), *, editable: bool = False
    ) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setEditable(editable)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(10)
        self.set_choices(choices)
        self.activated.connect(self._say)
        if editable:
            self.editTextChanged.connect(self._say)

    @property
    def value(self) -> str:
        """What is chosen, or typed."""
        if self.isEditable() and self.currentText() != self.itemText(self.currentIndex()):
            return self.currentText().strip()
        return str(self.currentData() or "")

    def set_choices(self, choices: Sequence[tuple[str, str]]) -> None:
        """Offer these; what is chosen stays where it is still offered."""
        before = self.value if self.count() else ""
        self.blockSignals(True)
        self.clear()
        for value, words in choices:
            self.addItem(words, value)
        self.blockSignals(False)
        self.choose(before)

    def choose(self, value: str) -> None:
        """Show this value as chosen, without saying so."""
        self.blockSignals(True)
        place = self.findData(value)
        if place >= 0:
            self.setCurrentIndex(place)
        elif self.isEditable():
            self.setEditText(value)
        elif self.count():
            self.setCurrentIndex(0)
        self.blockSignals(False)

    def _say(self) -> None:
        self.chosen.emit(self.value)

    # --- What Qt calls

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = colours(self.palette())
        painter.setPen(QPen(QColor(look.text if self.isEnabled() else look.muted), 1.5))
        x, y = self.width() - 15.0, self.height() / 2 - 1.5
        painter.drawPolyline([QPointF(x - 4, y), QPointF(x, y + 4), QPointF(x + 4, y)])

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()
