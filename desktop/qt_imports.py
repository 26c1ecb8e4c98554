"""Load Qt for Python without what it hangs into every later import."""

from __future__ import annotations

import builtins


def load_qt() -> None:
    """Import Qt, and leave Python's own `import` in place; call it before whatever is big is imported.

    Qt for Python puts an `import` of its own there, which reads the source of every module that is imported
    after it, to see whether that one wants Qt's names in snake case (`from __feature__ import snake_case`;
    nothing here does). `linecache` keeps all it has read: 30 MB of a window's memory.

    Raises:
        ImportError: Qt cannot be loaded; says which library it lacks.
    """
    plain_import = builtins.__import__
    try:
        import PySide6.QtCore  # noqa: F401, PLC0415
    finally:
        builtins.__import__ = plain_import
