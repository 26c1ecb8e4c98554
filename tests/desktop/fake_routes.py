"""Route exchange of the fake node: one peer in every state, routes with several ways, and changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.control.route_operator import RouteExchangeOperator
from core.control.route_views import (
    RouteCandidateView,
    RouteChangeView,
    RouteExchangeState,
    RoutePeerView,
    RouteWhy,
)
from core.control.views import AccountView
from core.errors import Conflict, SettingError, UnknownAccount

SENTENCES = {
    RouteExchangeState.OFF: "No routes are exchanged with it: it is a child.",
    RouteExchangeState.ASKING: "It was asked for its routes and has told none yet.",
    RouteExchangeState.IN_STEP: "Both sides know what they should of each other.",
    RouteExchangeState.CATCHING_UP: "Updates are under way.",
    RouteExchangeState.SILENT: "It has told nothing for 45 s: its routes are withdrawn.",
    RouteExchangeState.STATIC: "It does not exchange routes, as Rafiki: its address leads to it.",
    RouteExchangeState.FAILING: "It cannot be asked.",
    RouteExchangeState.PAUSED: "It is paused.",
}


class FakeRoutes(RouteExchangeOperator):
    """What FakeOperator knows of route exchange."""

    views: dict[str, AccountView]

    def begin_routes(self, now_ms: int) -> None:
        """Start without any learned route."""
        self._routes_now_ms = now_ms
        self.change_views: list[RouteChangeView] = []

    def add_changes(self, count: int) -> None:
        """Have so many routes come, go and move."""
        names = sorted(self.views)
        for _ in range(count):
            number = len(self.change_views) + 1
            before = None if number % 3 == 1 else names[number % len(names)]
            after = None if number % 3 == 0 else names[(number + 1) % len(names)]
            self.change_views.append(
                RouteChangeView(
                    sequence=number,
                    at_ms=self._routes_now_ms - (count - number) * 1_000,
                    prefix=f"test.net{number % 17}.bank{number % 5}",
                    before=before,
                    after=after,
                    path=() if after is None else (f"test.{after}", "test.far"),
                    reason="it was told by this peer"
                    if before is None
                    else "it was withdrawn"
                    if after is None
                    else "a shorter way was told",
                )
            )

    # --- RouteExchangeOperator

    async def route_peers(self) -> Sequence[RoutePeerView]:
        self._called("route_peers")
        return [self._peer(name, i) for i, name in enumerate(sorted(self.views))]

    async def route_peer(self, username: str) -> RoutePeerView:
        if username not in self.views:
            raise UnknownAccount(username)
        return self._peer(username, sorted(self.views).index(username))

    async def why_route(self, destination: str) -> RouteWhy:
        self._called("why_route", destination)
        if not destination.startswith("test."):
            raise SettingError("destination", f"{destination!r} is no address")
        views: Mapping[str, AccountView] = self.views
        first, second, *_ = sorted(views)
        prefix = ".".join(destination.split(".")[:2])
        return RouteWhy(
            destination=destination,
            prefix=prefix,
            sentence=f"{destination} is covered by {prefix}, which leads to {first}.",
            candidates=[
                RouteCandidateView(
                    prefix=prefix,
                    next_hop=first,
                    source="learned",
                    relation="Peer",
                    path=(f"test.{first}",),
                    weight=0,
                    chosen=True,
                    reason="Its way is the shortest: 1 node.",
                    heard_at_ms=self._routes_now_ms - 12_000,
                ),
                RouteCandidateView(
                    prefix=prefix,
                    next_hop=second,
                    source="learned",
                    relation="Peer",
                    path=(f"test.{second}", "test.far", prefix),
                    weight=0,
                    chosen=False,
                    reason=f"{first} has a shorter way: 1 node, not 3.",
                    heard_at_ms=self._routes_now_ms - 40_000,
                ),
            ],
        )

    async def route_changes(
        self, *, after_sequence: int = 0, limit: int = 500
    ) -> Sequence[RouteChangeView]:
        self._called("route_changes", after_sequence)
        return [view for view in self.change_views if view.sequence > after_sequence][-limit:]

    async def ask_for_routes(self, username: str) -> RoutePeerView:
        self._called("ask_for_routes", username)
        view = await self.route_peer(username)
        if view.state is RouteExchangeState.OFF:
            raise Conflict(f"{username} is not asked for routes: it is a child")
        return view

    # --- Within

    def _called(self, name: str, *arguments: object) -> None:
        raise NotImplementedError

    def _peer(self, username: str, number: int) -> RoutePeerView:
        state = list(RouteExchangeState)[(number + 2) % len(RouteExchangeState)]
        exchanges = state not in (
            RouteExchangeState.OFF,
            RouteExchangeState.STATIC,
            RouteExchangeState.PAUSED,
        )
        problem = (
            "Its answer was F02: it does not take control messages."
            if state is RouteExchangeState.FAILING
            else ""
        )
        return RoutePeerView(
            username=username,
            relation="Peer",
            state=state,
            sentence=SENTENCES[state],
            problem=problem,
            send_routes=exchanges,
            receive_routes=exchanges,
            wants_routes=exchanges,
            their_table_id="bfd1c8a2-1b6e-4a64-9d0a-7f6f2a9f0001" if exchanges else "",
            their_epoch=40 if exchanges else 0,
            their_current_epoch=42 if state is RouteExchangeState.CATCHING_UP else 40,
            our_table_id="0b6f3a52-55b5-4d4e-8a33-0c5b6f3f0002",
            our_epoch=17 if exchanges else 0,
            our_current_epoch=17,
            last_update_at_ms=self._routes_now_ms - 9_000 if exchanges else None,
            expires_at_ms=self._routes_now_ms + 36_000 if exchanges else None,
            last_sent_at_ms=self._routes_now_ms - 4_000 if exchanges else None,
            learned=120 if exchanges else 0,
            used=80 if exchanges else 0,
            refused=3 if number % 4 == 0 else 0,
            damped=1 if number % 5 == 0 else 0,
            advertised=60 if exchanges else 0,
            routes_max=10_000,
        )
