"""The operator's routes: look, set, remove; and the default route."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from core.account import AccountDirectory, AccountId, Asset
from core.control.accounts import find_account
from core.control.refresh import Refresh, refresh_now
from core.control.views import RouteView
from core.errors import PacketError, SettingError, UnknownRoute
from core.node_address import NodeAddress
from core.packet import address, is_prefix, scheme
from core.routing.table import Route, RouteStore, RoutingTable

log = logging.getLogger(__name__)

DEFAULT_PREFIX: Final = ""
_ROUTES_AT_ONCE: Final = 2_000
"""So many rows are made before the loop gets a turn: a table may have a hundred thousand."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDesk:
    """What the operator does with routes."""

    directory: AccountDirectory
    table: RoutingTable
    store: RouteStore
    node_address: NodeAddress
    refresh: Refresh

    async def all(self) -> Sequence[RouteView]:
        routes = sorted(self.table, key=lambda route: route.prefix)
        views: list[RouteView] = []
        for start in range(0, len(routes), _ROUTES_AT_ONCE):
            views += (self.view(route) for route in routes[start : start + _ROUTES_AT_ONCE])
            await asyncio.sleep(0)
        return views

    def view(self, route: Route) -> RouteView:
        """Return one line of the table."""
        return RouteView(
            prefix=route.prefix,
            next_hop=name_of(self.directory, route.next_hop),
            source=route.source.value,
            path=route.path,
        )

    async def set(self, prefix: str, username: str) -> None:
        checked = self._new_prefix(prefix)
        account = find_account(self.directory, username)
        await self.store.set_route(checked, account.id)
        log.info("route %s leads to %s", checked, account.username)
        await refresh_now(self.refresh)

    async def replace(self, routes: Mapping[str, str]) -> None:
        checked: dict[str, AccountId] = {}
        for prefix, username in routes.items():
            checked[self._new_prefix(prefix)] = find_account(self.directory, username).id
        await self.store.replace_routes(checked)
        log.info("all static routes were replaced, there are %d now", len(checked))
        await refresh_now(self.refresh)

    async def delete(self, prefix: str) -> None:
        await self.store.delete_route(_checked_prefix(prefix))
        log.info("route %s was removed", prefix)
        await refresh_now(self.refresh)

    async def set_default(self, username: str | None) -> None:
        if username is None:
            with contextlib.suppress(UnknownRoute):  # that there is none is what was asked for
                await self.store.delete_route(DEFAULT_PREFIX)
            log.info("there is no default route now")
        else:
            account = find_account(self.directory, username)
            await self.store.set_route(DEFAULT_PREFIX, account.id)
            log.info("the default route leads to %s", account.username)
        await refresh_now(self.refresh)

    def _new_prefix(self, prefix: str) -> str:
        """Return a prefix that may be added.

        Raises:
            SettingError: as `_checked_prefix`, or no packet could ever go there.
        """
        checked, own = _checked_prefix(prefix), self.node_address.current
        if checked == own:
            raise SettingError(
                "prefix",
                f"{checked!r} is this node's own address, and its accounts have what is under it; "
                "a route is to an address of somebody else",
            )
        ours = scheme(own)
        if scheme(checked) != ours:
            raise SettingError(
                "prefix",
                f"{checked!r} was found; this node is in the network {ours!r} and forwards nothing to another one",
            )
        return checked


def name_of(directory: AccountDirectory, account_id: AccountId) -> str:
    """Return the account's username; of one that was deleted, what is left to call it by."""
    account = directory.by_id(account_id)
    if account is not None:
        return account.username
    former = directory.former(account_id)
    return f"deleted {account_id[:8]}" if former is None else f"{former.username} (deleted)"


def asset_of(directory: AccountDirectory, account_id: AccountId) -> Asset:
    """Return what the account's amounts count; of one that was deleted, what they did."""
    account = directory.by_id(account_id) or directory.former(account_id)
    return Asset("?", 0) if account is None else account.asset


def _checked_prefix(prefix: str) -> str:
    """Return a prefix that may stand in the table as a static route.

    Raises:
        SettingError: it may not, or it names the default route, which is set by itself.
    """
    text = prefix.strip()
    if text == DEFAULT_PREFIX:
        raise SettingError("prefix", "it is empty; the default route is set by itself")
    if not is_prefix(text):
        try:
            address(text)
        except PacketError as error:
            raise SettingError("prefix", error.problem) from None
    if scheme(text) in {"peer", "self"}:
        raise SettingError("prefix", f"{text!r} was found; what is under it is never forwarded")
    return text
