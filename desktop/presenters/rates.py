"""The rates page: what is in force and how old it is, where it comes from, and what an amount would become."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from PySide6.QtCore import QObject, Signal

from core.clock import Clock
from core.control.operator import Operator
from core.control.rates_views import (
    PriceView,
    RateFeedView,
    RateSourceDetails,
    RateSourceView,
)
from core.control.shares import read_fraction, read_share, share_text
from core.errors import InterledgerError, SettingError
from core.rates.records import HoldState
from desktop import formatting
from desktop.models.rates import (
    HeldJump,
    PriceRow,
    PricesModel,
    RatesState,
    SourceForm,
    SourceRow,
    SourcesModel,
    SpreadRow,
    SpreadsModel,
)
from desktop.presenters.decimals import typed_share
from desktop.presenters.page import PagePresenter
from desktop.presenters.peer_editor import readable
from desktop.presenters.rate_history import RateHistoryPresenter
from desktop.tasks import sentence

_PAIRS: Final = re.compile(r"[\s,;]+")


class RatesPresenter(PagePresenter):
    """Shows rates, and changes what they come from."""

    state_changed = Signal(object)
    """The RatesState."""
    converted = Signal(bool, str)
    """Whether there is an answer, and what the amount would become, or why it cannot be said."""
    tested = Signal(bool, str)
    """Whether a source answered, and how."""
    source_refused = Signal(str)
    """Why a source cannot be as it was typed."""
    source_saved = Signal()
    loaded_changed = Signal(bool)

    def __init__(self, operator: Operator, clock: Clock, parent: QObject | None = None) -> None:
        super().__init__(operator, clock, parent)
        self.prices = PricesModel(self)
        self.sources = SourcesModel(self)
        self.spreads = SpreadsModel(self)
        self.history = RateHistoryPresenter(operator, clock, self)
        self.loaded = False
        self._drawn_rate_id: int | None = None
        """Of the prices that the history goes up to."""
        self.state: RatesState | None = None

    async def update(self) -> None:
        view = await self.operator.rate_feed()
        self._show(view)
        if self.history.is_seen and view.rate_id != self._drawn_rate_id:
            self._drawn_rate_id = view.rate_id
            await self.history.update()

    def see_history(self, *, seen: bool) -> None:
        """Keep the history up to date only while it is looked at."""
        if seen != self.history.is_seen:
            self.history.is_seen = seen
            if seen:
                self.tasks.start(self.history.update())

    def _show(self, view: RateFeedView) -> None:
        now_ms = self.clock.now_ms()
        self.prices.replace(price_row(price) for price in view.prices)
        self.sources.replace(source_row(source, now_ms) for source in view.sources)
        self.spreads.replace(
            SpreadRow(source=each.source, target=each.target, share=share_words(each.spread))
            for each in view.pair_spreads
        )
        state = state_of(view)
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)
        self.badge_changed.emit(len(view.problems))
        if not self.loaded:
            self.loaded = True
            self.loaded_changed.emit(True)

    # --- What an amount would become

    def convert(self, amount: str, source: str, target: str) -> None:
        """Ask what this would become now; comes as `converted`."""
        self.tasks.start(self.answer(amount, source, target))

    async def answer(self, amount: str, source: str, target: str) -> None:
        """Ask, and return when the answer was given."""
        try:
            found = await self.operator.convert_amount(
                "".join(amount.split()).replace(formatting.GROUP, ""), source, target
            )
        except SettingError as fault:
            self.converted.emit(False, readable(fault.problem))
        except InterledgerError as error:
            self.converted.emit(False, sentence(error))
        else:
            code, scale = found.target.code, found.target.scale
            kept = formatting.amount(found.spread_amount, code, scale)
            aged = (
                ""
                if found.age_ms is None
                else f", {formatting.duration(found.age_ms / 1000)} old"
            )
            self.converted.emit(
                True,
                f"{formatting.amount(found.amount, found.source.code, found.source.scale)} would become "
                f"{formatting.amount(found.delivered, code, scale)}, at {found.unit_rate} {code} for "
                f"1 {found.source.code}{aged}; {kept} stay here, a share of {share_words(found.spread)}.",
            )

    # --- Prices that the operator sets

    def set_price(self, code: str, price: str) -> None:
        """Set a price by hand: it wins over all sources and does not age."""
        value = _price(price)
        if value is None:
            self.failed.emit(f"“{price}” is no price: it needs a number above zero.")
            return
        self._change_prices({code.strip().upper(): value}, (), f"{code} costs {price} now")

    def let_go(self, codes: Sequence[str]) -> None:
        """Have the sources say these prices again."""
        self._change_prices({}, codes, f"{', '.join(codes)} come from the sources again")

    def _change_prices(
        self, added: dict[str, Decimal], removed: Sequence[str], words: str
    ) -> None:
        async def work() -> str:
            before = {
                price.code: Decimal(price.price)
                for price in (await self.operator.rate_feed()).prices
                if price.by_operator
            }
            kept = {code: price for code, price in before.items() if code not in removed}
            await self.operator.set_rates(kept | added)

            self.undoable.emit(words, lambda: self._restore_prices(before))
            return words

        self.run(work, name="setting prices")

    def _restore_prices(self, before: dict[str, Decimal]) -> None:
        async def work() -> str:
            await self.operator.set_rates(before)
            return "the prices are as they were"

        self.run(work, name="setting prices")

    def decide_jump(self, code: str, *, accept: bool) -> None:
        """Put a held price into force, or keep the one that is."""

        async def work() -> str:
            if accept:
                self._show(await self.operator.confirm_rate_jump(code))
                return f"the new price of {code} is in force"
            self._show(await self.operator.refuse_rate_jump(code))
            return f"the price of {code} stays as it is"

        self.run(work, name="deciding a jump")

    def set_guard(self, limit: str, samples: str) -> None:
        """Say which jumps are held: beyond which share; none where that is empty."""

        async def work() -> str:
            before = await self.operator.rate_feed()
            share = read_fraction("jump_limit", limit) if limit.strip() else None
            times = _number("jump_samples", samples, "times") or 0
            self._show(await self.operator.set_rate_guard(jump_limit=share, jump_samples=times))
            words = (
                "jumps are not held any more"
                if share is None
                else f"jumps beyond {share_words(share)} are held"
            )
            self.undoable.emit(
                words,
                lambda: self._restore_guard(before.jump_limit, before.jump_samples),
            )
            return words

        self.run(work, name="setting the guard")

    def _restore_guard(self, limit: Fraction | None, samples: int) -> None:
        async def work() -> str:
            self._show(
                await self.operator.set_rate_guard(jump_limit=limit, jump_samples=samples)
            )
            return "the guard is as it was"

        self.run(work, name="setting the guard")

    # --- Spreads

    def set_spread(self, text: str) -> None:
        """Set the node's own share."""

        async def work() -> str:
            share = read_share("spread", text)
            await self.operator.set_spread(share)
            return f"the spread is {share_words(share)}"

        self.run(work, name="setting the spread")

    def set_pair_spread(self, source: str, target: str, text: str) -> None:
        """Set the share of one pair; an empty text removes it."""

        async def work() -> str:
            share = read_share("spread", text) if text.strip() else None
            await self.operator.set_pair_spread(source.upper(), target.upper(), share)
            what = "has the node's spread" if share is None else f"has {share_words(share)}"
            return f"{source.upper()} into {target.upper()} {what}"

        self.run(work, name="setting a spread")

    # --- Sources

    def test_source(self, form: SourceForm) -> None:
        """Ask a source as it was typed; nothing comes into force."""

        async def work() -> None:
            try:
                found = await self.operator.test_rate_source(details_of(form))
            except InterledgerError as error:
                self.tested.emit(False, _words_of(error))
                return
            prices = ", ".join(
                f"{code} {price}" for code, price in list(found.prices.items())[:6]
            )
            self.tested.emit(found.worked, f"{found.sentence} {prices}".strip())

        self.tasks.start(work(), name=f"asking {form.name}")

    def save_source(self, form: SourceForm, *, replaces: str = "") -> None:
        """Add a source, or change one."""

        async def work() -> str:
            try:
                details = details_of(form)
                if replaces:
                    view = await self.operator.replace_rate_source(replaces, details)
                else:
                    view = await self.operator.add_rate_source(details)
            except InterledgerError as error:
                self.source_refused.emit(_words_of(error))
                return f"{form.name} was not saved"
            self._show(view)
            self.source_saved.emit()
            return f"{form.name} saved"

        self.run(work, name=f"saving {form.name}")

    def remove_source(self, name: str) -> None:
        """Remove a source, and what it said."""

        async def work() -> str:
            self._show(await self.operator.remove_rate_source(name))
            return f"{name} removed"

        self.run(work, name=f"removing {name}")


def price_row(view: PriceView) -> PriceRow:
    """Return a price as a row of its table."""
    return PriceRow(
        code=view.code,
        price=view.price,
        by_operator=view.by_operator,
        sources=tuple(view.sources),
        age=_age(view.age_ms),
        age_ms=view.age_ms,
        stale=view.stale,
        held=view.held is not None,
        sentence=view.sentence,
    )


def source_row(view: RateSourceView, now_ms: int) -> SourceRow:
    """Return a source as a row of its table."""
    return SourceRow(
        name=view.name,
        kind=view.kind.value,
        url=view.url,
        base=view.base,
        assets=tuple(view.assets.items()),
        path=view.path,
        inverted=view.inverted,
        prices=tuple(view.prices.items()),
        has_api_key=view.has_api_key,
        poll_seconds=view.poll_seconds,
        max_age_seconds=view.max_age_seconds,
        enabled=view.enabled,
        works=view.works,
        sentence=view.sentence,
        problem=view.problem,
        age=_age(view.age_ms),
        age_ms=view.age_ms,
        answered=formatting.ago(now_ms, view.answered_at_ms),
        answered_at_ms=view.answered_at_ms,
        prices_count=view.prices_count,
        failures=view.failures,
        next_at_ms=view.next_at_ms,
    )


def _alone(jump_samples: int) -> str:
    """Return how a source that nobody else contradicts or confirms is believed; empty where it is not."""
    return f", one that is alone says so {jump_samples} times" if jump_samples else ""


def state_of(view: RateFeedView) -> RatesState:
    """Return what the page says beside its tables."""
    guard = (
        "Jumps are not held."
        if view.jump_limit is None
        else f"Jumps beyond {share_words(view.jump_limit)} are held until most sources say so"
        f"{_alone(view.jump_samples)}, or you confirm them."
    )
    codes = {view.reference, *(price.code for price in view.prices), *view.watched}
    return RatesState(
        reference=view.reference,
        spread=typed_share(view.spread),
        guard=guard,
        jump_limit="" if view.jump_limit is None else typed_share(view.jump_limit),
        jump_samples=str(view.jump_samples),
        problems=tuple(view.problems),
        held=tuple(
            HeldJump(
                code=jump.code,
                sentence=jump.sentence,
                decided=jump.state is HoldState.REFUSED,
            )
            for jump in view.held
        ),
        codes=tuple(sorted(code for code in codes if code)),
        polled_here=view.polled_here,
    )


def share_words(share: Fraction) -> str:
    """Return a share as people say it: `0.5 %`."""
    return f"{share_text(share * 100)}\u00a0%"


def details_of(form: SourceForm) -> RateSourceDetails:
    """Return the details that were typed.

    Raises:
        SettingError: a number or a pair cannot be read.
    """
    return RateSourceDetails(
        name=form.name.strip(),
        kind=form.kind,
        url=form.url.strip(),
        base=form.base.strip(),
        assets=_pairs("assets", form.assets),
        path=form.path.strip(),
        inverted=form.inverted,
        prices=_pairs("prices", form.prices),
        api_key=form.api_key,
        poll_seconds=_number("poll_seconds", form.poll_seconds),
        max_age_seconds=_number("max_age_seconds", form.max_age_seconds),
        enabled=form.enabled,
    )


def form_of(row: SourceRow) -> SourceForm:
    """Return what stands in the form when this source is changed; its key is never shown."""
    return SourceForm(
        name=row.name,
        kind=row.kind,
        url=row.url,
        base=row.base,
        assets=" ".join(f"{theirs}={ours}" for theirs, ours in row.assets),
        path=row.path,
        inverted=row.inverted,
        prices=" ".join(f"{code}={price}" for code, price in row.prices),
        poll_seconds=str(row.poll_seconds),
        max_age_seconds="" if row.max_age_seconds is None else str(row.max_age_seconds),
        enabled=row.enabled,
    )


def _price(text: str) -> Decimal | None:
    try:
        value = Decimal(text.strip().replace(formatting.GROUP, ""))
    except InvalidOperation:
        return None
    return value if value.is_finite() and value > 0 else None


def _pairs(field: str, text: str) -> dict[str, str]:
    pairs = {}
    for part in filter(None, _PAIRS.split(text)):
        left, sign, right = part.partition("=")
        if not (sign and left and right):
            raise SettingError(field, f"{part!r} was found; it needs pairs like bitcoin=BTC")
        pairs[left] = right
    return pairs


def _number(field: str, text: str, what: str = "seconds") -> int | None:
    bare = text.strip()
    number = formatting.whole_number(bare)
    if bare and number is None:
        raise SettingError(field, f"{bare[:40]!r} was found; it needs a whole number of {what}")
    return number


def _age(age_ms: int | None) -> str:
    return formatting.NOTHING if age_ms is None else formatting.duration(age_ms / 1000)


def _words_of(error: InterledgerError) -> str:
    if isinstance(error, SettingError):
        return f"{error.field}: {readable(error.problem)}"
    return sentence(error)
