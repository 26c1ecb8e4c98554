from __future__ import annotations

import pytest

from desktop.passphrase import fits, hash_of

QUICK = 4
"""As tests need it; what is kept says how much work it takes."""


def test_only_the_passphrase_fits_and_two_hashes_of_it_differ() -> None:
    kept, other = (
        hash_of("correct horse", log_cost=QUICK),
        hash_of("correct horse", log_cost=QUICK),
    )

    assert fits("correct horse", kept)
    assert fits("correct horse", other)
    assert kept != other, "each has a salt of its own"
    assert not fits("correct horsf", kept)
    assert not fits("", kept)
    assert "correct" not in kept


def test_a_hash_of_this_program_costs_what_it_should() -> None:
    kind, log_cost, block_size, parallel, *_ = hash_of("correct horse").split("$")

    assert (kind, log_cost, block_size, parallel) == ("scrypt", "15", "8", "1")


@pytest.mark.parametrize(
    "kept",
    [
        "", "correct horse", "$$$$$", "scrypt$4$8$1$!!$AA==", "scrypt$4$8$1$AAAA$A",
        "scrypt$40$8$1$AAAA$AAAA", "scrypt$4$99999999999$1$AAAA$AAAA", "scrypt$4$8$0$AAAA$AAAA",
        "scrypt$20$64$1$AAAA$AAAA", "md5$4$8$1$AAAA$AAAA", "scrypt$4$-8$1$AAAA$AAAA",
    ],
)  # fmt: skip
def test_what_cannot_be_read_or_would_take_too_long_fits_nothing(kept: str) -> None:
    assert not fits("correct horse", kept)


def test_a_passphrase_in_any_script_fits() -> None:
    assert fits("Zürich 東京 🔒", hash_of("Zürich 東京 🔒", log_cost=QUICK))
