"""Loads sqlite-utils without numpy and pandas, which it draws in where they are installed.

It only wants to know their types of column. In a node or an engine, which have no such values, numpy is
twenty megabytes and a pool of threads; a window's graphs load it for themselves.
"""

import sys
from typing import Any, Final

_UNUSED: Final = ("numpy", "pandas")


def _load() -> None:
    modules: dict[str, Any] = sys.modules
    hidden = [name for name in _UNUSED if name not in modules]
    for name in hidden:
        modules[name] = None  # for an import, that is a module that is not there
    try:
        import sqlite_utils.migrations  # noqa: F401, PLC0415 while they are hidden
    finally:
        for name in hidden:
            del modules[name]


_load()
