"""What a receiver says that it counts, where it can be used: it is shown and written down, and comes from anybody."""

from __future__ import annotations

from typing import Final

from core.account import SCALE_MAX, Asset

CODE_CHARACTERS_MAX: Final = 64


def told_asset(code: object, scale: object) -> Asset | None:
    """Return the asset, or None where what was said is none: then it is as if it had not been said."""
    if not isinstance(code, str) or not 0 < len(code) <= CODE_CHARACTERS_MAX:
        return None
    if not isinstance(scale, int) or isinstance(scale, bool) or not 0 <= scale <= SCALE_MAX:
        return None
    return Asset(code, scale) if code.isprintable() else None
