"""The embedded node: the same composition as `signalbox-node`, on the window's own event loop."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Final, Self, final

from core.account import Secret
from core.clock import Clock, WallClock
from core.config import Bind, NodeConfig, sqlite_path
from core.control.operator import Operator
from core.host import NodeHost
from core.practice.throw_away import ThrowAwayFolder

DRAIN_SECONDS: Final = 5
"""A window that was closed does not stay for half a minute; what is undecided then is so after a kill too."""


@final
class EmbeddedNode:
    """A node that lives as long as the window."""

    def __init__(self, host: NodeHost, clock: Clock) -> None:
        self._host = host
        self.clock = clock

    @classmethod
    async def start(cls, config: NodeConfig, clock: Clock | None = None) -> Self:
        """Open the store and the port, and let packets in. Raises as `core.host.NodeHost.start`."""
        clock = clock or WallClock()
        config = dataclasses.replace(
            config, drain_seconds=min(config.drain_seconds, DRAIN_SECONDS)
        )
        if config.admin_token is None and sqlite_path(config.store) is None:
            # There is no folder for a token's file; the window needs none.
            config = dataclasses.replace(config, admin_token=Secret(secrets.token_urlsafe(32)))
        return cls(await NodeHost.start(config, clock, shares_loop=True), clock)

    @property
    def operator(self) -> Operator:
        return self._host.control

    @property
    def url(self) -> str:
        """Where peers reach it."""
        return self._host.url

    @property
    def store_url(self) -> str:
        """Where engines find what they share with it."""
        return self._host.stores.url

    async def stop(self) -> None:
        """Accept nothing more, answer and book what is in flight, and close the store."""
        await self._host.stop()


@final
class ThrowAway:
    """A directory for a node that nobody keeps; gone when it is closed, or at the next start after a kill."""

    def __init__(self) -> None:
        self._folder = ThrowAwayFolder("signalbox-demo-")
        self.directory = self._folder.path

    def config(self, config: NodeConfig, *, given: frozenset[str]) -> NodeConfig:
        """Return the config with a store here and a free port, where the operator named none."""
        if "store" not in given:
            config = dataclasses.replace(
                config, store=f"sqlite:///{self.directory / 'signalbox.db'}"
            )
        if "http_bind" not in given:
            config = dataclasses.replace(config, http_bind=Bind("127.0.0.1", 0))
        return config

    def close(self) -> None:
        """Remove it."""
        self._folder.close()
