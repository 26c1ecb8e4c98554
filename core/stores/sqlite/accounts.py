"""Accounts in SQLite: one row each, tokens hashed or sealed, uniqueness held by the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Final, final

from core.account import (
    Account,
    AccountId,
    AccountStore,
    Asset,
    FormerAccount,
    NewTokens,
    RoutingRelation,
    Secret,
)
from core.clock import Clock
from core.errors import AccountExists
from core.packet import Address
from core.settlement.records import SettlementState
from core.stores.account_rules import (
    OPEN_SETTLEMENTS,
    WRITTEN_OFF,
    asset_is_fixed,
    refuse_deletion_in_use,
)
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.journal import balance_of, post_correction
from core.stores.sqlite.secrets import Vault
from core.stores.sqlite.tables import account_number, count_change, table

_FORMER: Final = """
    SELECT id, coalesce(former_username, id), asset_code, asset_scale FROM account
    WHERE deleted_at_ms IS NOT NULL ORDER BY deleted_at_ms DESC, number DESC LIMIT ?
"""
_LOAD: Final = "SELECT * FROM account WHERE deleted_at_ms IS NULL ORDER BY username"

_FIELD_OF_INDEX: Final = {
    "account.id": "id",
    "account.username": "username",
    "account.ilp_address": "ilp_address",
    "account.ilp_over_http_incoming_hash": "ilp_over_http_incoming_token",
    "account.ilp_over_btp_incoming_hash": "ilp_over_btp_incoming_token",
}


@final
class SqliteAccounts(AccountStore):
    """The table `account`; see its migration for what a column holds."""

    def __init__(self, file: SqliteFile, clock: Clock, vault: Vault) -> None:
        self._file = file
        self._clock = clock
        self._vault = vault

    async def load_accounts(self) -> Sequence[Account]:
        return await self._file.read(partial(_load, vault=self._vault))

    async def load_former_accounts(self, *, limit: int) -> Sequence[FormerAccount]:
        return await self._file.read(partial(_load_former, limit=limit))

    async def insert_account(self, account: Account, tokens: NewTokens) -> None:
        row = _row(account) | self._token_columns(account.id, tokens)
        await self._file.write(partial(_insert, row=row))

    async def update_account(self, account: Account, tokens: NewTokens) -> None:
        row = _row(account) | self._token_columns(account.id, tokens)
        await self._file.write(partial(_update, account=account, row=row))

    async def delete_account(self, account_id: AccountId, *, even_with_balance: bool) -> None:
        await self._file.write(
            partial(
                _delete,
                account_id=account_id,
                even_with_balance=even_with_balance,
                now_ms=self._clock.now_ms(),
            )
        )

    async def load_token_hashes(self) -> Mapping[bytes, AccountId]:
        return await self._file.read(
            partial(_load_hashes, column="ilp_over_http_incoming_hash")
        )

    async def load_btp_token_hashes(self) -> Mapping[bytes, AccountId]:
        return await self._file.read(partial(_load_hashes, column="ilp_over_btp_incoming_hash"))

    def hash_token(self, token: str) -> bytes:
        return self._vault.hash_token(token)

    def _token_columns(self, account_id: AccountId, tokens: NewTokens) -> dict[str, object]:
        """Return the columns that change: an empty token clears its column, None leaves it out."""
        columns: dict[str, object] = {}
        for link, incoming, outgoing in (
            ("ilp_over_http", tokens.ilp_over_http_incoming, tokens.ilp_over_http_outgoing),
            ("ilp_over_btp", tokens.ilp_over_btp_incoming, tokens.ilp_over_btp_outgoing),
        ):
            if incoming is not None:
                token = incoming.reveal()
                columns[f"{link}_incoming_hash"] = self.hash_token(token) if token else None
            if outgoing is not None:
                where = _where_sealed(account_id, link)
                text = outgoing.reveal().encode()
                columns[f"{link}_outgoing_sealed"] = (
                    self._vault.seal(text, where=where) if text else None
                )
        return columns


def _where_sealed(account_id: str, link: str) -> str:
    return f"{link}_outgoing_token of account {account_id}"


def _load(connection: sqlite3.Connection, *, vault: Vault) -> Sequence[Account]:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return [_account(row, vault) for row in cursor.execute(_LOAD)]


def _load_hashes(connection: sqlite3.Connection, *, column: str) -> Mapping[bytes, AccountId]:
    rows = connection.execute(f"SELECT {column}, id FROM account WHERE {column} IS NOT NULL")  # noqa: S608
    return {digest: AccountId(account_id) for digest, account_id in rows}


def _account(row: sqlite3.Row, vault: Vault) -> Account:
    return Account(
        id=AccountId(row["id"]),
        username=row["username"],
        ilp_address=Address(row["ilp_address"]),
        asset=Asset(row["asset_code"], row["asset_scale"]),
        max_packet_amount=int(row["max_packet_amount"]),
        min_balance=row["min_balance"],
        ilp_over_http_url=row["ilp_over_http_url"],
        ilp_over_http_outgoing_token=_unsealed(row, "ilp_over_http", vault),
        has_ilp_over_http_incoming_token=row["ilp_over_http_incoming_hash"] is not None,
        ilp_over_btp_url=row["ilp_over_btp_url"],
        ilp_over_btp_outgoing_token=_unsealed(row, "ilp_over_btp", vault),
        has_ilp_over_btp_incoming_token=row["ilp_over_btp_incoming_hash"] is not None,
        settle_threshold=row["settle_threshold"],
        settle_to=row["settle_to"],
        settlement_engine_url=row["settlement_engine_url"],
        settlement_address=row["settlement_address"],
        routing_relation=RoutingRelation(row["routing_relation"]),
        round_trip_time_ms=row["round_trip_time_ms"],
        packets_per_minute_limit=row["packets_per_minute_limit"],
        amount_per_minute_limit=_number(row["amount_per_minute_limit"]),
        packet_burst_limit=row["packet_burst_limit"],
        amount_burst_limit=_number(row["amount_burst_limit"]),
        packets_in_flight_limit=row["packets_in_flight_limit"],
        amount_in_flight_limit=_number(row["amount_in_flight_limit"]),
        outgoing_amount_per_minute_limit=_number(row["outgoing_amount_per_minute_limit"]),
        spread=None if row["spread"] is None else Fraction(row["spread"]),
        send_routes=_flag(row["send_routes"]),
        receive_routes=_flag(row["receive_routes"]),
        import_prefixes=tuple((row["import_prefixes"] or "").split()),
        export_prefixes=tuple((row["export_prefixes"] or "").split()),
        routes_max=row["routes_max"],
        route_weight=row["route_weight"] or 0,
        enabled=bool(row["enabled"]),
        label=row["label"],
        notes=row["notes"],
        created_at_ms=row["created_at_ms"],
        updated_at_ms=row["updated_at_ms"],
    )


def _row(account: Account) -> dict[str, object]:
    """Return the columns of an account, its tokens excepted: those come with the change."""
    return {
        "id": account.id,
        "username": account.username,
        "ilp_address": account.ilp_address,
        "asset_code": account.asset.code,
        "asset_scale": account.asset.scale,
        "max_packet_amount": str(account.max_packet_amount),
        "min_balance": account.min_balance,
        "ilp_over_http_url": account.ilp_over_http_url,
        "ilp_over_btp_url": account.ilp_over_btp_url,
        "settle_threshold": account.settle_threshold,
        "settle_to": account.settle_to,
        "settlement_engine_url": account.settlement_engine_url,
        "settlement_address": account.settlement_address,
        "routing_relation": account.routing_relation.value,
        "round_trip_time_ms": account.round_trip_time_ms,
        "packets_per_minute_limit": account.packets_per_minute_limit,
        "amount_per_minute_limit": _text(account.amount_per_minute_limit),
        "packet_burst_limit": account.packet_burst_limit,
        "amount_burst_limit": _text(account.amount_burst_limit),
        "packets_in_flight_limit": account.packets_in_flight_limit,
        "amount_in_flight_limit": _text(account.amount_in_flight_limit),
        "outgoing_amount_per_minute_limit": _text(account.outgoing_amount_per_minute_limit),
        "spread": _text(account.spread),
        "send_routes": account.send_routes,
        "receive_routes": account.receive_routes,
        "import_prefixes": " ".join(account.import_prefixes),
        "export_prefixes": " ".join(account.export_prefixes),
        "routes_max": account.routes_max,
        "route_weight": account.route_weight,
        "enabled": int(account.enabled),
        "label": account.label,
        "notes": account.notes,
        "created_at_ms": account.created_at_ms,
        "updated_at_ms": account.updated_at_ms,
    }


def _text(number: int | Fraction | None) -> str | None:
    return None if number is None else str(number)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _flag(stored: int | None) -> bool | None:
    return None if stored is None else bool(stored)


def _unsealed(row: sqlite3.Row, link: str, vault: Vault) -> Secret | None:
    sealed: bytes | None = row[f"{link}_outgoing_sealed"]
    if sealed is None:
        return None
    return Secret(vault.unseal(sealed, where=_where_sealed(row["id"], link)).decode())


def _insert(connection: sqlite3.Connection, *, row: Mapping[str, object]) -> None:
    try:
        table(connection, "account").insert(dict(row))
    except sqlite3.IntegrityError as error:
        raise _taken(error, row) from error
    count_change(connection, "accounts")


def _update(
    connection: sqlite3.Connection, *, account: Account, row: Mapping[str, object]
) -> None:
    number = account_number(connection, account.id)
    _refuse_new_asset_once_moved(connection, number, account)
    try:
        table(connection, "account").update(number, dict(row))
    except sqlite3.IntegrityError as error:
        raise _taken(error, row) from error
    count_change(connection, "accounts")


def _taken(error: sqlite3.IntegrityError, row: Mapping[str, object]) -> Exception:
    """Return what a violated constraint means; the error itself if it is none of uniqueness."""
    field = _FIELD_OF_INDEX.get(str(error).removeprefix("UNIQUE constraint failed: "))
    if field is None:
        return error
    value = row.get(field)
    return AccountExists(field, None if value is None else str(value))


def _refuse_new_asset_once_moved(
    connection: sqlite3.Connection, number: int, account: Account
) -> None:
    """What was booked counts in the asset it was booked in."""
    code, scale, moved = connection.execute(
        "SELECT asset_code, asset_scale, EXISTS (SELECT 1 FROM balance WHERE account = number) "
        "FROM account WHERE number = ?",
        (number,),
    ).fetchone()
    if moved and account.asset != Asset(code, scale):
        raise asset_is_fixed(account.username, Asset(code, scale))


def _load_former(connection: sqlite3.Connection, *, limit: int) -> Sequence[FormerAccount]:
    return [
        FormerAccount(AccountId(account_id), username, Asset(code, scale))
        for account_id, username, code, scale in connection.execute(_FORMER, (limit,))
    ]


def _delete(
    connection: sqlite3.Connection,
    *,
    account_id: AccountId,
    even_with_balance: bool,
    now_ms: int,
) -> None:
    number = account_number(connection, account_id)
    username, code, scale = connection.execute(
        "SELECT username, asset_code, asset_scale FROM account WHERE number = ?", (number,)
    ).fetchone()
    balance = balance_of(connection, account_id)
    refuse_deletion_in_use(
        username,
        Asset(code, scale),
        balance,
        settlement_open=_has_open_settlement(connection, number),
        even_with_balance=even_with_balance,
    )
    if balance.net:
        post_correction(connection, number, -balance.net, WRITTEN_OFF, now_ms)

    table(connection, "account").update(
        number,
        {
            "username": None,
            "former_username": username,
            "ilp_address": None,
            "ilp_over_http_incoming_hash": None,
            "ilp_over_http_outgoing_sealed": None,
            "ilp_over_btp_incoming_hash": None,
            "ilp_over_btp_outgoing_sealed": None,
            "enabled": 0,
            "deleted_at_ms": now_ms,
        },
    )
    count_change(connection, "accounts")
    if connection.execute("DELETE FROM route WHERE account = ?", (number,)).rowcount:
        count_change(connection, "routes")


def _has_open_settlement(connection: sqlite3.Connection, number: int) -> bool:
    states = connection.execute(
        "SELECT DISTINCT state FROM settlement_out WHERE account = ?", (number,)
    )
    return any(SettlementState(state) in OPEN_SETTLEMENTS for (state,) in states)
