"""Each fuzz target holds on random octets, and on valid packets cut, doubled and changed anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tests.fuzz.decoders import TARGETS, run
from tests.fuzz.seeds import SEEDS


@pytest.mark.parametrize("name", TARGETS)
@given(octets=st.binary(max_size=200))
def test_random_octets_raise_nothing_but_a_packet_error(name: str, octets: bytes) -> None:
    run(TARGETS[name], octets)


@pytest.mark.parametrize("name", TARGETS)
@given(
    seed=st.sampled_from(SEEDS),
    start=st.integers(0, 300),
    end=st.integers(0, 300),
    insert=st.binary(max_size=9),
)
def test_a_packet_with_a_piece_replaced_raises_nothing_but_a_packet_error(
    name: str, seed: bytes, start: int, end: int, insert: bytes
) -> None:
    run(TARGETS[name], seed[:start] + insert + seed[end:])
