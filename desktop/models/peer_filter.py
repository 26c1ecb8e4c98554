"""What is typed above the peers, as a test that a row passes: `state:down asset:usd balance>80 bob`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

from desktop import formatting

KEYS: Final = ("state", "asset", "relation", "code", "balance")
"""What may stand before a colon or a comparison."""

HINT: Final = "bob  state:down  asset:usd  balance>80"

_COMPARISONS: Final[dict[str, Callable[[int, int], bool]]] = {
    ">": operator.gt,
    "<": operator.lt,
    ":": operator.ge,
}
_TERM: Final = re.compile(r"([a-z]+)([:<>])(.*)")


class Filtered(Protocol):
    """What a row says of itself to the filter, all in lower case."""

    @property
    def search_text(self) -> str: ...
    @property
    def state_key(self) -> str: ...
    @property
    def asset_key(self) -> str: ...
    @property
    def relation_key(self) -> str: ...
    @property
    def reject_key(self) -> str: ...
    @property
    def used_percent(self) -> int | None: ...


Test = Callable[[Filtered], bool]


@final
@dataclass(frozen=True, slots=True)
class PeerFilter:
    """Terms that must all hold, and what could not be understood."""

    tests: Sequence[Test]
    problem: str
    """A sentence about the first term that means nothing here; the others still hold."""

    def passes(self, row: Filtered) -> bool:
        return all(test(row) for test in self.tests)


def parse(text: str) -> PeerFilter:
    """Understand what was typed; a term without a key is looked for in every text of the row."""
    tests: list[Test] = []
    problem = ""
    for term in text.lower().split():
        match = _TERM.fullmatch(term)
        if match is None:
            tests.append(_contains(term))
            continue
        test, fault = _keyed(match[1], match[2], match[3])
        if test is not None:
            tests.append(test)
        problem = problem or fault
    return PeerFilter(tests, problem)


def _keyed(key: str, sign: str, value: str) -> tuple[Test | None, str]:
    if key not in KEYS:
        return None, f"`{key}` is no column to filter by: use {', '.join(KEYS)}"
    if key == "balance":
        percent = formatting.whole_number(value.rstrip("%"))
        if percent is None:
            return None, "`balance` is compared with a percentage of the limit: balance>80"
        return _percent(_COMPARISONS[sign], percent), ""
    if sign != ":":
        return None, f"`{key}` is written with a colon: {key}:{value or '…'}"
    tests: dict[str, Test] = {
        "state": lambda row: row.state_key.startswith(value),
        "asset": lambda row: row.asset_key.startswith(value),
        "relation": lambda row: row.relation_key.startswith(value),
        "code": lambda row: row.reject_key.startswith(value),
    }
    return tests[key], ""


def _contains(term: str) -> Test:
    return lambda row: term in row.search_text


def _percent(compare: Callable[[int, int], bool], percent: int) -> Test:
    return lambda row: row.used_percent is not None and compare(row.used_percent, percent)
