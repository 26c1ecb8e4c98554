"""One canonical form of a username, so that `Bob`, `bob` and `ｂｏｂ` are one account."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_CANONICAL: Final = re.compile(r"[a-z0-9_~-]{2,32}")


def canonical_username(text: str) -> str:
    """Return how the username is stored and found: NFKC, in lower case, without blanks around it."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def is_canonical_username(text: str) -> bool:
    """Tell whether an account may have this name, which is also a segment of its ILP address."""
    return _CANONICAL.fullmatch(text) is not None
