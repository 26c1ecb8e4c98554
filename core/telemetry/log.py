"""The log's memory: its newest lines for the Logs page, with secrets blacked out, and its levels."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final, final

from core.errors import SettingError
from core.telemetry.records import LogLine

LINES_KEPT: Final = 5_000
LINE_CHARACTERS_MAX: Final = 8_000
"""A traceback fits; a stranger's text that was logged by mistake does not fill the memory."""
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_FOREIGN_LEVELS: Final = {"trace": "debug", "warn": "warning", "off": "critical"}
"""Interledger.rs's names for levels that Python calls otherwise, or has nothing beyond."""
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# Each looks at a word from its beginning alone: strangers' text is logged too, and may be one long word.
_SECRETS: Final = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=:-]+"), r"\1 …"),
    (
        re.compile(
            r"""(?ix) (["']? (?<![a-z_-]) [a-z_-]* (?:token|secret|password|passphrase|private_?key|authorization) ["']?
            \s* [=:] \s*) (?: "[^"]*" | '[^']*' | [^\s,;)}\]]+ )"""
        ),
        r"\1…",
    ),
    (re.compile(r"://[^/\s:@]+:[^/\s@]+@"), "://…@"),
    # A fulfillment in hexadecimal is as good as the money; so is a private key.
    (re.compile(r"(?i)\b(?:0x)?[0-9a-f]{64}\b"), "…"),
)


def redacted(text: str) -> str:
    """Return `text` without what looks like a token, a password or a key."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


@final
class RedactingFormatter(logging.Formatter):
    """Blacks out secrets in whatever is written: arguments and tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


@final
class LogMemory(logging.Handler):
    """Keeps the newest lines, numbered, so that a reader can ask for what came since."""

    def __init__(self, root: logging.Logger | None = None) -> None:
        super().__init__()
        self.setFormatter(RedactingFormatter("%(message)s"))
        self._root = logging.getLogger() if root is None else root
        self._lines: deque[LogLine] = deque(maxlen=LINES_KEPT)
        self._sequence = 0
        self._components: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self._sequence += 1
        self._lines.append(
            LogLine(
                sequence=self._sequence,
                at_ms=int(record.created * 1000),
                level=record.levelname.lower(),
                component=record.name,
                text=text[:LINE_CHARACTERS_MAX],
            )
        )

    def lines(self, *, after_sequence: int, limit: int) -> Sequence[LogLine]:
        """Return lines since, oldest first, the newest `limit` of them."""
        self.acquire()  # lines come from the store's threads too
        try:
            count = min(self._sequence - after_sequence, limit, len(self._lines))
            newest = list(islice(reversed(self._lines), max(0, count)))
        finally:
            self.release()
        newest.reverse()
        return newest

    def set_level(self, directive: str) -> str:
        """Put a directive in force, `info,core.links=debug`, and return what is in force.

        What an earlier directive said of single components is taken back.

        Raises:
            SettingError: it is no directive; says which part.
        """
        overall, components = read_levels(directive)
        for component in self._components - components.keys():
            logging.getLogger(component).setLevel(logging.NOTSET)
        self._root.setLevel(overall.upper())
        for component, level in components.items():
            logging.getLogger(component).setLevel(level.upper())
        self._components = set(components)
        return ",".join(
            [overall, *(f"{component}={level}" for component, level in components.items())]
        )


def read_levels(directive: str) -> tuple[str, dict[str, str]]:
    """Return the level of all, and those of single components.

    Raises:
        SettingError: it is no directive; says which part.
    """
    overall = "info"
    components: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in directive.split(","))):
        component, equals, level = part.rpartition("=")
        level = level.strip().lower()
        level = _FOREIGN_LEVELS.get(level, level)
        if level not in LEVELS:
            raise SettingError(
                "log_level", f"{level!r} in {part!r} is no level; there are {', '.join(LEVELS)}"
            )
        if not equals:
            overall = level
        elif component.strip():
            components[component.strip()] = level
        else:
            raise SettingError("log_level", f"{part!r} names no component before its =")
    return overall, components
