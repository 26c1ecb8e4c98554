"""The log's memory: what it keeps, what it blacks out, and its levels."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from core.account import Secret
from core.errors import SettingError
from core.telemetry.log import LINE_CHARACTERS_MAX, LINES_KEPT, LogMemory, redacted


@pytest.fixture
def memory() -> Iterator[LogMemory]:
    root = logging.getLogger("test-root")
    kept = LogMemory(root)
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    root.propagate = False
    yield kept
    root.removeHandler(kept)
    kept.set_level("info")


LOG = logging.getLogger("test-root.part")


def test_lines_are_numbered_and_a_reader_gets_what_came_since(memory: LogMemory) -> None:
    for number in range(5):
        LOG.info("line %d", number)

    assert [line.text for line in memory.lines(after_sequence=3, limit=10)] == [
        "line 3",
        "line 4",
    ]
    (newest,) = memory.lines(after_sequence=0, limit=1)
    assert (newest.sequence, newest.level, newest.component) == (5, "info", "test-root.part")


def test_the_memory_is_bounded_in_lines_and_in_each_line(memory: LogMemory) -> None:
    for _ in range(LINES_KEPT + 5):
        LOG.info("x")
    LOG.info("y " * LINE_CHARACTERS_MAX)

    lines = memory.lines(after_sequence=0, limit=10**6)

    assert len(lines) == LINES_KEPT
    assert len(lines[-1].text) == LINE_CHARACTERS_MAX


SECRETS = (
    "Authorization: Bearer s3cret-t0ken",
    "authorization: 'Basic s3cret-t0ken'",
    "{'ilp_over_http_incoming_token': 's3cret-t0ken'}",
    '{"admin_token": "s3cret-t0ken", "x": 1}',
    "password=s3cret-t0ken;",
    "passphrase = s3cret-t0ken",
    "redis://user:s3cret-t0ken@host/0",
    "private_key: s3cret-t0ken",
)


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_blacked_out(text: str, memory: LogMemory) -> None:
    LOG.info("got %s", text)

    (line,) = memory.lines(after_sequence=0, limit=1)
    assert "s3cret-t0ken" not in line.text


def test_a_fulfillment_or_a_key_in_hexadecimal_is_blacked_out() -> None:
    assert redacted("preimage " + "ab" * 32) == "preimage …"
    assert redacted("0x" + "AB" * 32 + " is it") == "… is it"


def test_what_is_no_secret_stays() -> None:
    for text in (
        "bob owes you 12.40 USD",
        "http://127.0.0.1:7770/accounts/bob/ilp",
        "3 tokens",
        "a token bucket",
    ):
        assert redacted(text) == text


def test_a_traceback_is_redacted_too(memory: LogMemory) -> None:
    try:
        int("token=s3cret-t0ken")
    except ValueError:
        LOG.info("failed with %s", Secret("s3cret-t0ken"), exc_info=True)

    (line,) = memory.lines(after_sequence=0, limit=1)
    assert "ValueError" in line.text
    assert "s3cret-t0ken" not in line.text


def test_the_levels_of_interledger_rs_are_understood(memory: LogMemory) -> None:
    assert memory.set_level("debug,test-root.part=trace") == "debug,test-root.part=debug"
    assert memory.set_level("warn") == "warning"
    assert memory.set_level("off") == "critical"


def test_a_directive_sets_levels_and_the_next_takes_them_back(memory: LogMemory) -> None:
    assert memory.set_level("warning, test-root.part=debug") == "warning,test-root.part=debug"
    assert logging.getLogger("test-root").level == logging.WARNING
    assert LOG.isEnabledFor(logging.DEBUG)

    assert memory.set_level("error") == "error"
    assert not LOG.isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("directive", ["loud", "info,core=loud", "=debug", "core="])
def test_a_directive_that_is_none_changes_nothing(directive: str, memory: LogMemory) -> None:
    memory.set_level("warning")

    with pytest.raises(SettingError):
        memory.set_level(directive)

    assert logging.getLogger("test-root").level == logging.WARNING


@pytest.mark.parametrize("word", ["a", "a-", "://a", "0", "bearer ", "x='", "token="])
def test_a_strangers_endless_word_does_not_hold_up_the_log(word: str) -> None:
    text = word * (200_000 // len(word))

    started = time.thread_time()
    redacted(text)

    assert time.thread_time() - started < 1.0


def test_a_secret_is_found_at_the_end_of_a_longer_name() -> None:
    assert redacted("ilp_over_http_incoming_token: xyz") == "ilp_over_http_incoming_token: …"
