"""No vector lies about unread: every file is opened by a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.core.packet.vectors import VECTORS

TESTS = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
FILES = sorted(str(path.relative_to(VECTORS)) for path in VECTORS.rglob("*.json"))


@pytest.mark.parametrize("file", FILES)
def test_every_vector_file_is_read_by_a_test(file: str) -> None:
    assert re.search(rf'["/]{re.escape(file)}"', TESTS)
