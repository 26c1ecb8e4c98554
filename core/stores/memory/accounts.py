"""Accounts in memory."""

from __future__ import annotations

import hmac
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

from core.account import (
    Account,
    AccountId,
    AccountStore,
    FormerAccount,
    NewTokens,
    Secret,
)
from core.errors import AccountExists, UnknownAccount
from core.ledger.books import Books
from core.settlement.records import SettlementView
from core.stores.account_rules import (
    OPEN_SETTLEMENTS,
    WRITTEN_OFF,
    asset_is_fixed,
    chosen_token,
    refuse_deletion_in_use,
)
from core.stores.memory.state import MemoryState


@final
class MemoryAccounts(AccountStore):
    """Accounts, and the keyed hashes of their incoming tokens."""

    def __init__(self, state: MemoryState, books: Books, settlements: SettlementView) -> None:
        self._state = state
        self._books = books
        self._settlements = settlements
        self._key = secrets.token_bytes(32)
        self._http_hashes: dict[AccountId, bytes] = {}
        self._btp_hashes: dict[AccountId, bytes] = {}

    async def load_accounts(self) -> Sequence[Account]:
        return sorted(self._state.accounts.values(), key=lambda account: account.username)

    async def load_former_accounts(self, *, limit: int) -> Sequence[FormerAccount]:
        latest = [*reversed(self._state.deleted.values())][:limit]
        return [FormerAccount(one.id, one.username, one.asset) for one in latest]

    async def insert_account(self, account: Account, tokens: NewTokens) -> None:
        if account.id in self._state.accounts or account.id in self._state.deleted:
            raise AccountExists("id", account.id)
        self._put(account, tokens, stored=None)

    async def update_account(self, account: Account, tokens: NewTokens) -> None:
        stored = self._state.accounts.get(account.id)
        if stored is None:
            raise UnknownAccount(account.id)
        if account.asset != stored.asset and account.id in await self._books.balances():
            raise asset_is_fixed(stored.username, stored.asset)
        self._put(account, tokens, stored=stored)

    async def delete_account(self, account_id: AccountId, *, even_with_balance: bool) -> None:
        state = self._state
        account = state.accounts.get(account_id)
        if account is None:
            raise UnknownAccount(account_id)
        balance = await self._books.balance(account_id)
        settlements = await self._settlements.settlements(account=account_id, limit=sys.maxsize)
        refuse_deletion_in_use(
            account.username,
            account.asset,
            balance,
            settlement_open=any(each.state in OPEN_SETTLEMENTS for each in settlements),
            even_with_balance=even_with_balance,
        )
        if balance.net:
            await self._books.correct(account_id, -balance.net, WRITTEN_OFF)

        state.deleted[account_id] = state.accounts.pop(account_id)
        self._http_hashes.pop(account_id, None)
        self._btp_hashes.pop(account_id, None)
        state.changed("accounts")
        for prefix in [p for p, next_hop in state.routes.items() if next_hop == account_id]:
            del state.routes[prefix]
            state.changed("routes")

    async def load_token_hashes(self) -> Mapping[bytes, AccountId]:
        return {digest: account_id for account_id, digest in self._http_hashes.items()}

    async def load_btp_token_hashes(self) -> Mapping[bytes, AccountId]:
        return {digest: account_id for account_id, digest in self._btp_hashes.items()}

    def hash_token(self, token: str) -> bytes:
        return hmac.digest(self._key, token.encode(), "sha256")

    def _put(self, account: Account, tokens: NewTokens, *, stored: Account | None) -> None:
        http_hashes = self._with_token(
            self._http_hashes, account.id, "ilp_over_http", tokens.ilp_over_http_incoming
        )
        btp_hashes = self._with_token(
            self._btp_hashes, account.id, "ilp_over_btp", tokens.ilp_over_btp_incoming
        )
        for other in self._state.accounts.values():
            if other.id == account.id:
                continue
            if other.username == account.username:
                raise AccountExists("username", account.username)
            if other.ilp_address == account.ilp_address:
                raise AccountExists("ilp_address", account.ilp_address)

        self._http_hashes, self._btp_hashes = http_hashes, btp_hashes
        self._state.accounts[account.id] = replace(
            account,
            ilp_over_http_outgoing_token=chosen_token(
                tokens.ilp_over_http_outgoing,
                stored.ilp_over_http_outgoing_token if stored else None,
            ),
            ilp_over_btp_outgoing_token=chosen_token(
                tokens.ilp_over_btp_outgoing,
                stored.ilp_over_btp_outgoing_token if stored else None,
            ),
            has_ilp_over_http_incoming_token=account.id in http_hashes,
            has_ilp_over_btp_incoming_token=account.id in btp_hashes,
        )
        self._state.changed("accounts")

    def _with_token(
        self, hashes: dict[AccountId, bytes], owner: AccountId, link: str, token: Secret | None
    ) -> dict[AccountId, bytes]:
        """Return the hashes as they would be, or refuse a token that is somebody else's."""
        if token is None:
            return hashes
        others = {key: digest for key, digest in hashes.items() if key != owner}
        if not token.reveal():
            return others
        digest = self.hash_token(token.reveal())
        if digest in others.values():
            raise AccountExists(f"{link}_incoming_token", None)
        return others | {owner: digest}
