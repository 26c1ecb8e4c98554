"""What is in the statements, where no test can run the SQLite or the Python that would mind."""

from __future__ import annotations

import re
from pathlib import Path

import core.stores.sqlite

FOLDER = Path(core.stores.sqlite.__path__[0])


def test_no_placeholder_has_a_number() -> None:
    """Python 3.12 warns of `?1` with a sequence, and 3.14 refuses it."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(FOLDER.rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"\?[0-9]", line)
    ]

    assert found == []
