from __future__ import annotations

import pytest

from desktop.models.qr_code import TEXT_OCTETS_MAX, qr_squares
from tests.desktop.qr_reader import read_qr

LONG = f"g.{'segment-of-27-letters.' * 46}end"


@pytest.mark.parametrize(
    "text",
    [
        "g.eu.alice",
        "test.signalbox.alice",
        "$wallet.example/alice~3",
        "https://wallet.example/accounts/alice/spsp?x=1",
        f"test.{'b' * 180}",
        LONG,
    ],
)
def test_what_is_written_is_read_back(text: str) -> None:
    assert read_qr(qr_squares(text)) == text


def test_a_reader_notices_a_wrong_square() -> None:
    squares = [list(row) for row in qr_squares("g.eu.alice")]
    squares[10][11] = not squares[10][11]

    with pytest.raises(AssertionError):
        read_qr(squares)


def test_the_longest_address_has_a_code_and_what_is_longer_than_any_has_none() -> None:
    assert read_qr(qr_squares(f"g.{'a' * 1_021}")) == f"g.{'a' * 1_021}"
    assert qr_squares("a" * (TEXT_OCTETS_MAX + 1)) == ()
    assert qr_squares("") == ()
