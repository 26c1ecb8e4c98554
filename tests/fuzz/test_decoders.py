"""Each fuzz target holds on random octets, and on valid packets cut, doubled and changed anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.packet import ErrorCode, Fulfill, Prepare, Reject
from tests.fuzz.decoders import TARGETS, run

SEEDS = (
    bytes(
        Prepare.build(
            amount=7, expires_at_ms=1, condition=bytes(32), destination="g.a.b", data=b"d"
        ).octets
    ),
    bytes(Fulfill.build(bytes(32), b"data" * 50).octets),
    bytes(Reject.build(ErrorCode.AMOUNT_TOO_LARGE, triggered_by="g.a", message="m").octets),
    b"test.alice.1",
    b"20261124170000123",
    b"\x0etest.parent.us\x09\x03USD",
)


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
