"""JSON from outside is counted before it is parsed, and counted as the parser would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from core.json_text import NestedTooDeeply, json_text

TRICKY = st.text(st.sampled_from('"\\[]{}aé∀'), max_size=6)
VALUES = st.recursive(
    st.one_of(st.none(), st.integers(), TRICKY),
    lambda inside: st.one_of(
        st.lists(inside, max_size=4), st.dictionaries(TRICKY, inside, max_size=4)
    ),
    max_leaves=30,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(value=VALUES, depth_max=st.integers(0, 6), is_ascii=st.booleans())
@example(value=['"[', "\\", {"]": [[]]}], depth_max=3, is_ascii=False)
@example(value=[['"\\"[']], depth_max=2, is_ascii=True)
def test_as_deep_as_it_may_be_passes_and_deeper_is_refused(
    value: object, depth_max: int, is_ascii: bool
) -> None:
    octets = json.dumps(value, ensure_ascii=is_ascii).encode()

    if depth(value) <= depth_max:
        assert json.loads(json_text(octets, depth_max=depth_max)) == value
    else:
        with pytest.raises(NestedTooDeeply, match=f"more than {depth_max} deep"):
            json_text(octets, depth_max=depth_max)


@given(value=VALUES, depth_max=st.integers(0, 3), cut=st.integers(0, 200))
def test_what_breaks_off_is_counted_up_to_there(
    value: object, depth_max: int, cut: int
) -> None:
    octets = json.dumps(value).encode()[:cut] + b"[" * 1_000

    try:
        text = json_text(octets, depth_max=depth_max)
    except NestedTooDeeply:
        return
    assert '"' in text  # the brackets are in a text that is never closed
    with pytest.raises(json.JSONDecodeError, match=r"Unterminated string|Invalid .*escape"):
        json.loads(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_utf_16_cannot_hide_how_deep_it_is(encoding: str) -> None:
    # As octets, the letter ∀ (U+2200) is a quote and a zero.
    octets = ('{"a": "∀", "b": ' + "[" * 1_000).encode(encoding)

    with pytest.raises(ValueError, match=r"can't decode|too deeply|Expecting"):
        json.loads(json_text(octets, depth_max=3))


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert json_text(b"\xef\xbb\xbf[]", depth_max=1) == "[]"


def test_no_character_is_looked_at_twice() -> None:
    octets = (b'["' + b'\\"' * 500_000) * 2 + b"[" * 4
    assert json_text(octets, depth_max=3)  # all of it one text: it would take hours otherwise
