"""Peering in one step: what is typed becomes an offer, and its answer an account."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QObject, Signal

from core.account import SCALE_MAX
from core.control.operator import Operator
from core.control.peering_views import AutoPeerRequest
from core.errors import InterledgerError, SettingError
from desktop import formatting
from desktop.models.auto_peer import AutoPeered, AutoPeerForm
from desktop.presenters.one_at_a_time import OneAtATime
from desktop.presenters.peer_editor import readable
from desktop.tasks import TaskScope, sentence

CANCELLED: Final = (
    "Cancelled here. Where the offer has arrived already, the other node expects this one: offer again "
    "with the same values, or tell its operator."
)


class AutoPeerPresenter(OneAtATime):
    """Offers this node to one that takes peers by itself; an offer may take half a minute."""

    peered = Signal(object)
    """The AutoPeered."""

    def __init__(
        self, operator: Operator, tasks: TaskScope, parent: QObject | None = None
    ) -> None:
        super().__init__(tasks, CANCELLED, parent)
        self._operator = operator

    def offer(self, form: AutoPeerForm) -> None:
        """Offer what was typed; what comes of it comes as a signal."""
        self.begin(lambda: self.offer_and_tell(form), name="offering to peer")

    async def offer_and_tell(self, form: AutoPeerForm) -> None:
        """Offer, and return when it was told what came of it."""
        try:
            result = await self._operator.auto_peer(request_of(form))
        except SettingError as fault:
            self.refused.emit(_FIELDS.get(fault.field, fault.field), readable(fault.problem))
        except InterledgerError as error:
            self.refused.emit("", sentence(error))
        else:
            warnings = "".join(f"\n▲ {warning}" for warning in result.warnings)
            self.peered.emit(
                AutoPeered(
                    username=result.account.account.username,
                    sentence=f"{result.sentence}{warnings}",
                )
            )


_FIELDS: Final = {"min_balance": "credit", "max_packet_amount": "max_packet"}
"""What the node calls them, and the form."""


def request_of(form: AutoPeerForm) -> AutoPeerRequest:
    """Return the request that was typed.

    Raises:
        SettingError: something of it cannot be read.
    """
    for field, text in (
        ("url", form.url),
        ("asset_code", form.asset_code),
        ("our_url", form.our_url),
    ):
        if not text.strip():
            raise SettingError(field, "is missing")
    code, scale = form.asset_code.strip().upper(), _scale(form.asset_scale)
    credit = _amount("credit", form.credit, code, scale, minimum=0)
    return AutoPeerRequest(
        url=form.url.strip(),
        asset_code=code,
        asset_scale=scale,
        our_url=form.our_url.strip(),
        username=form.username.strip() or None,
        name=form.name.strip() or None,
        max_packet_amount=_amount("max_packet", form.max_packet, code, scale, minimum=1),
        min_balance=-(credit or 0),
        replace=form.replace,
        allow_private=form.allow_private,
    )


def _scale(text: str) -> int:
    bare = text.strip()
    scale = formatting.whole_number(bare)
    if scale is None or scale > SCALE_MAX:
        raise SettingError(
            "asset_scale",
            f"{bare[:40]!r} was found; it needs a whole number from 0 to {SCALE_MAX}",
        )
    return scale


def _amount(field: str, text: str, code: str, scale: int, *, minimum: int) -> int | None:
    if not text.strip():
        return None
    try:
        return formatting.parse_amount(text, code, scale, minimum=minimum)
    except formatting.AmountProblem as problem:
        raise SettingError(field, str(problem)) from None
