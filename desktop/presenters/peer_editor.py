"""The peer editor: what is typed is checked by the node as it is typed, and saved when it may be."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from core.account import SCALE_MAX, Account
from core.control.operator import Operator
from core.control.views import AccountDetails
from core.errors import AccountExists, SettingError, StoreUnavailable
from desktop import formatting
from desktop.models.peer_editor import FIELDS, NEW_PEER, Difference, FormCheck
from desktop.presenters import peer_form
from desktop.tasks import TaskScope, sentence

CHECK_AFTER_MS: Final = 250
TOKEN_OCTETS: Final = 32


class PeerEditorPresenter(QObject):
    """Holds the form's texts while a peer is added or changed; only one at a time."""

    begun = Signal(object)
    """The form is to show these texts, by field."""
    check_changed = Signal(object)
    """What is wrong with the form and what it means: a FormCheck."""
    saved = Signal(str, object)
    """The username, and the Account as it was before; None for a new one."""
    tokens_made = Signal(str, object)
    """Tokens that were made up here are saved, and cannot be shown again: who needs them, and each with its label."""
    ended = Signal()
    """The editor is to be closed."""

    def __init__(
        self, operator: Operator, tasks: TaskScope, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._operator = operator
        self._tasks = tasks
        self._texts: dict[str, str] = {}
        self._before: dict[str, str] = {}
        self._account: Account | None = None
        self._stored: frozenset[str] = frozenset()
        self._cleared: frozenset[str] = frozenset()
        self._made: dict[str, str] = {}
        self._check = FormCheck()
        self._revision = 0
        self._saving = False
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(CHECK_AFTER_MS)
        self._wait.timeout.connect(self._start_check)

    # --- What the view reads

    @property
    def editing(self) -> str:
        """Whose account is changed; empty while a new one is made."""
        return "" if self._account is None else self._account.username

    @property
    def check(self) -> FormCheck:
        return self._check

    @property
    def stored_secrets(self) -> frozenset[str]:
        """The tokens that the account has already, and that are not shown."""
        return self._stored - self._cleared

    @property
    def asset(self) -> tuple[str, int | None]:
        """The asset as it is typed; its scale is None where it is none that can be."""
        scale = formatting.whole_number(self._texts.get("asset_scale", "").strip())
        return (
            self._texts.get("asset_code", "").strip().upper(),
            None if scale is None or scale > SCALE_MAX else scale,
        )

    @property
    def dirty(self) -> bool:
        """Whether anything was changed."""
        return self._texts != self._before or bool(self._cleared)

    def differences(self) -> Sequence[Difference]:
        """Return what saving would change."""
        return peer_form.differences(
            self._before, self._texts, stored=self._stored, cleared=self._cleared
        )

    # --- What the view does

    def begin_new(self) -> None:
        """Start with an empty form."""
        self._begin(None, dict(NEW_PEER))

    def begin_edit(self, username: str) -> None:
        """Load an account into the form."""
        self._tasks.start(self.load(username), name=f"loading {username}")

    async def load(self, username: str) -> None:
        """Load an account into the form, and return when it is there."""
        account = (await self._operator.account(username)).account
        self._begin(account, peer_form.texts_of(account))

    def set_text(self, name: str, text: str) -> None:
        """Take what was typed into a field; it is checked a moment after the last key."""
        if self._texts.get(name, "") == text:
            return
        self._texts[name] = text
        if text:
            self._cleared -= {name}
        self._changed()

    def generate_token(self, name: str) -> str:
        """Return a new random token for this field, and take it as typed."""
        token = secrets.token_urlsafe(TOKEN_OCTETS)
        self._made[name] = token
        self.set_text(name, token)
        return token

    def clear_secret(self, name: str) -> None:
        """Remove a token that is stored when the form is saved."""
        self._texts.pop(name, None)
        self._cleared |= {name}
        self._changed()

    def cancel(self) -> None:
        """Close the form; nothing is changed."""
        self._end()

    def save(self) -> None:
        """Save, unless it cannot be; the form closes when it is done."""
        self._tasks.start(self.save_now(), name="saving the peer")

    # --- What the node does

    async def save_now(self) -> None:
        """Check a last time and save; a fault that the node finds is shown under its field."""
        if self._saving:
            return
        self._saving = True
        try:
            await self._save()
        finally:
            self._saving = False

    async def check_now(self) -> None:
        """Ask the node what the form means and what is wrong with it."""
        self._wait.stop()
        self._revision += 1
        revision = self._revision
        details, unreadable = self._details()
        try:
            found = await self._operator.check_account(details, existing=self.editing or None)
        except StoreUnavailable as error:
            self._tell(FormCheck(problems={"": sentence(error)}))
            return
        if revision != self._revision:
            return
        problems = dict(unreadable)
        for problem in found.problems:
            field = peer_form.form_field_of(problem.field, self._texts)
            problems.setdefault(field, readable(problem.problem))
        warnings = {
            peer_form.form_field_of(w.field, self._texts): readable(w.problem)
            for w in found.warnings
        }
        self._tell(
            FormCheck(
                problems=problems,
                warnings={f: text for f, text in warnings.items() if f not in problems},
                summary=() if unreadable else tuple(found.summary),
            )
        )

    async def _save(self) -> None:
        await self.check_now()
        if self._check.problems:
            return
        details, _ = self._details()
        before = self._account
        try:
            if before is None:
                view = await self._operator.create_account(details)
            else:
                view = await self._operator.replace_account(before.username, details)
        except SettingError as fault:
            field = peer_form.form_field_of(fault.field, self._texts)
            self._tell(FormCheck(problems={field: readable(fault.problem)}))
            return
        except AccountExists as fault:
            self._tell(FormCheck(problems={_field_taken(fault.field): sentence(fault)}))
            return
        made = [
            (FIELDS[name].label, token)
            for name, token in self._made.items()
            if self._texts.get(name) == token
        ]
        self.saved.emit(view.account.username, before)
        self._end()
        if made:
            self.tokens_made.emit(view.account.name, made)

    def _details(self) -> tuple[AccountDetails, dict[str, str]]:
        return peer_form.details_of(self._texts, cleared=self._cleared)

    def _begin(self, account: Account | None, texts: Mapping[str, str]) -> None:
        self._account = account
        self._texts = dict(texts)
        self._before = dict(texts) if account is not None else {}
        self._stored = frozenset() if account is None else peer_form.stored_secrets(account)
        self._cleared = frozenset()
        self._made = {}
        self.begun.emit(dict(texts))
        self._changed()

    def _changed(self) -> None:
        self._revision += 1
        self._tell(
            FormCheck(
                problems=self._check.problems if self.dirty else {},
                warnings=self._check.warnings,
                summary=self._check.summary,
                checking=True,
            )
        )
        self._wait.start()

    def _start_check(self) -> None:
        self._tasks.start(self.check_now())

    def _tell(self, check: FormCheck) -> None:
        self._check = check
        self.check_changed.emit(check)

    def _end(self) -> None:
        self._wait.stop()
        self._revision += 1
        self._check = FormCheck()
        self.ended.emit()


def readable(problem: str) -> str:
    """Return a problem as a sentence of its own: the node's follow the name of their field."""
    first = problem.partition(" ")[0]
    if first in ("is", "has", "starts", "needs", "was", "cannot", "must"):
        problem = f"It {problem}"
    text = problem[:1].upper() + problem[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _field_taken(field: str) -> str:
    """Return the form's field for what the store calls taken."""
    names = {
        "username": "username",
        "ilp_address": "ilp_address",
        "address": "ilp_address",
        "ILP address": "ilp_address",
    }
    return names.get(field, "ilp_over_http_incoming_token" if "token" in field else "username")
