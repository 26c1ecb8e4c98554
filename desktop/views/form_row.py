"""One field of a form: its label, its widget, and below it what to type or what is wrong."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QLineEdit,
    QPlainTextEdit,
    QWidget,
)

from desktop.models.peer_editor import FormField, Kind
from desktop.theme import figures
from desktop.views.inputs import AmountEdit, CheckBox, Choice, SecretEdit
from desktop.views.widgets import TextLabel

LABEL_WIDTH: Final = 136
NUMBER_WIDTH: Final = 220
ENGINES: Final = (
    ("", "The default of the asset"),
    ("signalbox:ethereum", "signalbox:ethereum"),
)


@final
class FormRow(QWidget):
    """Holds text, whatever its widget is; `changed` tells of every change of it."""

    changed = Signal(str)

    def __init__(self, field: FormField) -> None:
        super().__init__()
        self.field = field
        self.editor = _editor(field)
        self._hint = "" if field.kind is Kind.SWITCH else field.hint
        self.label = TextLabel(f"{field.label}{' *' if field.required else ''}")
        self.message = TextLabel(self._hint, role="muted", wrap=True)
        self.message.setVisible(bool(self._hint))
        focused = self.editor.line if isinstance(self.editor, SecretEdit) else self.editor
        focused.setAccessibleName(field.label)
        self.editor.setAccessibleDescription(field.hint)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setHorizontalSpacing(12)
        layout.setVerticalSpacing(3)
        layout.setColumnMinimumWidth(0, LABEL_WIDTH)
        layout.setColumnStretch(1, 1)
        tall = field.kind in (Kind.NOTES, Kind.SECRET)
        top = Qt.AlignmentFlag.AlignTop if tall else Qt.AlignmentFlag(0)
        if tall:
            self.label.setContentsMargins(0, 6, 0, 0)
        layout.addWidget(self.label, 0, 0, top)
        if field.kind in (Kind.AMOUNT, Kind.NUMBER):
            self.editor.setFixedWidth(NUMBER_WIDTH)
            layout.addWidget(self.editor, 0, 1, Qt.AlignmentFlag.AlignLeft)
        else:
            layout.addWidget(self.editor, 0, 1)
        layout.addWidget(self.message, 1, 1)
        self._connect()

    @property
    def text(self) -> str:
        """What stands in the field."""
        editor = self.editor
        if isinstance(editor, QLineEdit):
            return editor.text()
        if isinstance(editor, QPlainTextEdit):
            return editor.toPlainText()
        if isinstance(editor, SecretEdit):
            return editor.line.text()
        if isinstance(editor, Choice):
            return editor.value
        assert isinstance(editor, QCheckBox)
        return "yes" if editor.isChecked() else ""

    def set_text(self, text: str) -> None:
        """Show this text."""
        editor = self.editor
        if isinstance(editor, QLineEdit):
            editor.setText(text)
        elif isinstance(editor, QPlainTextEdit):
            editor.setPlainText(text)
        elif isinstance(editor, SecretEdit):
            editor.line.setText(text)
        elif isinstance(editor, Choice):
            editor.choose(text)
        elif isinstance(editor, QCheckBox):
            editor.setChecked(bool(text))

    def set_message(self, message: str, *, problem: bool) -> None:
        """Say what is wrong, or what may not be meant; with nothing to say, the hint comes back."""
        marked = self.editor.line if isinstance(self.editor, SecretEdit) else self.editor
        if marked.property("problem") != problem:
            marked.setProperty("problem", problem)
            marked.style().unpolish(marked)
            marked.style().polish(marked)
        text = message or self._hint
        sign = "✖ " if problem else "▲ " if message else ""
        self.message.setText(f"{sign}{text}")
        self.message.set_role("bad" if problem else "warn" if message else "muted")
        self.message.setVisible(bool(text))
        self.editor.setAccessibleDescription(text)

    def _connect(self) -> None:
        editor = self.editor
        if isinstance(editor, QLineEdit):
            editor.textChanged.connect(self.changed)
        elif isinstance(editor, QPlainTextEdit):
            editor.textChanged.connect(lambda: self.changed.emit(self.text))
        elif isinstance(editor, SecretEdit):
            editor.text_changed.connect(self.changed)
        elif isinstance(editor, Choice):
            editor.chosen.connect(self.changed)
        elif isinstance(editor, QCheckBox):
            editor.toggled.connect(lambda _checked: self.changed.emit(self.text))


def _editor(field: FormField) -> QWidget:
    if field.kind is Kind.NOTES:
        notes = QPlainTextEdit()
        notes.setTabChangesFocus(True)
        notes.setFixedHeight(72)
        return notes
    if field.kind is Kind.SECRET:
        return SecretEdit(generates=field.generates)
    if field.kind is Kind.AMOUNT:
        return AmountEdit()
    if field.kind is Kind.CHOICE:
        return Choice(field.choices)
    if field.kind is Kind.ENGINE:
        return Choice(ENGINES, editable=True)
    if field.kind is Kind.SWITCH:
        return CheckBox(field.hint)
    line = QLineEdit()
    if field.kind is Kind.NUMBER:
        line.setFont(figures(line.font()))
    return line
