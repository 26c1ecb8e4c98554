"""Dialling a peer over BTP, again and again: where it is, how long to wait, and what it said."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, final
from urllib.parse import unquote, urlsplit

from core.account import Account, Secret
from core.errors import SettingError, connect_problem
from core.links.btp import websocket as ws
from core.links.btp.connection import BtpConnection, Owner
from core.links.btp.limits import BtpLimits
from core.links.link_states import LinkStates

_PORTS: Final = {"ws": 80, "wss": 443}


@final
@dataclass(frozen=True, slots=True)
class BtpTarget:
    """Where an account is dialled, ready for use."""

    url: str
    """Without what could be a secret."""
    host: str
    port: int
    host_header: str
    target: str
    is_tls: bool
    username: str
    token: Secret

    @classmethod
    def of(cls, url: str, token: Secret | None) -> BtpTarget:
        """Read a URL as the operator gave it: `btp+wss://user@host/path`, with `btp+` or without.

        Raises:
            SettingError: it cannot be dialled; says why.
        """
        field = "ilp_over_btp_url"
        try:
            parts = urlsplit(url.removeprefix("btp+"))
            port = parts.port
            host = (parts.hostname or "").encode("idna" if parts.netloc else "ascii").decode()
        except (ValueError, UnicodeError):
            raise SettingError(field, f"{url!r} is no URL") from None
        if parts.scheme not in _PORTS or not host:
            raise SettingError(
                field,
                f"{url!r} does not start with btp+ws://, btp+wss://, ws:// or wss:// and a host",
            )
        if parts.password is not None:
            raise SettingError(
                field, "the token has a field of its own, it does not go into the URL"
            )
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not (target.isascii() and target.isprintable()) or " " in target:
            raise SettingError(field, f"{url!r} has characters that must be percent-encoded")
        shown = f"[{host}]" if ":" in host else host
        if port is not None and port != _PORTS[parts.scheme]:
            shown += f":{port}"
        return cls(
            f"{parts.scheme}://{shown}{target}",
            host,
            port or _PORTS[parts.scheme],
            shown,
            target,
            parts.scheme == "wss",
            unquote(parts.username or ""),
            token or Secret(""),
        )


def retry_wait(limits: BtpLimits, failures: int, chance: float, *, is_refusal: bool) -> float:
    """Return how long to wait after so many failures in a row: longer each time, and never just as others do.

    `chance` is between 0 and 1.
    """
    if failures == 0:
        return 0.0
    steps = limits.retry_seconds
    seconds = steps[min(failures, len(steps)) - 1]
    if is_refusal:
        seconds = max(seconds, limits.refused_seconds)
    return seconds * (0.75 + 0.5 * chance)


class DialerOwner(Owner, Protocol):
    """What a dialer asks of its link."""

    connecting: asyncio.Semaphore
    states: LinkStates
    limits: BtpLimits

    def tls(self) -> ssl.SSLContext: ...
    def connection_to(self, account: Account, target: BtpTarget) -> BtpConnection: ...
    def note_down(self, account: Account, problem: str) -> None:
        """The other side cannot be reached, and why."""


@final
class Dialer:
    """Keeps one connection to one account's URL."""

    def __init__(
        self,
        owner: DialerOwner,
        account: Account,
        target: BtpTarget,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.account = account
        self.target: Final = target
        self._owner = owner
        self._chance = chance
        self._connection: BtpConnection | None = None

    def hang_up(self, reason: str) -> None:
        """End the connection that there is; whoever calls this also ends `run`."""
        if self._connection is not None:
            self._connection.end(ws.NORMAL, reason)

    async def run(self) -> None:
        """Connect, wait for the end, wait a while, and connect again, for ever."""
        owner = self._owner
        state, limits = owner.states.btp(self.account.id), owner.limits
        failures = 0
        while True:
            state.trying = f"{self.target.url} is being dialled."
            problem, lasted, is_refusal = await self._attempt()
            failures = 0 if lasted >= limits.steady_seconds else failures + 1
            wait = retry_wait(limits, failures, self._chance(), is_refusal=is_refusal)
            state.trying = f"It is dialled again in {wait:.1f} seconds."
            owner.note_down(self.account, problem)
            await asyncio.sleep(wait)

    async def _attempt(self) -> tuple[str, float, bool]:
        """Connect once; return, when it is over, why, how long it was open, and whether we were refused."""
        owner, target = self._owner, self.target
        loop = owner.loop
        connection = owner.connection_to(self.account, target)
        async with owner.connecting:
            tls = owner.tls() if target.is_tls else None
            try:
                async with asyncio.timeout(owner.limits.connect_seconds):
                    await loop.create_connection(
                        lambda: connection,
                        target.host,
                        target.port,
                        ssl=tls,
                        server_hostname=target.host if tls is not None else None,
                    )
            except TimeoutError:
                why = "it did not take the connection in time"
            except ssl.SSLCertVerificationError as error:
                why = f"its certificate is not valid: {error.verify_message or error.reason}"
            except ssl.SSLError as error:
                why = f"no secure connection could be agreed on: {error.reason or error}"
            except OSError as error:
                why = connect_problem(error)
            else:
                why = ""
        if why:
            connection.abort(why)
            return f"{target.host_header} cannot be reached: {why}.", 0.0, False
        self._connection = connection
        try:
            await asyncio.shield(connection.closed)
        finally:
            self._connection = None
            connection.end(ws.NORMAL, "The connection is not wanted any more.")
        lasted = loop.time() - connection.opened_at if connection.opened_at else 0.0
        return connection.reason, lasted, connection.failed_login
