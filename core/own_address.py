"""What this node is called, agreed on with the store, and all that moves with it when a parent renames it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, final

from core.account import Account, NewTokens
from core.config import NodeConfig
from core.control.words import counted
from core.errors import AccountExists
from core.node_address import NodeAddress
from core.packet import Address, address
from core.peering.readdress import moves
from core.stores.record import Stores

log = logging.getLogger(__name__)

ADDRESS_SETTING: Final = "ilp_address"
PARENT_SETTING: Final = "parent_ilp_address"


@final
class OwnAddress:
    """Keeps the address in memory and the one in the store the same, on every process of the store."""

    def __init__(
        self,
        stores: Stores,
        address: NodeAddress,
        config: NodeConfig,
        changing: asyncio.Lock,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        """`changing` is held while accounts move; `refresh` puts into force what was written."""
        self._stores = stores
        self._address = address
        self._given = config.ilp_address
        self._changing = changing
        self._refresh = refresh

    async def take(self) -> None:
        """Agree with the store on our address: the one that was given wins, and is kept."""
        settings = self._stores.settings
        stored = await settings.load_setting(ADDRESS_SETTING)
        if self._given is None and stored is not None:
            self._address.current = address(stored)
        elif stored != self._address.current:
            if stored is not None:
                log.warning("this node was %s and is %s now", stored, self._address.current)
            await settings.save_setting(ADDRESS_SETTING, self._address.current)

    async def latest(self) -> Address:
        """Return the address that the store holds now, which another process may have been given."""
        if self._given is not None:
            return self._address.current
        stored = await self._stores.settings.load_setting(ADDRESS_SETTING)
        return self._address.current if stored is None else address(stored)

    def adopt(self, latest: Address) -> None:
        """Put into force in memory what the store holds."""
        if latest != self._address.current:
            log.info("this node was %s and is %s now", self._address.current, latest)
            self._address.current = latest

    async def move_to(self, new: Address) -> None:
        """Be called so from now on, with every account and static route that stands under our address.

        The address itself is written last: what a kill leaves half done, the next answer of the
        parent completes. Children learn of it when they ask again.

        Raises:
            PacketError: an account's address would be longer than one may be; nothing was changed.
            StoreError: it cannot be written.
        """
        async with self._changing:
            stores, old = self._stores, self._address.current
            static = await stores.routes.load_routes()
            found = moves(await stores.accounts.load_accounts(), static, old=old, new=new)
            left = await self._move_accounts(found.accounts)
            if found.routes:
                kept = {prefix: hop for prefix, hop in static.items() if prefix}
                await stores.routes.replace_routes(
                    {found.routes.get(prefix, prefix): hop for prefix, hop in kept.items()}
                )
            await stores.settings.save_setting(ADDRESS_SETTING, new)
            await self._refresh()
        log.info(
            "%s moved to %s with this node%s",
            counted(len(found.accounts) - len(left), "account"),
            new,
            "".join(f"; {name} keeps its address" for name in left),
        )

    async def named_parent(self) -> str | None:
        """Return what `name_parent` was last told: whoever is called so was given no address by the operator."""
        return await self._stores.settings.load_setting(PARENT_SETTING)

    async def name_parent(self, parent: Account, theirs: Address) -> None:
        """Call our parent's account what it is called; what its operator has changed meanwhile stays.

        Raises:
            StoreError: it cannot be written.
        """
        async with self._changing:
            await self._stores.settings.save_setting(PARENT_SETTING, theirs)
            accounts = await self._stores.accounts.load_accounts()
            found = next((account for account in accounts if account.id == parent.id), None)
            if found is None or found.ilp_address != parent.ilp_address:
                return
            if await self._move_accounts([replace(found, ilp_address=theirs)]):
                return
            await self._refresh()
        log.info("%s is %s, by the address that it gave this node", parent.username, theirs)

    async def _move_accounts(self, accounts: Sequence[Account]) -> Sequence[str]:
        """Write accounts with their new addresses; return the names of those that another one is in the way of."""
        waiting = list(accounts)
        while waiting:
            in_the_way = []
            for account in waiting:
                try:
                    await self._stores.accounts.update_account(account, NewTokens())
                except AccountExists:  # one that is still to move, perhaps
                    in_the_way.append(account)
            if len(in_the_way) == len(waiting):
                break
            waiting = in_the_way
        return [account.username for account in waiting]
