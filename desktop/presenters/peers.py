"""The peers page: its rows from the node's accounts, and what can be done with one or several."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QObject, Signal

from core.account import Account
from core.clock import Clock
from core.control.operator import Operator
from core.control.views import AccountView
from desktop import formatting
from desktop.models import peer_filter
from desktop.models.auto_peer import AutoPeered, AutoPeerForm
from desktop.models.peers import DeletePlan, PeerDetail, PeerRow, PeersModel, SettlePlan
from desktop.presenters import graphs
from desktop.presenters.auto_peer import AutoPeerPresenter
from desktop.presenters.page import PagePresenter
from desktop.presenters.peer_editor import PeerEditorPresenter
from desktop.presenters.peer_form import undo_details
from desktop.presenters.peer_rows import (
    delete_plan_of,
    detail_of,
    peer_row_of,
    settle_amount_of,
    settle_plan_of,
)
from desktop.presenters.pieces import in_pieces

RANGE_SECONDS: Final = 900
TROUBLED: Final = ("down", "degraded")


class PeersPresenter(PagePresenter):
    """Shows every account as a peer, and carries out what the operator asks of them."""

    detail_changed = Signal(object)
    """The PeerDetail of the selected peer, or None."""
    filter_problem_changed = Signal(str)
    """What in the filter is not understood; empty where all is."""
    pinged = Signal(str, bool, str)
    """Username, whether it answered, and the sentence."""
    balance_changed = Signal(object)
    """The selected peer's balance over time, as GraphData."""
    loaded_changed = Signal(bool)
    """The first rows are here."""

    def __init__(self, operator: Operator, clock: Clock, parent: QObject | None = None) -> None:
        super().__init__(operator, clock, parent)
        self.model = PeersModel(self)
        self.editor = PeerEditorPresenter(operator, self.tasks, self)
        self.editor.saved.connect(self._edited)
        self.auto_peer = AutoPeerPresenter(operator, self.tasks, self)
        self.auto_peer.peered.connect(self._peered)
        self.loaded = False
        self._views: dict[str, AccountView] = {}
        self._selected = ""
        self.range_seconds = RANGE_SECONDS
        self._feed = graphs.HistoryFeed(operator, clock)
        self._graph_at = float("-inf")

    # --- What is shown

    async def update(self) -> None:
        views = await self.operator.accounts()
        now_ms = self.clock.now_ms()
        rows = await in_pieces(views, lambda view: peer_row_of(view, now_ms))
        self._views = {view.account.username: view for view in views}
        self.model.replace(rows)
        self.badge_changed.emit(sum(1 for row in self.model.rows if row.state in TROUBLED))
        if not self.loaded:
            self.loaded = True
            self.loaded_changed.emit(True)
        self._tell_detail()
        now = self.clock.monotonic()
        if now - self._graph_at >= graphs.every_seconds(self.range_seconds):
            await self.draw_balance()

    def select(self, username: str) -> None:
        """Show this peer's details from now on; nobody's where the name is empty."""
        if username != self._selected:
            self._selected = username
            self._tell_detail()
            if username:
                self.tasks.start(self.draw_balance())

    def show_range(self, seconds: int) -> None:
        """Let the balance's graph look so far back."""
        self.range_seconds = seconds
        self.tasks.start(self.draw_balance())

    async def draw_balance(self) -> None:
        """Load the selected peer's history and show it."""
        username = self._selected
        if username not in self._views:
            return
        self._graph_at = self.clock.monotonic()
        history = await self._feed.load(self.range_seconds, username)
        rows = await self.operator.settlements(limit=graphs.MARKS_MAX, username=username)
        view = self._views.get(username)
        if username == self._selected and view is not None:
            self.balance_changed.emit(graphs.balance(history, view, rows))

    @property
    def selected(self) -> str:
        return self._selected

    def filter(self, text: str) -> None:
        """Leave only the rows that pass what was typed."""
        parsed = peer_filter.parse(text)
        self.model.set_filter(parsed.passes if parsed.tests else None)
        self.filter_problem_changed.emit(parsed.problem)

    def _tell_detail(self) -> None:
        view = self._views.get(self._selected)
        detail: PeerDetail | None = None
        if view is not None:
            detail = detail_of(view, self.clock.now_ms())
        self.detail_changed.emit(detail)

    # --- What can be done

    def set_enabled(self, usernames: Sequence[str], *, enabled: bool) -> None:
        """Pause these peers, or let them go on."""

        async def work() -> str:
            for username in usernames:
                await self.operator.set_enabled(username, enabled=enabled)
            return f"{self._names(usernames)} {'resumed' if enabled else 'paused'}"

        self.run(work, name="resuming" if enabled else "pausing")

    def ping(self, usernames: Sequence[str]) -> None:
        """Ask each whether it is there, and how fast it answers."""

        async def work() -> str:
            sentences = []
            for username in usernames:
                result = await self.operator.ping(username)
                at = formatting.clock_time(self.clock.now_ms()).partition(".")[0]
                told = f"{result.sentence.rstrip('.')} (at {at})"
                self.pinged.emit(username, result.answered, told)
                sentences.append(result.sentence)
            return sentences[0] if len(sentences) == 1 else f"{len(sentences)} peers pinged"

        self.run(work, name=f"pinging {self._names(usernames)}")

    def settle_plan(self, username: str) -> SettlePlan | None:
        """Return what settling now would mean, or None where the peer is gone."""
        view = self._views.get(username)
        return None if view is None else settle_plan_of(view)

    def settle_amount(self, plan: SettlePlan, text: str) -> tuple[int | None, str]:
        """Return the amount that was typed and what it would lead to, or None and why it cannot be."""
        return settle_amount_of(plan, text)

    def settle(self, username: str, amount: int) -> None:
        """Pay so much to this peer, through its engine."""

        async def work() -> str:
            view = await self.operator.account(username)
            await self.operator.settle_now(username, amount)
            asset = view.account.asset
            text = formatting.amount(amount, asset.code, asset.scale)
            return f"settling {text} with {view.account.name}"

        self.run(work, name=f"settling with {self._name_of(username)}")

    def delete_plan(self, username: str) -> DeletePlan | None:
        """Return what deleting would mean, or None where the peer is gone."""
        view = self._views.get(username)
        return None if view is None else delete_plan_of(view)

    def delete(self, username: str, *, even_with_balance: bool) -> None:
        """Remove this peer."""
        name = self._name_of(username)

        async def work() -> str:
            await self.operator.delete_account(username, even_with_balance=even_with_balance)
            return f"{name} deleted"

        self.run(work, name=f"deleting {name}")

    def _edited(self, username: str, before: object) -> None:
        """Report that the editor saved, and offer to bring the former account back."""
        name = self._name_of(username)
        if isinstance(before, Account):
            self.undoable.emit(f"{name} saved", lambda: self._restore(username, before))
        else:
            self.undoable.emit(f"{name} added", lambda: self._remove_again(username))
        self.refresh()

    def auto_peer_form(self) -> AutoPeerForm:
        """Return the form to begin with: in the asset that most accounts count."""
        assets = Counter(view.account.asset for view in self._views.values())
        if not assets:
            return AutoPeerForm()
        [(asset, _)] = assets.most_common(1)
        return AutoPeerForm(asset_code=asset.code, asset_scale=str(asset.scale))

    def _peered(self, peered: AutoPeered) -> None:
        self.reported.emit(peered.sentence)
        self.refresh()

    def _names(self, usernames: Sequence[str]) -> str:
        [*others, username] = usernames
        return f"{len(usernames)} peers" if others else self._name_of(username)

    def _name_of(self, username: str) -> str:
        view = self._views.get(username)
        return username if view is None else view.account.name

    def _restore(self, username: str, before: Account) -> None:
        async def work() -> str:
            await self.operator.replace_account(username, undo_details(before))
            return f"{before.name} is as it was; tokens that were changed stay changed"

        self.run(work, name="undoing the change")

    def _remove_again(self, username: str) -> None:
        self.delete(username, even_with_balance=False)

    # --- What can be copied

    def copy_text(self, usernames: Sequence[str]) -> str:
        """Return these rows as a table that a spreadsheet reads, with headings."""
        rows = [row for row in self.model.visible_rows if row.username in set(usernames)]
        columns = [
            c for c in self.model.columns if c.title not in ("Trend", "You owe · they owe")
        ]
        lines = ["\t".join(column.title for column in columns)]
        lines += ["\t".join(_plain(column.text(row)) for column in columns) for row in rows]
        return "\n".join(lines)

    def copy_json(self, usernames: Sequence[str]) -> str:
        """Return these peers as JSON, without any token."""
        return json.dumps(
            [_as_json(self._views[name]) for name in usernames if name in self._views], indent=2
        )

    def address_of(self, username: str) -> str:
        """Return the peer's ILP address."""
        view = self._views.get(username)
        return "" if view is None else str(view.account.ilp_address)

    def row_of(self, username: str) -> PeerRow | None:
        """Return the row of one peer, filtered away or not."""
        view = self._views.get(username)
        return None if view is None else peer_row_of(view, self.clock.now_ms())


def _plain(text: str) -> str:
    return text.replace(formatting.GROUP, "").replace("\u00a0", " ")


def _as_json(view: AccountView) -> dict[str, object]:
    account, balance = view.account, view.balance

    def shown(amount: int) -> str:
        return formatting.shown_number(str(amount))

    return {
        "username": account.username,
        "ilp_address": str(account.ilp_address),
        "asset_code": account.asset.code,
        "asset_scale": account.asset.scale,
        "balance": shown(balance.net),
        "min_balance": None if account.min_balance is None else shown(account.min_balance),
        "pending_in": shown(balance.pending_in),
        "pending_out": shown(balance.pending_out),
        "state": view.state.value,
        "state_reason": view.state_reason,
        "summary": view.summary,
        "ilp_over_http_url": account.ilp_over_http_url,
        "routing_relation": account.routing_relation.value,
    }
