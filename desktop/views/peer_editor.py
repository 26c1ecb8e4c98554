"""The peer editor: sections of fields, what they mean in words, and what is in the way of saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from desktop.models.peer_editor import (
    BTP_FIELDS,
    CREDIT_WITH_AMOUNT,
    FIELDS,
    HTTP_FIELDS,
    LINK_UNUSED,
    SECTIONS,
    Difference,
    FormCheck,
    FormSection,
    Kind,
)
from desktop.presenters.peer_editor import PeerEditorPresenter
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.form_row import FormRow
from desktop.views.inputs import AmountEdit, SecretEdit
from desktop.views.widgets import MARGIN, SPACE, Card, Heading, TextLabel, action_button

FORM_WIDTH_MAX: Final = 920
SIDE_WIDTH_MIN: Final = 236
SIDE_WIDTH_MAX: Final = 340


@final
class PeerEditor(QWidget):
    """The form at the left; at the right what it means, and the buttons."""

    def __init__(self, presenter: PeerEditorPresenter) -> None:
        super().__init__()
        self._presenter = presenter
        self._touched: set[str] = set()
        self._filling = False
        self.rows = {name: FormRow(field) for name, field in FIELDS.items()}
        self.heading = Heading("", steps=3)
        self.summary = TextLabel(wrap=True)
        self.warnings = TextLabel(role="warn", wrap=True)
        self.reasons = TextLabel(wrap=True)
        self.differences = TextLabel(wrap=True)
        self.save_button = action_button("Save", primary=True)
        self.cancel_button = action_button("Cancel")
        self.back_button = action_button("Back to the form")
        self._summary_card = Card("What this means")
        self._reasons_card = Card("Before it can be saved")
        self._differences_card = Card("What changes")
        self._scroll = QScrollArea()
        self._build()
        self._connect()

    def focus_first(self) -> None:
        """Put the cursor into the first field."""
        self._scroll.verticalScrollBar().setValue(0)
        self.rows["username"].editor.setFocus()

    # --- How it is built

    def _build(self) -> None:
        form = QWidget()
        form.setMaximumWidth(FORM_WIDTH_MAX)
        column = QVBoxLayout(form)
        column.setContentsMargins(MARGIN, 0, SPACE, MARGIN)
        column.setSpacing(12)
        for section in SECTIONS:
            column.addWidget(self._section(section))
        column.addStretch()
        self._scroll.setWidget(form)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        left = QVBoxLayout()
        left.setSpacing(0)
        self.heading.setContentsMargins(MARGIN, 12, MARGIN, 12)
        left.addWidget(self.heading)
        left.addWidget(self._scroll, 1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(left, 5)
        layout.addWidget(self._side(), 2)

    def _section(self, section: FormSection) -> Card:
        card = Card(section.title)
        card.body.addWidget(TextLabel(section.explanation, role="muted", wrap=True))
        for field in section.fields:
            card.body.addWidget(self.rows[field.name])
        return card

    def _side(self) -> QWidget:
        side = QWidget()
        side.setMinimumWidth(SIDE_WIDTH_MIN)
        side.setMaximumWidth(SIDE_WIDTH_MAX)
        layout = QVBoxLayout(side)
        layout.setContentsMargins(SPACE, 12, MARGIN, MARGIN)
        layout.setSpacing(12)
        self._summary_card.body.addWidget(self.summary)
        self._summary_card.body.addWidget(self.warnings)
        self._reasons_card.body.addWidget(self.reasons)
        self._differences_card.body.addWidget(self.differences)
        self._differences_card.body.addWidget(self.back_button)
        for card in (self._summary_card, self._reasons_card, self._differences_card):
            layout.addWidget(card)
        layout.addStretch()
        buttons = QHBoxLayout()
        buttons.setSpacing(SPACE)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.save_button, 1)
        layout.addLayout(buttons)
        self._differences_card.hide()
        return side

    def _connect(self) -> None:
        presenter = self._presenter
        presenter.begun.connect(self._fill)
        presenter.check_changed.connect(self._show_check)
        for name, row in self.rows.items():
            row.changed.connect(lambda text, name=name: self._typed(name, text))
            if isinstance(row.editor, SecretEdit):
                row.editor.generate_wanted.connect(lambda name=name: self._generate(name))
                row.editor.clear_wanted.connect(lambda name=name: self._clear(name))
        self.save_button.clicked.connect(self._save)
        self.cancel_button.clicked.connect(presenter.cancel)
        self.back_button.clicked.connect(self._back)
        for keys, work in (("Ctrl+S", self._save), ("Esc", self._leave)):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(work)

    # --- What the presenter tells

    def _fill(self, texts: Mapping[str, str]) -> None:
        self._filling = True
        self._touched = set(FIELDS) if self._presenter.editing else set()
        for name, row in self.rows.items():
            row.set_text(texts.get(name, ""))
            row.set_message("", problem=False)
        self._filling = False
        self._show_secrets()
        self._show_units()
        editing = self._presenter.editing
        self.heading.setText(f"Edit {editing}" if editing else "Add a peer")
        self._back()

    def _show_check(self, check: FormCheck) -> None:
        for name, row in self.rows.items():
            problem = check.problems.get(name, "") if name in self._touched else ""
            row.set_message(problem or check.warnings.get(name, ""), problem=bool(problem))
        self._show_summary(check)
        reasons = [f"✖ {reason}" for reason in check.reasons]
        nothing = bool(self._presenter.editing) and not self._presenter.dirty
        if not reasons and nothing:
            reasons = ["Nothing has been changed yet."]
        self.reasons.setText("\n".join(reasons))
        self._reasons_card.setVisible(bool(reasons))
        can_save = not reasons and not check.checking
        self.save_button.setEnabled(can_save)
        if reasons:
            self._back()

    def _show_summary(self, check: FormCheck) -> None:
        text = "\n".join(check.summary)
        if text:
            self.summary.setText(text)
        elif not check.checking:
            self.summary.setText("Fill in the form: what it means is said here.")
        warnings = [f"▲ {text}" for name, text in check.warnings.items() if name not in FIELDS]
        self.warnings.setText("\n".join(warnings))
        self.warnings.setVisible(bool(warnings))

    # --- What the operator does

    def _typed(self, name: str, text: str) -> None:
        if self._filling:
            return
        self._touched.add(name)
        self._presenter.set_text(name, text)
        if name in ("asset_code", "asset_scale", "credit", "link"):
            self._show_units()
        self._back()

    def _generate(self, name: str) -> None:
        self.rows[name].set_text(self._presenter.generate_token(name))

    def _clear(self, name: str) -> None:
        self.rows[name].set_text("")
        self._presenter.clear_secret(name)
        self._show_secrets()

    def _save(self) -> None:
        if not self.save_button.isEnabled():
            self._touched = set(FIELDS)
            self._show_check(self._presenter.check)
            self._focus_problem()
            return
        changes = self._presenter.differences() if self._presenter.editing else ()
        if changes and not self._differences_card.isVisibleTo(self):
            self._show_differences(changes)
            return
        self._presenter.save()

    def _focus_problem(self) -> None:
        for name, row in self.rows.items():
            if name in self._presenter.check.problems:
                row.editor.setFocus()
                self._scroll.ensureWidgetVisible(row)
                return

    def _show_differences(self, changes: Sequence[Difference]) -> None:
        self.differences.setText(
            "\n".join(f"{each.label}: {each.before} → {each.after}" for each in changes)
        )
        self._differences_card.show()
        count = len(changes)
        self.save_button.setText(f"Apply {count} change{'s' if count > 1 else ''}")

    def _back(self) -> None:
        self._differences_card.hide()
        self.save_button.setText("Save…" if self._presenter.editing else "Add peer")

    def _leave(self) -> None:
        if self._differences_card.isVisibleTo(self):
            self._back()
        elif self._presenter.dirty:
            # A form is long, and Esc is hit by accident.
            dialog = ConfirmDialog(
                "Leave the form?",
                ["What you have typed is not saved."],
                "Leave",
                self,
            )
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.confirmed.connect(self._presenter.cancel)
            dialog.open()
        else:
            self._presenter.cancel()

    # --- Within

    def _show_secrets(self) -> None:
        stored = self._presenter.stored_secrets
        for name, row in self.rows.items():
            if isinstance(row.editor, SecretEdit):
                row.editor.set_stored(stored=name in stored)

    def _show_units(self) -> None:
        code, _ = self._presenter.asset
        for row in self.rows.values():
            if isinstance(row.editor, AmountEdit):
                row.editor.set_unit(code)
        credit = self.rows["credit"].text
        amount = self.rows["credit_amount"]
        assert amount.field.kind is Kind.AMOUNT
        amount.setVisible(credit in CREDIT_WITH_AMOUNT)
        unused = LINK_UNUSED.get(self.rows["link"].text, ())
        for name in (*HTTP_FIELDS, *BTP_FIELDS):
            self.rows[name].setVisible(name not in unused)
