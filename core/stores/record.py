"""The stores as one record, and how a URL becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, final, get_type_hints, runtime_checkable

from core.account import AccountStore
from core.clock import Clock
from core.config import MEMORY, NO_STORE
from core.errors import SettingError
from core.ledger.books import AuditReport, Books
from core.ledger.lease import LeaseStore
from core.payments.store import PaymentStore
from core.rates.rate import RateStore
from core.rates.store import RateFeedStore
from core.routing.store import LearnedRouteStore
from core.routing.table import RouteStore
from core.settlement.store import SettlementStore
from core.telemetry.history import HistoryStore


@runtime_checkable
class SettingStore(Protocol):
    """Small facts that the whole cluster shares: our ILP address, secrets (encrypted), versions."""

    async def load_setting(self, name: str) -> str | None: ...

    async def save_setting(self, name: str, value: str) -> None: ...

    async def load_secret(self, name: str) -> bytes | None:
        """Return a secret, decrypted."""

    async def save_secret(self, name: str, secret: bytes) -> None:
        """Keep a secret, encrypted at rest."""

    async def agree_on_secret(self, name: str, fresh: bytes) -> bytes:
        """Return the secret of this name, and make it `fresh` where there is none.

        Of several processes that ask at once, all get the same.
        """

    async def versions(self) -> Mapping[str, int]:
        """Return a number for each of `accounts`, `routes`, `learned`, `rates`, `rate_feed`, `settings` that grows with each change.

        With it every node sees within a poll what another one, or an engine, has changed.
        """


@final
@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that a node or an engine keeps; services are handed the fields that they name."""

    url: str
    accounts: AccountStore
    books: Books
    leases: LeaseStore
    routes: RouteStore
    learned: LearnedRouteStore
    rates: RateStore
    rate_feed: RateFeedStore
    settings: SettingStore
    settlements: SettlementStore
    history: HistoryStore
    payments: PaymentStore
    close: Callable[[], Awaitable[None]]
    """Finish what is queued, close files and threads; idempotent."""


async def open_stores(url: str, clock: Clock, *, commit_on_loop: bool = False) -> Stores:
    """Open, and where needed create or migrate, the store that `url` names.

    A process whose loop has nothing but packets says `commit_on_loop`: a single packet is then
    written down there, where that is sooner than waking another thread.

    Raises:
        SettingError: no such kind of store; says which there are.
        SchemaTooNew: a newer version wrote it.
        StoreUnavailable: locked, read-only, full, or not a database.
    """
    # A backend's libraries are loaded when it is asked for, not by every process.
    if url == MEMORY:
        from core.stores.memory import open_memory  # noqa: PLC0415

        return open_memory(clock)
    if url.startswith("sqlite:///"):
        from core.stores.sqlite import open_sqlite  # noqa: PLC0415

        return await open_sqlite(url, clock, commit_on_loop=commit_on_loop)
    raise SettingError(
        "store",
        f"{url!r} {NO_STORE}",
    )


async def audit_books(url: str, clock: Clock) -> AuditReport:
    """Audit the books of the store that `url` names, without changing it or opening its secrets.

    Raises:
        SettingError: no such kind of store; says which there are.
        SchemaTooNew: a newer version wrote it.
        StoreUnavailable: it cannot be read.
    """
    if url.startswith("sqlite:///"):
        from core.stores.sqlite import audit_sqlite  # noqa: PLC0415

        return await audit_sqlite(url)
    stores = await open_stores(url, clock)
    try:
        return await stores.books.audit()
    finally:
        await stores.close()


def check_stores(stores: Stores) -> None:
    """Refuse a record whose fields cannot do what the node will ask of them; called at start-up.

    A type checker says it earlier, of a store that it sees; this says it of one from a plug-in.

    Raises:
        SettingError: names every method that is missing, and whose.
    """
    missing = [
        f"{field}.{name}"
        for field, kind in get_type_hints(type(stores)).items()
        for name in _methods(kind)
        if not callable(getattr(getattr(stores, field), name, None))
    ]
    if missing:
        raise SettingError("store", f"{stores.url} lacks {', '.join(missing)}")


def _methods(kind: object) -> list[str]:
    """Return the names of what a protocol asks for, those it inherits included; of else, none."""
    if not (inspect.isclass(kind) and Protocol in kind.__mro__):
        return []
    parents = kind.__mro__[: kind.__mro__.index(Protocol)]
    return sorted({n for parent in parents for n in vars(parent) if not n.startswith("_")})
