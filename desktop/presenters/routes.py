"""The routes page: the table, what may be changed in it, and where a packet would go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal

from core.clock import Clock
from core.control.operator import Operator
from core.control.route_views import RouteChangeView, RoutePeerView, RouteWhy
from core.control.views import NodeStatus, RouteAnswer, RouteView
from core.errors import InterledgerError, SettingError
from core.service import Step, Verdict
from desktop import formatting
from desktop.models.route_exchange import (
    CHANGES_MAX,
    ChangeRow,
    ChangesModel,
    ExchangeModel,
    ExchangeRow,
    RouteTree,
    Way,
    Why,
)
from desktop.models.routes import Answer, AnswerStep, RouteRow, RoutesModel, Sender
from desktop.presenters.names import Names
from desktop.presenters.page import PagePresenter
from desktop.presenters.peer_editor import readable
from desktop.presenters.pieces import PIECE, in_pieces
from desktop.presenters.ping import PingPresenter
from desktop.tasks import sentence


class RoutesPresenter(PagePresenter):
    """Shows the routing table, and loads it anew only when something was changed."""

    answered = Signal(object)
    """The Answer to a look-up."""
    senders_changed = Signal(object)
    """The accounts there are, as Senders: whom a packet may come from, and where it may go."""
    default_changed = Signal(str)
    """Who gets what no prefix covers; empty for nobody."""
    loaded_changed = Signal(bool)
    why_changed = Signal(object)
    """Why a route is as it is: a Why."""
    tree_changed = Signal(object)
    """The routes by their segments: a RouteTree."""

    def __init__(
        self,
        operator: Operator,
        clock: Clock,
        names: Names | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(operator, clock, parent)
        self.names = names or Names()
        self.model = RoutesModel(self)
        self.exchange = ExchangeModel(self)
        self.pings = PingPresenter(operator, self.tasks, self.names, self)
        self.changes = ChangesModel(self)
        self.tree = RouteTree()
        self._routes_known = -1
        self._last_change = 0
        self.loaded = False
        self.senders: Sequence[Sender] = ()
        self._change: int | None = None
        self._routes: Sequence[RouteView] | None = None

    async def update(self) -> None:
        status = await self.operator.status()
        if status.last_change != self._change or status.routes != self._routes_known:
            await self._update_routes(status)
        # Behind the accounts, by whose names a change is told for good.
        await self._update_exchange()

    async def _update_routes(self, status: NodeStatus) -> None:
        change = status.last_change
        self._routes_known = status.routes
        accounts = await self.operator.accounts()
        routes = await self.operator.routes()
        self._change = change
        self.names.learn(accounts)
        senders = tuple(
            Sender(
                username=view.account.username,
                name=view.account.name,
                asset_code=view.account.asset.code,
                asset_scale=view.account.asset.scale,
            )
            for view in accounts
        )
        if senders != self.senders:
            self.senders = senders
            self.senders_changed.emit(senders)
        if routes != self._routes:
            self._routes = routes
            rows = await in_pieces(routes, lambda route: _row(route, self.names))
            self.model.replace(rows)
            tree = RouteTree()
            for start in range(0, len(rows), PIECE):
                tree.add(rows[start : start + PIECE])
                await asyncio.sleep(0)
            self.tree = tree
            self.tree_changed.emit(tree)
        default = next((route.next_hop for route in routes if route.source == "default"), "")
        self.default_changed.emit(default)
        if not self.loaded:
            self.loaded = True
            self.loaded_changed.emit(True)

    async def _update_exchange(self) -> None:
        now_ms = self.clock.now_ms()
        peers = await self.operator.route_peers()
        self.exchange.replace(
            await in_pieces(peers, lambda view: exchange_row(view, self.names, now_ms))
        )
        views = await self.operator.route_changes(
            after_sequence=self._last_change, limit=CHANGES_MAX
        )
        if views:
            self._last_change = views[-1].sequence
            rows = await in_pieces(views, lambda view: change_row(view, self.names))
            self.changes.append(rows, rows_max=CHANGES_MAX)
        self.badge_changed.emit(sum(1 for row in self.exchange.rows if row.problem))

    def refresh(self) -> None:
        self._change = None
        super().refresh()

    def filter(self, text: str) -> None:
        """Leave only the routes whose prefix or next hop has the text in it."""
        wanted = text.lower()
        self.model.set_filter(
            (
                lambda row: (
                    wanted in row.prefix_text.lower()
                    or wanted in row.next_hop
                    or wanted in row.name.lower()
                )
            )
            if wanted
            else None
        )

    # --- Where a packet would go

    def look_up(self, destination: str, amount_text: str, from_username: str) -> None:
        """Ask where a packet would go; the answer comes as `answered`."""
        self.tasks.start(self.answer(destination, amount_text, from_username))

    async def answer(self, destination: str, amount_text: str, from_username: str) -> None:
        """Ask, and return when the answer was given."""
        sender = next((s for s in self.senders if s.username == from_username), None)
        try:
            amount = _amount(amount_text, sender)
            found = await self.operator.explain(
                destination, amount=amount, from_username=from_username or None
            )
        except formatting.AmountProblem as problem:
            self.answered.emit(Answer(forwarded=False, sentence=str(problem)))
        except SettingError as fault:
            self.answered.emit(Answer(forwarded=False, sentence=readable(fault.problem)))
        except InterledgerError as error:
            self.answered.emit(Answer(forwarded=False, sentence=sentence(error)))
        else:
            why = await self._why(destination)
            self.answered.emit(answer_of(found, self.names, why, sender=from_username))

    def explain_route(self, prefix: str) -> None:
        """Find out why packets under this prefix go where they go; comes as `why_changed`."""

        async def work() -> None:
            why = await self._why(prefix)
            if why is not None:
                self.why_changed.emit(why)

        if prefix:
            self.tasks.start(work())

    async def _why(self, destination: str) -> Why | None:
        try:
            found = await self.operator.why_route(destination)
        except SettingError:
            return None
        return why_of(found, self.names)

    def ask_for_routes(self, usernames: Sequence[str]) -> None:
        """Ask these peers for all of their routes, as if for the first time."""

        async def work() -> str:
            for username in usernames:
                await self.operator.ask_for_routes(username)
            who = (
                self.names.of(usernames[0])
                if len(usernames) == 1
                else f"{len(usernames)} peers"
            )
            return f"{who} asked for all routes"

        if usernames:
            self.run(work, name="asking for routes")

    # --- What may be changed

    def set_route(self, prefix: str, username: str) -> None:
        """Send what begins with this prefix to this peer."""

        async def work() -> str:
            await self.operator.set_route(prefix, username)
            return f"{prefix} goes to {self.names.of(username)}"

        self.run(work, name="adding a route")

    def set_default(self, username: str) -> None:
        """Send what no prefix covers to this peer; to nobody where the name is empty."""

        async def work() -> str:
            await self.operator.set_default_route(username or None)
            if not username:
                return "no default route"
            return f"everything else goes to {self.names.of(username)}"

        self.run(work, name="setting the default route")

    def remove(self, rows: Sequence[RouteRow]) -> None:
        """Remove routes that the operator set, and offer to bring them back."""
        removable = [row for row in rows if row.removable]

        async def work() -> str:
            for row in removable:
                if row.source == "default":
                    await self.operator.set_default_route(None)
                else:
                    await self.operator.delete_route(row.prefix)
            words = _words(removable)
            self.undoable.emit(f"{words} removed", lambda: self._bring_back(removable))
            return f"{words} removed"

        if removable:
            self.run(work, name="removing routes")

    def _bring_back(self, rows: Sequence[RouteRow]) -> None:
        async def work() -> str:
            for row in rows:
                if row.source == "default":
                    await self.operator.set_default_route(row.next_hop)
                else:
                    await self.operator.set_route(row.prefix, row.next_hop)
            return f"{_words(rows)} back"

        self.run(work, name="bringing routes back")


def _row(route: RouteView, names: Names) -> RouteRow:
    return RouteRow(
        route.prefix, route.next_hop, route.source, names.of(route.next_hop), tuple(route.path)
    )


def exchange_row(view: RoutePeerView, names: Names, now_ms: int) -> ExchangeRow:
    """Return route exchange with one peer as a row of its table."""
    return ExchangeRow(
        username=view.username,
        name=names.of(view.username),
        relation=view.relation,
        state=view.state.value,
        sentence=view.sentence,
        problem=view.problem,
        their_epoch=view.their_epoch,
        their_current_epoch=view.their_current_epoch,
        our_epoch=view.our_epoch,
        our_current_epoch=view.our_current_epoch,
        their_table_id=view.their_table_id,
        our_table_id=view.our_table_id,
        learned=view.learned,
        used=view.used,
        refused=view.refused,
        damped=view.damped,
        advertised=view.advertised,
        routes_max=view.routes_max,
        told=view.send_routes,
        taken=view.receive_routes,
        wants_routes=view.wants_routes,
        last_update=formatting.ago(now_ms, view.last_update_at_ms),
        last_update_at_ms=view.last_update_at_ms,
        expires_at_ms=view.expires_at_ms,
        last_sent_at_ms=view.last_sent_at_ms,
    )


def change_row(view: RouteChangeView, names: Names) -> ChangeRow:
    """Return a change as a row of its table."""
    return ChangeRow(
        sequence=view.sequence,
        at_ms=view.at_ms,
        prefix=view.prefix,
        before="" if view.before is None else names.of(view.before),
        after="" if view.after is None else names.of(view.after),
        path=tuple(view.path),
        reason=view.reason,
    )


def why_of(found: RouteWhy, names: Names) -> Why:
    """Return the node's reasons as they are shown."""
    return Why(
        destination=found.destination,
        sentence=found.sentence,
        ways=tuple(
            Way(
                chosen=each.chosen,
                name=names.of(each.next_hop),
                source=each.source,
                path=tuple(each.path),
                reason=each.reason,
            )
            for each in found.candidates
        ),
    )


def answer_of(
    found: RouteAnswer, names: Names, why: Why | None = None, *, sender: str = ""
) -> Answer:
    """Return the node's answer as it is shown."""

    def named(text: str) -> str:
        return names.in_words(text, sender, found.next_hop or "")

    return Answer(
        forwarded=found.forwarded,
        sentence=found.sentence,
        facts=tuple(_facts(found, names)),
        ways=() if why is None else tuple(way.words for way in why.ways),
        alternatives=tuple(
            f"{route.prefix or 'the default route'} → {names.of(route.next_hop)}: "
            f"shorter than {found.prefix}"
            for route in found.alternatives
        ),
        steps=tuple(_step(step, named, last=step is found.steps[-1]) for step in found.steps),
    )


def _facts(found: RouteAnswer, names: Names) -> list[tuple[str, str]]:
    facts = []
    if found.prefix is not None:
        facts.append(("Prefix", found.prefix or "the default route"))
    if found.next_hop is not None:
        facts.append(("Next hop", names.of(found.next_hop)))
    if found.incoming_asset is not None:
        asset = found.incoming_asset
        facts.append(
            ("Comes in", formatting.amount(found.incoming_amount, asset.code, asset.scale))
        )
    if found.outgoing_amount is not None and found.outgoing_asset is not None:
        asset = found.outgoing_asset
        facts.append(
            ("Goes out", formatting.amount(found.outgoing_amount, asset.code, asset.scale))
        )
    if found.expires_in_ms is not None:
        facts.append(("Time for the next hop", formatting.duration(found.expires_in_ms / 1000)))
    return facts


def _step(step: Step, named: Callable[[str], str], *, last: bool) -> AnswerStep:
    text = named(step.sentence)
    if step.reject is not None and not text.startswith(code := step.reject.code.decode()):
        text = f"{code} — {text}"
    return AnswerStep(
        passes=step.verdict is not Verdict.REJECTS,
        decides=last,
        service=step.service,
        sentence=text,
    )


def _amount(text: str, sender: Sender | None) -> int:
    code, scale = ("", 0) if sender is None else (sender.asset_code, sender.asset_scale)
    if not text.strip():
        return 10**scale if scale < 20 else 1
    return formatting.parse_amount(text, code, scale)


def _words(rows: Sequence[RouteRow]) -> str:
    return f"the route {rows[0].prefix_text}" if len(rows) == 1 else f"{len(rows)} routes"
