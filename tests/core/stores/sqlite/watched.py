"""Connections that tell of each statement before it is run, so that a test can look, or have the disk fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.stores.sqlite.connection import connect


class Watched(sqlite3.Connection):
    """Tells of each statement before it is run."""

    before: Callable[[str], None] = staticmethod(lambda statement: None)

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        self.before(statement)
        return super().execute(statement, *arguments)

    def executemany(self, statement: str, rows: Any) -> sqlite3.Cursor:
        self.before(statement)
        return super().executemany(statement, rows)


def watched(path: Path, before: Callable[[str], None]) -> sqlite3.Connection:
    """Open a connection as the store does, and be told of what it does."""
    connection = connect(path, factory=Watched)
    assert isinstance(connection, Watched)
    connection.before = before
    return connection


def failure(code: int) -> sqlite3.OperationalError:
    """Return the error of a disk that fails in this way."""
    error = sqlite3.OperationalError("a test's disk failed")
    error.sqlite_errorcode = code
    return error
