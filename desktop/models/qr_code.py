"""A text as a QR code: which of its squares are dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import segno

QUIET_ZONE: Final = 4
"""So many light squares are around a code, or it is not found (ISO/IEC 18004)."""
TEXT_OCTETS_MAX: Final = 2_000
"""What fits in a code with a seventh of it in doubt; no address is half as long."""


def qr_squares(text: str) -> Sequence[Sequence[bool]]:
    """Return the code's rows, without the quiet zone; none where the text is empty or too long for a code."""
    if not text or len(text.encode()) > TEXT_OCTETS_MAX:
        return ()
    code = segno.make(text, error="m", micro=False)
    return tuple(tuple(bool(square) for square in row) for row in code.matrix)
