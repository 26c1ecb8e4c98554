"""Settings for every test, and what no test may leave unsaid."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_API", "pyside6")

settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=300, derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "default")


@pytest.fixture(autouse=True)
def a_warning_is_expected_or_a_failure(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Fail a test that logs a warning, unless it is marked `logs_warning`."""
    yield

    warned = [
        r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.WARNING
    ]
    expected = request.node.get_closest_marker("logs_warning") is not None
    assert bool(warned) == expected, f"logged: {warned}"
