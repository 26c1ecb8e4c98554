"""What is decided about rates: which sources to ask, what their answers make together, and which jumps are held.

It is handed samples and the time, and says what is to be in force; it asks nobody and stores nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final, final
from urllib.parse import urlsplit

from core.rates.records import (
    FeedSettings,
    HeldJump,
    HoldState,
    Price,
    RateSource,
    Sample,
    SourceKind,
    SourceStatus,
)

PRICE_DIGITS: Final = 40
"""A median is a fraction; the price in force is that, rounded once to so many digits, and from there on exact."""
ALL_KEPT_MAX: Final = 64
"""So many prices are all kept; of more, those that accounts count in or that are watched."""
MARGIN_MS: Final = 2_000
"""A sample is left out so long before it is too old, so that no packet meets it first."""
RETRY_SHARE: Final = 3
"""A source that fails is asked at least three times before its last answer is too old."""

_ROUNDING: Final = Context(prec=PRICE_DIGITS)


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be in force now, and what is to be remembered of jumps."""

    prices: Mapping[str, Price]
    holds: Mapping[str, HeldJump]


@final
@dataclass(frozen=True, slots=True)
class _Vote:
    """What one source says that an asset costs, in the reference asset."""

    value: Fraction
    source: str
    at_ms: int
    max_age_ms: int | None

    @property
    def stale_at_ms(self) -> int | None:
        return None if self.max_age_ms is None else self.at_ms + self.max_age_ms


@final
class Feed:
    """Sources, what they last said, and what follows from it."""

    def __init__(self) -> None:
        self.settings = FeedSettings()
        self._sources: dict[str, RateSource] = {}
        self._samples: dict[str, Sample] = {}
        self._statuses: dict[str, SourceStatus] = {}
        self._accepted: dict[str, Price] = {}
        """What is in force by the sources' word, in the reference asset."""
        self._holds: dict[str, HeldJump] = {}
        self._news: set[str] = set()
        """Codes of which something new was said since the last decision."""

    def configure(
        self,
        sources: Sequence[RateSource],
        settings: FeedSettings,
        holds: Mapping[str, HeldJump],
    ) -> None:
        """Work with these from now on; what a source said before it was changed is forgotten."""
        if settings.reference != self.settings.reference:
            self._accepted = _rebased(self._accepted, settings.reference)
        self.settings = settings
        self._holds = dict(holds)
        before, self._sources = self._sources, {source.name: source for source in sources}
        for name in before.keys() | self._samples.keys() | self._statuses.keys():
            if self._sources.get(name) != before.get(name):
                self._samples.pop(name, None)
                self._statuses.pop(name, None)

    def resume(self, prices: Mapping[str, Price], reference: str) -> None:
        """Go on from what another process, or this one before it ended, has put into force."""
        by_sources = {code: price for code, price in prices.items() if price.sources}
        by_sources[reference] = Price(price=Decimal(1))
        self._accepted = _rebased(by_sources, self.settings.reference)

    @property
    def sources(self) -> Sequence[RateSource]:
        return tuple(self._sources.values())

    def status(self, name: str) -> SourceStatus:
        return self._statuses.get(name, SourceStatus())

    # --- Asking

    def due(self, now_ms: int) -> Sequence[RateSource]:
        """Return the sources that are to be asked now."""
        return [
            source
            for source in self._sources.values()
            if source.enabled and (self.status(source.name).next_at_ms or 0) <= now_ms
        ]

    def asked(self, name: str, now_ms: int) -> None:
        """Note that a source is being asked: until it answers it is not asked again."""
        status, source = self.status(name), self._sources[name]
        self._statuses[name] = replace(
            status, tried_at_ms=now_ms, next_at_ms=now_ms + source.poll_seconds * 1000
        )

    def answered(self, source: RateSource, sample: Sample, now_ms: int) -> SourceStatus | None:
        """Take what a source said; None where it was changed or removed meanwhile."""
        name = source.name
        if self._sources.get(name) != source:
            return None
        before = self._samples.get(name)
        if before is None or before.at_ms != sample.at_ms:
            # The same data told again is no further word for a jump.
            self._news |= sample.prices.keys()
        self._samples[name] = sample
        status = SourceStatus(
            tried_at_ms=self.status(name).tried_at_ms,
            answered_at_ms=now_ms,
            data_at_ms=sample.at_ms,
            prices=len(sample.prices) - 1,
            problem=" ".join(sample.problems),
            next_at_ms=now_ms + source.poll_seconds * 1000,
        )
        self._statuses[name] = status
        return status

    def failed(self, source: RateSource, problem: str, now_ms: int) -> SourceStatus | None:
        """Note why a source gave nothing; it is asked again later and later, within bounds."""
        if self._sources.get(source.name) != source:
            return None
        before = self.status(source.name)
        failures = before.failures + 1
        status = replace(
            before,
            failures=failures,
            problem=problem,
            next_at_ms=now_ms + retry_ms(source, failures),
        )
        self._statuses[source.name] = status
        return status

    # --- Deciding

    def decide(self, now_ms: int, served: Collection[str]) -> Decision:
        """Return what is in force from now on; `served` are the codes that are needed."""
        reference = self.settings.reference
        # Without sources that can speak for it, a price is nobody's any more.
        names = {source.name for source in self._sources.values() if source.enabled}
        accepted = {
            code: price for code, price in self._accepted.items() if names & set(price.sources)
        }
        votes = self._votes(accepted, now_ms)
        holds = dict(self._holds)
        for code, said in votes.items():
            candidate = _median(said)
            held = self._held(code, accepted.get(code), candidate, said, now_ms)
            if held is None:
                accepted[code] = candidate
                holds.pop(code, None)
            else:
                holds[code] = held
        self._news.clear()
        holds = {code: held for code, held in holds.items() if code in accepted}
        if accepted:
            accepted[reference] = Price(price=Decimal(1))
        self._accepted, self._holds = accepted, holds
        if len(accepted) > ALL_KEPT_MAX:
            kept = {*served, *self.settings.watched, reference}
            accepted = {code: price for code, price in accepted.items() if code in kept}
        return Decision(accepted, holds)

    def _votes(
        self, accepted: Mapping[str, Price], now_ms: int
    ) -> Mapping[str, Sequence[_Vote]]:
        """Return what each source says of each asset, in the reference asset."""
        reference = self.settings.reference
        fresh = [
            (source, sample)
            for name, sample in self._samples.items()
            if (source := self._sources[name]).enabled and _is_fresh(source, sample, now_ms)
        ]
        votes: dict[str, list[_Vote]] = {}
        for source, sample in fresh:
            if (unit := sample.prices.get(reference)) is not None:
                _vote(votes, source, sample, 1 / unit)
        # Who does not know the reference is led to it over what the others say of its base, unless that is
        # held: else one who lies of the base would make all that is counted in it say the same.
        known = {
            code: Fraction(candidate.price)
            for code, said in votes.items()
            if self._held(code, accepted.get(code), candidate := _median(said), said, now_ms)
            is None
        }
        for source, sample in fresh:
            if reference not in sample.prices and sample.base in known:
                _vote(votes, source, sample, known[sample.base])
        votes.pop(reference, None)
        return votes

    def _held(
        self,
        code: str,
        before: Price | None,
        candidate: Price,
        said: Sequence[_Vote],
        now_ms: int,
    ) -> HeldJump | None:
        """Return the jump that keeps the candidate from coming into force, or None where nothing does."""
        limit = self.settings.jump_limit
        if limit is None or before is None or _is_near(before.price, candidate.price, limit):
            return None
        agreeing = [
            self._sources[vote.source]
            for vote in said
            if _is_near(vote.value, candidate.price, limit)
            and not _is_near(vote.value, before.price, limit)
        ]
        if any(source.kind is SourceKind.FIXED for source in agreeing):
            return None  # the operator wrote it down
        voices = len({_origin(self._sources[vote.source]) for vote in said})
        if voices > 1 and 2 * len({_origin(source) for source in agreeing}) > voices:
            return None  # most of those who do not know of each other do not err alike
        held = self._holds.get(code)
        if held is None or not _is_near(held.to_price, candidate.price, limit):
            return HeldJump(
                code=code,
                from_price=before.price,
                to_price=candidate.price,
                since_ms=now_ms,
                samples=1,
                sources=candidate.sources,
            )
        if held.state is HoldState.CONFIRMED:
            return None
        if code not in self._news or held.state is HoldState.REFUSED:
            return held
        # Of several voices one may lie as often as it likes; one alone is believed if it insists.
        samples = held.samples + 1 if voices == 1 else held.samples
        if voices == 1 and samples >= self.settings.jump_samples > 0:
            return None
        return replace(
            held, to_price=candidate.price, samples=samples, sources=candidate.sources
        )


def retry_ms(source: RateSource, failures: int) -> int:
    """Return how long to wait after so many failures in a row."""
    poll_ms = source.poll_seconds * 1000
    longest = max(poll_ms, (source.max_age_ms or 0) // RETRY_SHARE)
    return int(min(poll_ms << min(failures - 1, 16), longest))


def rounded(value: Fraction) -> Decimal:
    """Return a fraction as a decimal number; exact where it has no more than 40 digits."""
    return _ROUNDING.divide(Decimal(value.numerator), Decimal(value.denominator)).normalize(
        _ROUNDING
    )


def _origin(source: RateSource) -> str:
    """Return who speaks: two sources at one host are one voice."""
    return urlsplit(source.url).hostname or source.url


def _is_fresh(source: RateSource, sample: Sample, now_ms: int) -> bool:
    max_age_ms = source.max_age_ms
    return max_age_ms is None or now_ms < sample.at_ms + max_age_ms - MARGIN_MS


def _vote(
    votes: dict[str, list[_Vote]], source: RateSource, sample: Sample, unit: Fraction
) -> None:
    for code, price in sample.prices.items():
        votes.setdefault(code, []).append(
            _Vote(price * unit, source.name, sample.at_ms, source.max_age_ms)
        )


def _median(said: Sequence[_Vote]) -> Price:
    """Return the middle one, or the mean of the two in the middle; it ages as they do."""
    ordered = sorted(said, key=lambda vote: (vote.value, vote.source))
    middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
    value = sum((vote.value for vote in middle), Fraction(0)) / len(middle)
    aging = [vote for vote in middle if vote.stale_at_ms is not None]
    first = min(aging, key=lambda vote: vote.stale_at_ms or 0, default=middle[0])
    return Price(
        price=rounded(value),
        at_ms=first.at_ms,
        max_age_ms=first.max_age_ms,
        sources=tuple(sorted(vote.source for vote in said)),
    )


def _is_near(one: Fraction | Decimal, other: Fraction | Decimal, limit: Fraction) -> bool:
    """Tell whether neither is more than the limit above the other."""
    low, high = sorted((Fraction(one), Fraction(other)))
    return high <= low * (1 + limit)


def _rebased(prices: Mapping[str, Price], reference: str) -> dict[str, Price]:
    """Return the prices counted in another asset; none where its own price is not known."""
    unit = prices.get(reference)
    if unit is None:
        return {}
    if unit.price == 1:
        return dict(prices)
    return {
        code: replace(price, price=rounded(Fraction(price.price) / Fraction(unit.price)))
        for code, price in prices.items()
    }
