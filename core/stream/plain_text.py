"""What others write, as text that can be shown anywhere."""

from __future__ import annotations

from typing import Final

TEXT_CHARACTERS_MAX: Final = 1_000
"""Of what is kept with a payment: a message, and of ten thousand payments some megabytes."""


def plain_text(text: str, *, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """Return a text cut, and with what is no sign of a text replaced."""
    if len(text) > characters_max:
        text = text[: characters_max - 1] + "…"
    return "".join(
        sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}"
        for sign in text
    )
