"""The answers of rate sources, read within bounds and exactly: what is no price is named, never guessed at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, Never, TypeAlias, final
from xml.parsers import expat

from core.errors import RateSourceError
from core.json_text import NestedTooDeeply, json_text
from core.rates.records import RateSource, Sample, SourceKind

DEPTH_MAX: Final = 16
DIGITS_MAX: Final = 40
EXPONENT_MAX: Final = 30
"""Prices are exact fractions: with a bound they stay small enough for a packet's path."""
PRICES_MAX: Final = 10_000
VALUES_MAX: Final = 100_000
"""The longest list in the field, of two thousand assets, has 24,000. Nothing else runs while Python's parser reads them."""
PROBLEMS_MAX: Final = 5
AHEAD_MS_MAX: Final = 5 * 60_000
"""Clocks differ; a stamp from further ahead would keep a price fresh for ever."""
TEXT_CHARACTERS_MAX: Final = 60
ECB_HOUR: Final = 12
"""UTC: the reference rates of a day are those of 14:10 in Frankfurt, which is 12:10 in summer."""

STAMPS: Final = (
    "timestamp", "last_updated", "last_updated_at", "updated_at", "time_last_update_unix", "date",
)  # fmt: skip
"""How any JSON calls the moment that its prices are of, the most exact first."""
SECONDS_MIN: Final = 10**9
"""Of the year 2001: no number below it is a moment, in seconds; and none below a thousand of it is one in milliseconds."""
DAY_BEGINS_MS: Final = 14 * 3_600_000
"""So much sooner than in UTC a day begins somewhere: one that says no more is of then."""

_CODE: Final = re.compile(r"[\x21-\x7e]{1,12}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,9})?")


@final
@dataclass(frozen=True, slots=True)
class _Entry:
    """One price as a source has it."""

    names: Sequence[str]
    """What it calls the asset, the name that becomes its code first."""
    value: object
    at_ms: int | None = None
    is_ranked: bool = False
    """It is of a list of assets of which several may be called alike: the first is the one that is meant."""


_Reader: TypeAlias = Callable[[RateSource, bytes], tuple[str, Iterable[_Entry]]]
"""Returns what the prices are counted in, and the prices."""


def read_sample(source: RateSource, octets: bytes, now_ms: int) -> Sample:
    """Return what the source says in its answer `octets`.

    Raises:
        RateSourceError: nothing of it can be used; a sentence says why.
    """
    base, entries = _READERS[source.kind](source, octets)
    sample = _sample(source, base, entries, now_ms)
    if len(sample.prices) < 2:  # the base alone
        problems = " ".join(sample.problems) or "It has no prices that were asked for."
        raise RateSourceError(f"nothing in its answer can be used: {problems}")
    return sample


def fixed_sample(source: RateSource, now_ms: int) -> Sample:
    """Return the prices that the operator wrote down."""
    prices = {code: Fraction(price) for code, price in source.prices.items()}
    return Sample(base=source.base, prices={**prices, source.base: Fraction(1)}, at_ms=now_ms)


def _sample(source: RateSource, base: str, entries: Iterable[_Entry], now_ms: int) -> Sample:
    named = {name.casefold(): code for name, code in source.assets.items()}
    prices: dict[str, Fraction] = {}
    stamps: list[int] = []
    problems: list[str] = []
    for count, entry in enumerate(entries):
        if count >= PRICES_MAX:
            problems.append(f"It has more than {PRICES_MAX} prices; the rest was not read.")
            break
        code = _code(entry.names, named)
        if code is None or code == base or (entry.is_ranked and code in prices):
            continue
        found = _usable(code, entry, source, now_ms)
        if isinstance(found, str):
            problems.append(found)
            continue
        if prices.setdefault(code, found) != found:
            raise RateSourceError(
                f"it has two prices of {code}, and nothing says which of them holds"
            )
        if entry.at_ms is not None:
            stamps.append(min(entry.at_ms, now_ms))
    if len(problems) > PROBLEMS_MAX:
        problems[PROBLEMS_MAX:] = [f"So it is with {len(problems) - PROBLEMS_MAX} more."]
    return Sample(
        base=base,
        prices={**prices, base: Fraction(1)},
        at_ms=min(stamps, default=now_ms),
        problems=tuple(problems),
    )


def _code(names: Sequence[str], named: Mapping[str, str]) -> str | None:
    """Return our code for an asset; None for one that was not asked for, or cannot be a code."""
    if named:
        return next((named[n.casefold()] for n in names if n.casefold() in named), None)
    code = names[0].strip().upper()
    return code if _CODE.fullmatch(code) is not None else None


def _usable(code: str, entry: _Entry, source: RateSource, now_ms: int) -> Fraction | str:
    """Return the price, or the sentence that says why it is none."""
    number = _number(entry.value)
    if number is None:
        return f"{code} is {_shown(entry.value)}, which is no number."
    if not number.is_finite() or number <= 0:
        return f"{code} is {_shown(number)}, and a price is above zero."
    if abs(number.adjusted()) > EXPONENT_MAX or len(number.as_tuple().digits) > DIGITS_MAX:
        return f"{code} has more than {DIGITS_MAX} digits, or is beyond 10^±{EXPONENT_MAX}."
    at_ms, max_age_ms = entry.at_ms, source.max_age_ms
    if at_ms is not None and at_ms > now_ms + AHEAD_MS_MAX:
        return f"{code} is stamped {duration(at_ms - now_ms)} ahead of this node's clock."
    if at_ms is not None and max_age_ms is not None and now_ms - at_ms >= max_age_ms:
        return (
            f"{code} is {duration(now_ms - at_ms)} old, and {duration(max_age_ms)} are allowed."
        )
    price = Fraction(number)
    return 1 / price if source.inverted or source.kind is SourceKind.ECB else price


def _number(value: object) -> Decimal | None:
    """Return a number that came as one or as text; nothing is a float on the way."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) is not None:
        return Decimal(value.strip())
    return None


# --- The European Central Bank's XML


@final
class _EcbReader:
    """Collects `<Cube currency="USD" rate="1.07"/>` under `<Cube time="2026-11-24">`, the first such day."""

    def __init__(self) -> None:
        self.day: str | None = None
        self.rates: list[tuple[str, str]] = []
        self._is_over = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name.rpartition(":")[2] != "Cube":
            return
        if "time" in attributes:
            if self.day is not None:  # the history files have many days, the newest first
                self._is_over = True
            else:
                self.day = attributes["time"]
        elif "currency" in attributes and not self._is_over and len(self.rates) < PRICES_MAX:
            self.rates.append((attributes["currency"], attributes.get("rate", "")))


def _refuse_doctype(*_: object) -> Never:
    raise RateSourceError("its XML declares a document type, which no rates need")


def _read_ecb(source: RateSource, octets: bytes) -> tuple[str, Iterable[_Entry]]:
    if source.base != "EUR":
        raise RateSourceError(f"its rates are counted in EUR, not in {source.base}")
    reader = _EcbReader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    # Without a document type there are no entities, and nothing can grow.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    try:
        parser.Parse(octets, True)  # noqa: FBT003 - expat takes no names
    except expat.ExpatError as error:
        raise RateSourceError(f"its answer is no XML: {error}") from None
    if reader.day is None or not reader.rates:
        raise RateSourceError(
            "its answer has no reference rates (Cube with time, currency and rate)"
        )
    at_ms = _day_ms(reader.day)
    return "EUR", (_Entry((code,), rate, at_ms) for code, rate in reader.rates)


def _day_ms(day: str) -> int:
    try:
        found = datetime.strptime(day, "%Y-%m-%d").replace(hour=ECB_HOUR, tzinfo=UTC)
    except ValueError:
        raise RateSourceError(
            f"its rates are of the day {_shown(day)}, which is none"
        ) from None
    return int(found.timestamp()) * 1000


# --- JSON


def _read_coingecko(source: RateSource, octets: bytes) -> tuple[str, Iterable[_Entry]]:
    """Read `/coins/markets`, a list, or `/simple/price`, an object by id."""
    document = _parsed(octets)
    base = source.base.casefold()
    if isinstance(document, list):
        return source.base, (
            _Entry(
                (_text(row, "symbol"), _text(row, "id")),
                row.get("current_price"),
                _iso_ms(row.get("last_updated")),
                is_ranked=True,
            )
            for row in _objects(document)
        )
    found = _object(document)
    _refuse_error(found, "status", "error_message")
    return source.base, (
        _Entry((name,), row[base], _seconds_ms(row.get("last_updated_at")))
        for name, row in found.items()
        if isinstance(row, dict) and base in row
    )


def _read_coincap(source: RateSource, octets: bytes) -> tuple[str, Iterable[_Entry]]:
    """Read `/assets`, with priceUsd, or `/rates`, with rateUsd."""
    if source.base != "USD":
        raise RateSourceError(f"its prices are counted in USD, not in {source.base}")
    document = _object(_parsed(octets))
    rows = document.get("data")
    if not isinstance(rows, list):
        raise RateSourceError("its answer has no list 'data'")
    at_ms = _milliseconds(document.get("timestamp"))
    return "USD", (
        _Entry(
            (_text(row, "symbol"), _text(row, "id")),
            row.get("priceUsd", row.get("rateUsd")),
            at_ms,
            is_ranked=True,
        )
        for row in _objects(rows)
    )


def _read_cryptocompare(source: RateSource, octets: bytes) -> tuple[str, Iterable[_Entry]]:
    """Read `/data/top/mktcapfull`, a list with RAW prices, or `/data/pricemulti`, an object."""
    document = _object(_parsed(octets))
    if document.get("Response") == "Error":
        raise RateSourceError(f"it refuses: {_shown(document.get('Message'))}")
    base = source.base
    rows = document.get("Data")
    if isinstance(rows, list):
        return base, (entry for row in _objects(rows) for entry in _cryptocompare(row, base))
    return base, (
        _Entry((code,), row[base])
        for code, row in document.items()
        if isinstance(row, dict) and base in row
    )


def _cryptocompare(row: Mapping[str, object], base: str) -> Iterator[_Entry]:
    info, raw = row.get("CoinInfo"), row.get("RAW")
    found = raw.get(base) if isinstance(raw, dict) else None
    if isinstance(info, dict) and isinstance(found, dict):
        at_ms = _seconds_ms(found.get("LASTUPDATE"))
        yield _Entry((_text(info, "Name"),), found.get("PRICE"), at_ms, is_ranked=True)


def _read_json(source: RateSource, octets: bytes) -> tuple[str, Iterable[_Entry]]:
    """Read any JSON: the path leads to an object of numbers, or to one number."""
    document = _parsed(octets)
    if isinstance(document, dict):
        base = document.get("base")
        if isinstance(base, str) and base.strip().upper() != source.base:
            raise RateSourceError(
                f"its prices are counted in {_shown(base)}, and not in {source.base}"
            )
    found, met = _at_path(document, source.path)
    at_ms = next(filter(None, map(_stamp_ms, reversed(met))), None)
    if isinstance(found, dict):
        stamps = () if _stamp_ms(found) is None else STAMPS
        return source.base, (
            _Entry((name,), value, at_ms)
            for name, value in found.items()
            if not (name == "base" and isinstance(value, str)) and name not in stamps
        )
    if isinstance(found, list):
        raise RateSourceError(
            f"at {_place(source.path)} there is a list; a number or an object of numbers is needed"
        )
    if len(source.assets) != 1:
        raise RateSourceError(
            f"at {_place(source.path)} there is one value, so that the source needs one asset"
        )
    return source.base, [_Entry(tuple(source.assets), found, at_ms)]


def _at_path(document: object, path: str) -> tuple[object, Sequence[object]]:
    """Return what is at a path, and all that was met on the way to it."""
    found, walked = document, ""
    met = [found]
    for step in path.split(".") if path else ():
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step[:9]) < len(found):
            found = found[int(step[:9])]
        else:
            raise RateSourceError(f"there is no {step!r} in it at {_place(walked)}")
        walked = f"{walked}.{step}" if walked else step
        met.append(found)
    return found, met


def _place(path: str) -> str:
    return path or "its top"


def _parsed(octets: bytes) -> object:
    if octets.count(b",") > VALUES_MAX:
        raise RateSourceError(f"its JSON has more than {VALUES_MAX} values")
    try:
        document: object = json.loads(
            json_text(octets, depth_max=DEPTH_MAX),
            parse_int=Decimal,
            parse_float=Decimal,
            parse_constant=Decimal,  # NaN and Infinity: no prices, and named as such
            object_pairs_hook=_once,
        )
    except NestedTooDeeply:
        raise RateSourceError("its JSON is nested too deeply") from None
    except (ValueError, ArithmeticError) as error:
        raise RateSourceError(f"its answer is no JSON: {str(error)[:200]}") from None
    return document


def _once(pairs: list[tuple[str, object]]) -> Mapping[str, object]:
    """Return an object of JSON in which no name has two values; Python's parser would take the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        first: dict[str, object] = {}
        for name, value in pairs:
            if first.setdefault(name, value) != value:
                raise RateSourceError(
                    f"its JSON has {_shown(name)} twice, and nothing says which holds"
                )
    return found


def _object(document: object) -> Mapping[str, object]:
    if not isinstance(document, dict):
        raise RateSourceError("its answer is JSON, and not an object as it should be")
    return document


def _objects(rows: Sequence[object]) -> Iterator[Mapping[str, object]]:
    for row in rows:
        if isinstance(row, dict):
            yield row


def _text(row: Mapping[str, object], name: str) -> str:
    found = row.get(name)
    return found if isinstance(found, str) else ""


def _refuse_error(document: Mapping[str, object], name: str, message: str) -> None:
    status = document.get(name)
    if isinstance(status, dict) and message in status:
        raise RateSourceError(f"it refuses: {_shown(status[message])}")


# --- Stamps


def _stamp_ms(found: object) -> int | None:
    """Return the moment that an object of any JSON says it is of, or None where it says none."""
    if not isinstance(found, dict):
        return None
    return next(filter(None, (_moment_ms(found.get(name)) for name in STAMPS)), None)


def _moment_ms(value: object) -> int | None:
    """Read a moment in whichever way it is written: seconds, milliseconds, a time, or a day alone."""
    if isinstance(value, str) and _NUMBER.fullmatch(value) is None:
        at_ms = _iso_ms(value)
        if at_ms is None or len(value) > len("2026-11-24"):
            return at_ms
        return at_ms - DAY_BEGINS_MS
    number = _number(value)
    if number is None or not number.is_finite() or number < SECONDS_MIN:
        return None  # a price, or a count
    return _seconds_ms(value) if number < SECONDS_MIN * 1_000 else _milliseconds(value)


def _milliseconds(value: object) -> int | None:
    number = _number(value)
    if number is None or not number.is_finite() or not 0 < number < 10**15:
        return None
    return int(number)


def _seconds_ms(value: object) -> int | None:
    number = _number(value)
    if number is None or not number.is_finite() or not 0 < number < 10**12:
        return None
    return int(number * 1000)


def _iso_ms(value: object) -> int | None:
    if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def duration(milliseconds: int) -> str:
    """Return how long that is, in the unit that a person would take: `14 min`; what is still to come is 0 s."""
    seconds = max(milliseconds, 0) // 1000
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[:TEXT_CHARACTERS_MAX] + "…"


_READERS: Final[Mapping[SourceKind, _Reader]] = {
    SourceKind.ECB: _read_ecb,
    SourceKind.COINGECKO: _read_coingecko,
    SourceKind.COINCAP: _read_coincap,
    SourceKind.CRYPTOCOMPARE: _read_cryptocompare,
    SourceKind.JSON: _read_json,
}
