"""Pinging any address: is it there, how long does it take, and who says no on the way?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QObject, Signal

from core.control.operator import Operator
from core.control.peering_views import PingKind, PingReport
from core.errors import InterledgerError, SettingError
from desktop import formatting
from desktop.models.ping import PingForm, PingShown
from desktop.presenters.decimals import decimal_text
from desktop.presenters.names import Names
from desktop.presenters.one_at_a_time import OneAtATime
from desktop.presenters.peer_editor import readable
from desktop.tasks import TaskScope, sentence

COUNT_MAX: Final = 20
"""More would be waited for longer than a person does."""
CANCELLED: Final = "Cancelled; what was on its way is booked as it ends."


class PingPresenter(OneAtATime):
    """Sends one series of pings at a time."""

    pinged = Signal(object)
    """The PingShown."""

    def __init__(
        self,
        operator: Operator,
        tasks: TaskScope,
        names: Names | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(tasks, CANCELLED, parent)
        self._names = names or Names()
        self._operator = operator

    def ping(self, form: PingForm, asset: tuple[str, int] | None) -> None:
        """Ping what was typed; `asset` is what the account counts that an amount is charged to."""
        self.begin(
            lambda: self.ping_and_tell(form, asset), name=f"pinging {form.destination.strip()}"
        )

    async def ping_and_tell(self, form: PingForm, asset: tuple[str, int] | None) -> None:
        """Ping, and return when it was told what came of it."""
        try:
            report = await self._ping(form, asset)
        except formatting.AmountProblem as problem:
            self.refused.emit("amount", str(problem))
        except SettingError as fault:
            field = "username" if fault.field == "from" else fault.field
            self.refused.emit(field, readable(fault.problem))
        except InterledgerError as error:
            self.refused.emit("", sentence(error))
        else:
            accounts = (form.username, form.destination.strip())
            self.pinged.emit(
                ping_shown(report, lambda text: self._names.in_words(text, *accounts))
            )

    async def _ping(self, form: PingForm, asset: tuple[str, int] | None) -> PingReport:
        destination = form.destination.strip()
        if not destination:
            raise SettingError(
                "destination", "is missing: an ILP address, or a peer's username"
            )
        amount = 0
        if form.amount.strip():
            if asset is None:
                raise SettingError("username", "is missing: an amount is charged to an account")
            amount = formatting.parse_amount(form.amount, *asset, minimum=0)
        return await self._operator.ping_address(
            destination,
            kind=PingKind(form.kind),
            amount=amount,
            from_username=form.username if amount else None,
            count=_count(form.count),
        )


def ping_shown(report: PingReport, named: Callable[[str], str]) -> PingShown:
    """Return what came of a ping as it is shown; `named` calls accounts as the screen does."""
    facts = [("Answered", f"{report.answered} of {report.sent}")]
    for label, latency_us in (
        ("Fastest", report.latency_us_least),
        ("On average", report.latency_us_mean),
        ("Slowest", report.latency_us_most),
    ):
        if latency_us is not None and (report.answered > 1 or label == "On average"):
            words = label if report.answered > 1 else "Took"
            facts.append((words, formatting.latency(latency_us)))
    if report.asset is not None:
        sent = formatting.amount(report.amount, report.asset.code, report.asset.scale)
        facts.append(("Sent in each", sent))
        if report.rate is not None and report.returned_asset is not None:
            facts.append(
                (
                    "Came back",
                    f"{decimal_text(report.rate)} {report.returned_asset.code} for 1 {report.asset.code}",
                )
            )
    return PingShown(
        answered=report.answered > 0,
        sentence=named(report.sentence),
        facts=tuple(facts),
        attempts=tuple((each.answered, named(each.sentence)) for each in report.attempts),
    )


def _count(text: str) -> int:
    bare = text.strip() or "1"
    count = formatting.whole_number(bare)
    if count is None or not 1 <= count <= COUNT_MAX:
        raise SettingError("count", f"{bare[:40]!r} was found; it needs 1 to {COUNT_MAX}")
    return count
