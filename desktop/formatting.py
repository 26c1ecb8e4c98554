"""Amounts, counts and times as a person reads and types them; exact where money is meant."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, tzinfo
from typing import Final, final

from core.account import DECIMALS_KEPT, format_number

GROUP: Final = "\u202f"
"""Digits are grouped by a narrow space that does not break: no locale reads it as a decimal point."""
MINUS: Final = "\u2212"
NOTHING: Final = "–"
"""What stands where there is no value."""

HIDDEN: Final = "\u2022\u2022\u2022"
"""What stands in place of an amount's digits while amounts are hidden; its asset is kept."""
CODES_MAX: Final = 1_000
CHARACTERS_MAX: Final = 1_000
"""As long as what is typed may be: the finest asset has 255 decimals, and Python reads no number of 4,300 digits."""

DIGITS_MAX: Final = 40

_SPACES: Final = re.compile("[\\s\u00a0\u202f\u2009']")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_NUMBER: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?")

# An amount in a sentence of ours or of the node: digits, a space, and the code of an asset. Places to
# break a line at may stand among the digits; what belongs to a time, a version or a name is none.
_DIGITS: Final = (
    "(?<![\\w.:/-])[+\u2212-]?\\d[\\d\u202f,\u200b]*(?:\u2060?\\.\u2060?\\d[\\d\u200b]*)?…?"
)
_NO_CODES: Final = "UTC|GMT|HTTPS?|BTP|ILP|CCP|TLS|DNS|TCP|UDP|SPSP|API|URL|CSV|QR|[kMGT]B"
_ANY_CODE: Final = f"(?!(?:{_NO_CODES})\\b)[A-Z][A-Z0-9]{{2,11}}"
_UNITS: Final = "units|of its units"
_A_NUMBER: Final = re.compile(_DIGITS)


class AmountProblem(ValueError):
    """What was typed is no amount; the message is a sentence for whoever typed it."""


# --- Amounts


def number(amount: int, scale: int) -> str:
    """Return an amount in whole units, exact and grouped: 123450 at scale 2 is `1 234.50`."""
    whole, point, decimals = format_number(abs(amount), scale).partition(".")
    kept = decimals[:DECIMALS_KEPT] + decimals[DECIMALS_KEPT:].rstrip("0")
    sign = MINUS if amount < 0 else ""
    return f"{sign}{count(int(whole))}{point}{kept}"


def amount(value: int, code: str, scale: int) -> str:
    """Return an amount with its asset code: `1 234.50 USD`."""
    _discretion.learn(code)
    return f"{number(value, scale)}\u00a0{code}"


def signed_amount(value: int, code: str, scale: int) -> str:
    """Return an amount with its sign even where it is above zero: `+12.40 USD`."""
    return f"{'+' if value > 0 else ''}{amount(value, code, scale)}"


def plain_number(value: int, scale: int) -> str:
    """Return an amount as programs and editors take it: every decimal, no grouping, `-1234.50`."""
    return format_number(value, scale)


def typed_number(value: int, scale: int) -> str:
    """Return an amount as a field holds it: as `number`, without grouping and with a plain minus."""
    return number(value, scale).replace(GROUP, "").replace(MINUS, "-")


def owed(net: int, code: str, scale: int, name: str) -> str:
    """Say who owes whom; `net` above zero is what we owe: `you owe bob 12.40 USD`."""
    if net == 0:
        return f"{name} and you are even"
    text = amount(abs(net), code, scale)
    return f"you owe {name} {text}" if net > 0 else f"{name} owes you {text}"


def parse_amount(
    text: str, code: str, scale: int, *, minimum: int = 0, maximum: int = 2**64 - 1
) -> int:
    """Return what was typed, in smallest units, exactly.

    Takes `1234.5`, `1 234.50`, `1,234.50`, with or without the asset code. The decimal point is a
    point; a comma may only group what has a point too, for `1,234` is read in two ways.

    Raises:
        AmountProblem: it is none, has more decimals than the asset, or is out of range.
    """
    bare = _SPACES.sub("", text)
    if len(bare) > CHARACTERS_MAX:
        raise AmountProblem(f"“{bare[:20]}…” is too long to be an amount.")
    if code and bare.upper().endswith(code.upper()):
        bare = bare[: -len(code)]
    negative = bare.startswith(("-", MINUS))
    bare = _ungrouped(bare[1:] if bare[:1] in ("-", "+", MINUS) else bare)
    match = _NUMBER.fullmatch(bare)
    if match is None or not (match[1] or match[2]):
        raise AmountProblem(f"“{text.strip()}” is no amount: write it like 1234.50.")
    whole, decimals = match[1] or "0", (match[2] or "").rstrip("0")
    if len(decimals) > scale:
        raise AmountProblem(
            f"{code or 'This asset'} here has {scale} decimals: {bare} cannot be represented."
        )
    value: int = int(whole) * 10**scale + int(decimals.ljust(scale, "0") or "0")
    value = -value if negative else value
    if not minimum <= value <= maximum:
        limit, side = (minimum, "least") if value < minimum else (maximum, "most")
        raise AmountProblem(
            f"{amount(value, code, scale)} is out of range: it must be at {side} "
            f"{amount(limit, code, scale)}."
        )
    return value


def whole_number(digits: str) -> int | None:
    """Return a whole number that was typed in plain digits; None for what is none, and for more digits than any has."""
    return int(digits) if digits.isdecimal() and len(digits) <= DIGITS_MAX else None


def _ungrouped(bare: str) -> str:
    if "," not in bare:
        return bare
    whole, point, decimals = bare.partition(".")
    if point and "," not in decimals and _GROUPED.fullmatch(whole):
        return whole.replace(",", "") + point + decimals
    if whole.count(",") > 1 and not point and _GROUPED.fullmatch(whole):
        return whole.replace(",", "")
    raise AmountProblem(
        f"“{bare}” can be read in two ways: use a point for decimals, like 1234.50."
    )


# --- Amounts that others must not see


@final
class _Discretion:
    """Whether amounts are hidden, and by which codes they are known.

    Presenters and models always have the whole text; whatever puts text before somebody, a widget, a
    table's cell or the clipboard, passes it through `shown`. So all that is shown can be shown
    another way at any moment, and nobody but the view knows of it.
    """

    def __init__(self) -> None:
        self.hidden = False
        self._codes: set[str] = set()
        self._amount: re.Pattern[str] | None = None

    def learn(self, code: str) -> None:
        if code and code not in self._codes and len(self._codes) < CODES_MAX:
            self._codes.add(code)
            self._amount = None

    @property
    def pattern(self) -> re.Pattern[str]:
        if self._amount is None:
            known = [re.escape(code) for code in sorted(self._codes, key=len, reverse=True)]
            code = "|".join((*known, _ANY_CODE, _UNITS))
            listed = f"{_DIGITS}(?: (?:of|and|or|to) {_DIGITS})*"
            self._amount = re.compile(f"{listed}(?=[\u00a0 ](?:{code})(?!\\w))")
        return self._amount


_discretion: Final = _Discretion()


def hide_amounts(*, hidden: bool) -> None:
    """Hide all amounts from now on, or let them be seen; what is shown already must be shown anew."""
    _discretion.hidden = hidden


def amounts_hidden() -> bool:
    """Return whether amounts are hidden."""
    return _discretion.hidden


def learn_code(code: str) -> None:
    """Note an asset's code, so that amounts in it are known in whatever the node says."""
    _discretion.learn(code)


def shown(text: str) -> str:
    """Return text as it may be seen now: while amounts are hidden, `\u2022\u2022\u2022 USD` for `12.40 USD`."""
    if not _discretion.hidden or not text:
        return text
    return _discretion.pattern.sub(lambda found: _A_NUMBER.sub(HIDDEN, found[0]), text)


def shown_number(text: str) -> str:
    """Return an amount that stands without its asset as it may be seen now."""
    return HIDDEN if _discretion.hidden and _A_NUMBER.fullmatch(text) else text


# --- Counts and measures, for the eye


def count(value: int) -> str:
    """Return a whole number, grouped: `12 345`."""
    return f"{value:,}".replace(",", GROUP).replace("-", MINUS)


def counted(value: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 peer`, `12 peers`."""
    return f"{count(value)} {one if value == 1 else many or f'{one}s'}"


def packets_per_second(rate: float) -> str:
    """Return a rate with its unit: `218 pkt/s`, `3.4 pkt/s`."""
    return f"{count(round(rate)) if rate >= 10 else f'{rate:.1f}'}\u00a0pkt/s"


def percent(part: int, whole: int) -> str:
    """Return a share: `99.1 %`; never 100 where something is missing, never 0 where something is there."""
    if whole <= 0:
        return NOTHING
    tenths = part * 1000 // whole
    if part < whole:
        tenths = min(tenths, 999)
    if part > 0:
        tenths = max(tenths, 1)
    return f"{tenths // 10}.{tenths % 10}\u00a0%" if tenths != 1000 else "100\u00a0%"


def octets(value: int) -> str:
    """Return a size: `48.2 MB`."""
    size, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f}\u00a0{unit}" if unit == "B" else f"{size:.1f}\u00a0{unit}"


def latency(microseconds: int) -> str:
    """Return how long a packet took: `840 µs`, `12.4 ms`, `1.20 s`."""
    if microseconds < 1_000:
        return f"{microseconds}\u00a0µs"
    if microseconds < 1_000_000:
        return f"{microseconds / 1_000:.1f}\u00a0ms"
    return f"{microseconds / 1_000_000:.2f}\u00a0s"


# --- Time


def duration(seconds: float) -> str:
    """Return a span in its two largest units: `3 d 4 h`, `5 min 2 s`, `0.4 s`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}\u00a0s"
    rest = int(seconds)
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if rest >= size or (unit == "s" and not parts):
            parts.append(f"{rest // size}\u00a0{unit}")
            rest %= size
        elif parts:
            break
    return " ".join(parts[:2])


def ago(now_ms: int, at_ms: int | None) -> str:
    """Return how long ago something was, in one unit: `12 s ago`; `just now` within two seconds."""
    if at_ms is None:
        return "never"
    seconds = (now_ms - at_ms) // 1000
    if seconds < 2:
        return "just now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size * (2 if unit != "d" else 1):
            return f"{seconds // size}\u00a0{unit} ago"
    return f"{seconds}\u00a0s ago"


def clock_time(at_ms: int, zone: tzinfo | None = None) -> str:
    """Return the time of day to the millisecond: `12:00:03.250`; in the machine's zone unless given."""
    moment_ = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone)
    return f"{moment_:%H:%M:%S}.{at_ms % 1000:03}"


def moment(at_ms: int, zone: tzinfo | None = None) -> str:
    """Return date, time and zone, for the eye: `2026-11-24 12:00:03 UTC`; the machine's zone unless given."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def exact_moment(at_ms: int, zone: tzinfo | None = None) -> str:
    """Return a moment to the millisecond, for what is told so in its row: `2026-11-24 12:00:03.250 UTC`."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03} {at:%Z}"


def short_moment(at_ms: int, zone: tzinfo | None = None) -> str:
    """Return day and minute, for a column: `11-24 12:00`."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone):%m-%d %H:%M}"


def timestamp(at_ms: int, zone: tzinfo | None = None) -> str:
    """Return date, time and offset, for programs, ISO 8601: `2026-11-24 12:00:03+00:00`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).isoformat(" ")


def shortened(text: str, length: int) -> str:
    """Return a long name (a hash, an address) with its middle left out."""
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[head - length + 1 :]}"


def one_line(text: str) -> str:
    """Return text of several lines in one, for a cell."""
    return " ".join(text.split())


def tooltip(text: str) -> str:
    """Return text for a tooltip, which guesses whether it is markup: what could be is escaped and marked."""
    if "<" not in text and "&" not in text:
        return text
    return f"<span>{html.escape(text, quote=False)}</span>".replace("\n", "<br>")
