"""One source of rates: where it is asked, how its answer is read, and what it says just now."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QWidget,
)

from desktop.models.rates import KIND_CHOICES, SourceForm
from desktop.presenters.rates import RatesPresenter
from desktop.views.inputs import CheckBox, Choice
from desktop.views.widgets import SPACE, Heading, TextLabel, action_button, dialog_column

WIDTH_MIN: Final = 560
_FIELDS: Final = (
    ("name", "Name", "2 to 32 of a–z 0–9 - _"),
    ("url", "URL", "empty is the kind's own public address"),
    ("base", "Counted in", "empty is the kind's own: EUR for ecb, else USD"),
    ("assets", "Assets", "its names and your codes: bitcoin=BTC ethereum=ETH"),
    ("path", "Path", "to the prices in its JSON: data.rates"),
    ("prices", "Prices", "USD=1 EUR=1.0721"),
    ("api_key", "API key", "if it wants one; it is stored encrypted"),
    ("poll_seconds", "Asked every", "seconds; empty is the kind's own"),
    ("max_age_seconds", "Too old after", "seconds; empty is the kind's own"),
)
_OF_KIND: Final = {
    "fixed": ("name", "base", "prices"),
    "json": (
        "name",
        "url",
        "base",
        "assets",
        "path",
        "api_key",
        "poll_seconds",
        "max_age_seconds",
    ),
    "ecb": ("name", "url", "poll_seconds", "max_age_seconds"),
}
_OF_OTHERS: Final = (
    "name",
    "url",
    "base",
    "assets",
    "api_key",
    "poll_seconds",
    "max_age_seconds",
)


@final
class RateSourceDialog(QDialog):
    """Saved only through the presenter, which says what cannot be."""

    def __init__(
        self, presenter: RatesPresenter, form: SourceForm | None, parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self._presenter = presenter
        self._replaces = "" if form is None else form.name
        self.setWindowTitle("Rate source")
        self.setMinimumWidth(WIDTH_MIN)
        self.kind = Choice(KIND_CHOICES)
        self.kind.setAccessibleName("Kind")
        self.lines = {name: QLineEdit() for name, _, _ in _FIELDS}
        self.inverted = CheckBox("Its numbers say how much of the asset one of the base buys")
        self.enabled = CheckBox("Ask it")
        self.answer = TextLabel(wrap=True)
        self.test_button = action_button("Ask it now")
        self.save_button = action_button("Save", primary=True)
        self.cancel_button = action_button("Cancel")
        self._labels: dict[str, TextLabel] = {}
        self._build(f"Change {form.name}" if form is not None else "Add a source of rates")
        self._connect()
        self._fill(form or SourceForm(name="", kind="ecb"))

    def _build(self, title: str) -> None:
        layout = dialog_column(self, Heading(title, steps=2))
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(SPACE)
        grid.addWidget(TextLabel("Kind", role="muted"), 0, 0)
        grid.addWidget(self.kind, 0, 1)
        for row, (name, label, hint) in enumerate(_FIELDS, 1):
            line = self.lines[name]
            line.setPlaceholderText(hint)
            line.setAccessibleName(label)
            line.setAccessibleDescription(hint)
            self._labels[name] = TextLabel(label, role="muted")
            grid.addWidget(self._labels[name], row, 0)
            grid.addWidget(line, row, 1)
        self.lines["api_key"].setEchoMode(QLineEdit.EchoMode.Password)
        layout.addLayout(grid)
        layout.addWidget(self.inverted)
        layout.addWidget(self.enabled)
        layout.addWidget(self.answer)
        buttons = QHBoxLayout()
        buttons.addWidget(self.test_button)
        buttons.addStretch()
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.save_button)
        layout.addSpacing(SPACE)
        layout.addLayout(buttons)
        self.answer.hide()

    def _connect(self) -> None:
        presenter = self._presenter
        self.kind.chosen.connect(self._show_fields)
        self.test_button.clicked.connect(self._test)
        self.save_button.clicked.connect(self._save)
        self.cancel_button.clicked.connect(self.reject)
        presenter.tested.connect(self._show_answer)
        presenter.source_refused.connect(self._show_refusal)
        presenter.source_saved.connect(self.accept)

    @property
    def form(self) -> SourceForm:
        """What stands in it."""
        shown = _OF_KIND.get(self.kind.value, _OF_OTHERS)

        def text(name: str) -> str:
            return self.lines[name].text() if name in shown else ""

        key = self.lines["api_key"].text() if "api_key" in shown else ""
        return SourceForm(
            name=text("name"),
            kind=self.kind.value,
            url=text("url"),
            base=text("base"),
            assets=text("assets"),
            path=text("path"),
            inverted=self.inverted.isChecked() and self.kind.value == "json",
            prices=text("prices"),
            api_key=key or None,
            poll_seconds=text("poll_seconds"),
            max_age_seconds=text("max_age_seconds"),
            enabled=self.enabled.isChecked(),
        )

    def _fill(self, form: SourceForm) -> None:
        self.kind.choose(form.kind)
        for name in ("name", "url", "base", "assets", "path", "prices"):
            self.lines[name].setText(getattr(form, name))
        self.lines["poll_seconds"].setText(form.poll_seconds)
        self.lines["max_age_seconds"].setText(form.max_age_seconds)
        self.inverted.setChecked(form.inverted)
        self.enabled.setChecked(form.enabled)
        self._show_fields()

    def _show_fields(self) -> None:
        shown = _OF_KIND.get(self.kind.value, _OF_OTHERS)
        for name, line in self.lines.items():
            line.setVisible(name in shown)
            self._labels[name].setVisible(name in shown)
        self.inverted.setVisible(self.kind.value == "json")

    def _test(self) -> None:
        self.answer.set_role("muted")
        self.answer.setText("Asking…")
        self.answer.show()
        self._presenter.test_source(self.form)

    def _save(self) -> None:
        self._presenter.save_source(self.form, replaces=self._replaces)

    def _show_answer(self, worked: bool, words: str) -> None:  # noqa: FBT001 # a signal's
        self.answer.set_role("ok" if worked else "bad")
        self.answer.setText(words)
        self.answer.show()

    def _show_refusal(self, why: str) -> None:
        self._show_answer(False, f"✖ {why}")  # a signal's
