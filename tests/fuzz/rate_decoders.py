"""The answers of rate sources: whatever comes, what is taken as a price is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.errors import RateSourceError
from core.rates.formats import DIGITS_MAX, EXPONENT_MAX, read_sample
from core.rates.records import RateSource, SourceKind

_NOW_MS: Final = 1_800_000_000_000
_LONGEST: Final = 10 ** (DIGITS_MAX + EXPONENT_MAX)


def _source(kind: SourceKind, path: str = "", *, inverted: bool = False) -> RateSource:
    base = "EUR" if kind is SourceKind.ECB else "USD"
    return RateSource(name="x", kind=kind, base=base, path=path, inverted=inverted)


_SOURCES: Final = (
    _source(SourceKind.ECB),
    _source(SourceKind.COINGECKO),
    _source(SourceKind.COINCAP),
    _source(SourceKind.CRYPTOCOMPARE),
    _source(SourceKind.JSON),
    _source(SourceKind.JSON, "data.rates", inverted=True),
)


def rate_answer(octets: bytes) -> None:
    """What a source of any kind answers."""
    for source in _SOURCES:
        try:
            sample = read_sample(source, octets, _NOW_MS)
        except RateSourceError as refused:
            assert 0 < len(str(refused)) < 3_000
            continue
        assert sample.prices[source.base] == 1
        assert _NOW_MS - source.max_age_seconds * 1000 < sample.at_ms <= _NOW_MS
        for price in sample.prices.values():
            assert price > 0
            assert max(price.numerator, price.denominator) < _LONGEST


RATE_TARGETS: Final[dict[str, Callable[[bytes], None]]] = {"rate_answer": rate_answer}

RATE_SEEDS: Final = (
    b"<x><Cube><Cube time='2027-01-15'><Cube currency='USD' rate='1.07'/></Cube></Cube></x>",
    b'[{"id":"bitcoin","symbol":"btc","current_price":9e4,"last_updated":"2027-01-15T07:59:00Z"}]',
    b'{"timestamp":1799999999000,"data":[{"symbol":"BTC","priceUsd":"91234.5"}]}',
    b'{"Data":[{"CoinInfo":{"Name":"BTC"},"RAW":{"USD":{"PRICE":9.5,"LASTUPDATE":1799999999}}}]}',
    b'{"base":"USD","data":{"rates":{"EUR":"0.91","XRP":2}}}',
)
