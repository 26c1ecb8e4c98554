"""A peer in one step: offer ourselves to a node that takes peers by itself, and add the account for it."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import urlsplit

from core.account import Asset, RoutingRelation, Secret
from core.control.account_fields import read_asset_code
from core.control.accounts import AccountDesk, find_account
from core.control.peering_views import AutoPeerRequest, AutoPeerResult
from core.control.usernames import canonical_username, is_canonical_username
from core.control.views import AccountCheck, AccountDetails, AccountView
from core.errors import (
    AccountExists,
    Conflict,
    InterledgerError,
    SettingError,
    SettingErrors,
    UnknownAccount,
    shown_url,
)
from core.node_address import NodeAddress
from core.peering.auto_peering import Acceptance, Offer, PostOffer, read_acceptance
from core.public_address import is_inside

log = logging.getLogger(__name__)

TOKEN_OCTETS: Final = 32
_USERNAME_MAX: Final = 32
_NOT_A_NAME: Final = re.compile(r"[^a-z0-9_~-]+")
_STAND_IN: Final = "peer"
"""The username that the offer's numbers are checked with before there is one."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AutoPeerDesk:
    """What can be refused here is refused before anything is sent: the other side acts at once."""

    accounts: AccountDesk
    node_address: NodeAddress
    post: PostOffer
    token: Callable[[], str] = lambda: secrets.token_urlsafe(TOKEN_OCTETS)

    async def peer(self, request: AutoPeerRequest) -> AutoPeerResult:
        """Offer, read the answer, add the account; raises SettingError and Conflict."""
        our_url = _our_url(request.our_url, allow_private=request.allow_private)
        existing = await self._check(request)
        asset = Asset(read_asset_code(request.asset_code), request.asset_scale)
        ours = Secret(self.token())
        offer = Offer(
            ilp_address=self.node_address.current,
            ilp_url=f"{our_url}/ilp",
            asset=asset,
            token=ours,
            max_packet_amount=request.max_packet_amount,
            name=request.name or self.node_address.current,
        )
        status, body = await self.post(
            request.url, offer.encode(), allow_private=request.allow_private
        )
        acceptance = read_acceptance(status, body)
        _refuse_hidden(acceptance.ilp_url, allow_private=request.allow_private)
        try:
            if existing is not None:
                view = await self._replace(existing, acceptance, ours)
            else:
                view = await self._add(request, acceptance, asset, ours)
        except AccountExists as error:
            raise Conflict(
                f"{error}; {acceptance.ilp_address} took the offer and expects this node with a new token"
                " already: offer again with that account's username, and say that it is replaced"
            ) from None
        except InterledgerError as error:
            raise Conflict(
                f"{acceptance.ilp_address} took the offer, and no account can be made of its answer: {error}"
            ) from None
        account = view.account
        log.info("%s took this node as its peer, by itself", account.ilp_address)
        check = await self.accounts.check(_details(account.username, request), account.username)
        return AutoPeerResult(
            account=view,
            was_replaced=existing is not None,
            sentence=(
                f"{acceptance.name or account.ilp_address} took this node as its peer: it is"
                f" {account.username} here, {account.ilp_address}, and counts {asset}."
            ),
            warnings=tuple(
                f"{found.field}: {found.problem}"
                for found in check.warnings
                if found.field == "min_balance"
            ),
        )

    async def _check(self, request: AutoPeerRequest) -> str | None:
        """Return the username whose account gets a new address and tokens; None where one is added.

        Raises:
            SettingError: a value that cannot be.
            Conflict: the username is taken.
            UnknownAccount: what is to be replaced is not there.
        """
        username = None
        existing = None
        if request.username is not None:
            username = canonical_username(request.username)
            try:
                existing = find_account(self.accounts.directory, username)
            except UnknownAccount:
                if request.replace:
                    raise
            if existing is not None and not request.replace:
                raise Conflict(
                    f"there is an account {username} already: offer under another name, or say that it is"
                    " replaced"
                )
        elif request.replace:
            raise SettingError("username", "it is missing: what is replaced must be named")
        check = await self.accounts.check(
            _details(username or _STAND_IN, request), None if existing is None else username
        )
        faults = _faults(check, with_username=username is not None)
        if faults:
            raise SettingErrors(faults)
        if existing is not None and str(existing.asset) != (
            f"{read_asset_code(request.asset_code)}@{request.asset_scale}"
        ):
            raise SettingError(
                "asset_code",
                f"{username} counts {existing.asset}, and an account keeps its asset",
            )
        return None if existing is None else username

    async def _add(
        self, request: AutoPeerRequest, acceptance: Acceptance, asset: Asset, ours: Secret
    ) -> AccountView:
        username = request.username or self._name(acceptance)
        return await self.accounts.create(
            AccountDetails(
                username=username,
                asset_code=asset.code,
                asset_scale=asset.scale,
                ilp_address=acceptance.ilp_address,
                max_packet_amount=request.max_packet_amount,
                min_balance=request.min_balance,
                ilp_over_http_url=acceptance.ilp_url,
                ilp_over_http_incoming_token=acceptance.token.reveal(),
                ilp_over_http_outgoing_token=ours.reveal(),
                routing_relation=RoutingRelation.PEER.value,
                label=acceptance.name,
            )
        )

    async def _replace(
        self, username: str, acceptance: Acceptance, ours: Secret
    ) -> AccountView:
        return await self.accounts.change(
            username,
            {
                "ilp_address": acceptance.ilp_address,
                "ilp_over_http_url": acceptance.ilp_url,
                "ilp_over_http_incoming_token": acceptance.token.reveal(),
                "ilp_over_http_outgoing_token": ours.reveal(),
            },
        )

    def _name(self, acceptance: Acceptance) -> str:
        """Return a username that is free, made of the name that the other side gave, or of its address."""
        text = canonical_username(acceptance.name) or acceptance.ilp_address.rpartition(".")[2]
        name = _NOT_A_NAME.sub("-", text.casefold()).strip("-")[: _USERNAME_MAX - 3]
        if not is_canonical_username(name):
            name = _STAND_IN
        free, number = name, 2
        while self.accounts.directory.by_username(free) is not None:
            free, number = f"{name}-{number}", number + 1
        return free


def _details(username: str, request: AutoPeerRequest) -> AccountDetails:
    return AccountDetails(
        username=username,
        asset_code=request.asset_code,
        asset_scale=request.asset_scale,
        max_packet_amount=request.max_packet_amount,
        min_balance=request.min_balance,
        routing_relation=RoutingRelation.PEER.value,
    )


def _faults(check: AccountCheck, *, with_username: bool) -> list[tuple[str, str]]:
    """Return the faults of what was typed; the rest of the account comes with the answer."""
    fields = {"asset_code", "asset_scale", "max_packet_amount", "min_balance"}
    if with_username:
        fields.add("username")
    return [(found.field, found.problem) for found in check.problems if found.field in fields]


def _our_url(text: str, *, allow_private: bool) -> str:
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise SettingError("our_url", f"{shown_url(text)} is no URL") from None
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise SettingError(
            "our_url",
            f"{shown_url(text)} was found; it needs https:// and the host that others reach",
        )
    if is_inside(host) and not allow_private:
        raise SettingError(
            "our_url",
            f"{host} is reached from this machine or network alone, and not by a peer",
        )
    return url


def _refuse_hidden(url: str, *, allow_private: bool) -> None:
    """Refuse an answer that would have us post tokens and packets in clear, or into our own network.

    Raises:
        Conflict: it does.
    """
    if allow_private:
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise Conflict("the answer of the other side is of no use: its URL is none") from None
    if parts.scheme != "https" or is_inside(host):
        raise Conflict(
            f"the answer of the other side is of no use: packets would go to {url[:200]}, which is not"
            " encrypted, or within this node's own network"
        )
