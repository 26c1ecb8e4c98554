"""This node's names, each with its QR code and a button that copies it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QDialog, QHBoxLayout, QWidget

from desktop import formatting
from desktop.models.node_names import NodeName
from desktop.presenters.node_names import NodeNamesPresenter
from desktop.views.detail import breakable
from desktop.views.qr_code import QrCode
from desktop.views.tables import copy
from desktop.views.widgets import (
    SPACE,
    Heading,
    TextLabel,
    action_button,
    button_row,
    dialog_column,
    grow_to_fit,
)

WIDTH_MIN: Final = 420


@final
class NodeNamesDialog(QDialog):
    """Each name of this node with its code, and a button that copies it."""

    def __init__(self, presenter: NodeNamesPresenter, parent: QWidget | None) -> None:
        super().__init__(parent)
        self._names: Sequence[NodeName] = ()
        self._shown = 0
        self.setWindowTitle("This node's address")
        self.setMinimumWidth(WIDTH_MIN)
        self.heading = Heading("", steps=2)
        self.code = QrCode()
        self.text = TextLabel(wrap=True)
        self.text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.hint = TextLabel(role="muted", wrap=True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.copy_button = action_button("Copy", primary=True)
        self.close_button = action_button("Close")
        self._choices = QHBoxLayout()
        self._choices.setSpacing(SPACE)
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self._show)
        layout = dialog_column(self, self.heading)
        layout.addLayout(self._choices)
        layout.addWidget(self.code, 1)
        layout.addWidget(self.text)
        layout.addWidget(self.hint)
        layout.addSpacing(SPACE)
        layout.addLayout(button_row(self.close_button, self.copy_button))
        self.close_button.clicked.connect(self.reject)
        self.copy_button.clicked.connect(self._copy)
        presenter.changed.connect(self._show_names)
        self._show_names(presenter.names)
        presenter.ask()
        self.copy_button.setFocus()

    @property
    def choices(self) -> Sequence[QAbstractButton]:
        """The buttons that choose a name; none where there is only one."""
        return self._group.buttons()

    def _show_names(self, names: Sequence[NodeName]) -> None:
        self._names = names
        for button in self._group.buttons():
            self._group.removeButton(button)
            self._choices.removeWidget(button)
            button.deleteLater()
        self._shown = min(self._shown, max(0, len(names) - 1))
        for place, name in enumerate(names) if len(names) > 1 else ():
            button = action_button(name.title)
            button.setCheckable(True)
            button.setAutoDefault(False)
            button.setChecked(place == self._shown)
            self._group.addButton(button, place)
            self._choices.addWidget(button)
        self.copy_button.setEnabled(bool(names))
        if names:
            self._show(self._shown)

    def _show(self, place: int) -> None:
        self._shown = place
        name = self._names[place]
        self.heading.setText(name.title)
        self.code.show_text(name.text)
        self.text.setText(breakable(name.text))
        self.text.setAccessibleName(f"{name.title}: {name.text}")
        self.hint.setText(name.hint)
        self.copy_button.setText("Copy")
        self.copy_button.setToolTip(formatting.tooltip(name.text))
        grow_to_fit(self)

    def _copy(self) -> None:
        copy(self._names[self._shown].text)
        self.copy_button.setText("Copied")
