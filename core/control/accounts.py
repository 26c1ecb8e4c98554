"""The operator's accounts: look, check, add, change, remove."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from core.account import Account, AccountDirectory, AccountId, AccountStore, NewTokens
from core.clock import Clock
from core.control.account_check import Draft, Surroundings, derived_address, draft_account
from core.control.account_views import AccountViews
from core.control.details import changed, details_of
from core.control.refresh import Refresh, refresh_now
from core.control.usernames import canonical_username
from core.control.views import AccountCheck, AccountDetails, AccountView
from core.errors import AccountExists, SettingError, SettingErrors, UnknownAccount
from core.ledger.books import Balance, Books
from core.node_address import NodeAddress
from core.settlement.records import SettlementView

log = logging.getLogger(__name__)


def find_account(directory: AccountDirectory, username: str) -> Account:
    """Return the account of this name, in whatever case it is written.

    Raises:
        UnknownAccount: there is none.
    """
    account = directory.by_username(canonical_username(username))
    if account is None:
        raise UnknownAccount(username)
    return account


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDesk:
    """What the operator does with accounts; one change at a time, so that none is lost to another."""

    directory: AccountDirectory
    store: AccountStore
    books: Books
    settlements: SettlementView
    node_address: NodeAddress
    views: AccountViews
    clock: Clock
    refresh: Refresh
    changing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def all(self) -> Sequence[AccountView]:
        accounts = sorted(self.directory.all(), key=lambda account: account.username)
        return await self.views.of(accounts) if accounts else ()

    async def one(self, username: str) -> AccountView:
        return await self.views.one(find_account(self.directory, username))

    async def check(self, details: AccountDetails, existing: str | None) -> AccountCheck:
        account = None if existing is None else find_account(self.directory, existing)
        return (await self._draft(details, account)).check

    async def create(self, details: AccountDetails) -> AccountView:
        async with self.changing:
            account, tokens = _sound(await self._draft(details, None), self.directory)
            await self.store.insert_account(account, tokens)
            log.info("account %s was added, %s", account.username, account.asset)
            return await self._in_force(account)

    async def replace(self, username: str, details: AccountDetails) -> AccountView:
        return await self._change(username, lambda _existing: details)

    async def change(self, username: str, changes: Mapping[str, object]) -> AccountView:
        return await self._change(
            username,
            lambda existing: changed(
                details_of(existing, derived_address=self._derived(existing)), changes
            ),
        )

    async def delete(self, username: str, *, even_with_balance: bool) -> AccountView:
        async with self.changing:
            account = find_account(self.directory, username)
            view = await self.views.one(account)
            await self.store.delete_account(account.id, even_with_balance=even_with_balance)
            log.info("account %s was deleted: %s", account.username, view.summary)
            await refresh_now(self.refresh)
            return view

    async def _change(
        self, username: str, details_for: Callable[[Account], AccountDetails]
    ) -> AccountView:
        async with self.changing:
            existing = find_account(self.directory, username)
            draft = await self._draft(details_for(existing), existing)
            account, tokens = _sound(draft, self.directory)
            await self.store.update_account(account, tokens)
            log.info("account %s was changed", account.username)
            return await self._in_force(account)

    async def _in_force(self, account: Account) -> AccountView:
        await refresh_now(self.refresh)
        return await self.views.one(self.directory.by_id(account.id) or account)

    async def _draft(self, details: AccountDetails, existing: Account | None) -> Draft:
        balance = None
        if existing is not None:
            booked = await self.books.balance(existing.id)
            balance = None if booked == Balance() else booked
        surroundings = Surroundings(
            node_address=self.node_address.current,
            others=tuple(
                account
                for account in self.directory.all()
                if existing is None or account.id != existing.id
            ),
            engine_urls=await self.settlements.load_engine_urls(),
            engines={
                status.name: status.asset_code
                for status in await self.settlements.engine_statuses()
            },
            token_owner=self._token_owner,
            existing=existing,
            balance=balance,
        )
        account_id = AccountId(str(uuid.uuid4())) if existing is None else existing.id
        return draft_account(
            details, surroundings, account_id=account_id, now_ms=self.clock.now_ms()
        )

    def _token_owner(self, token: str) -> str | None:
        owner = self.directory.by_token_hash(self.store.hash_token(token))
        return None if owner is None else owner.username

    def _derived(self, account: Account) -> str:
        try:
            return derived_address(self.node_address.current, account.username)
        except SettingError:
            return ""


def _sound(draft: Draft, directory: AccountDirectory) -> tuple[Account, NewTokens]:
    """Return what is to be stored; the store has the last word on what another account has.

    Raises:
        SettingErrors: every value that cannot be.
        AccountExists: another account has its username or address.
    """
    if draft.faults:
        raise SettingErrors([(fault.field, fault.problem) for fault in draft.faults])
    account = draft.account
    assert account is not None, "a draft without faults has an account"
    for found in draft.taken:
        if found.field == "username":
            raise AccountExists("username", account.username)
        if found.field == "ilp_address":
            owners = (
                other.username
                for other in directory.all()
                if other.ilp_address == account.ilp_address and other.id != account.id
            )
            raise AccountExists("ilp_address", account.ilp_address, owner=next(owners, None))
    return account, draft.tokens
