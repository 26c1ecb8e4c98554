"""JSON from outside, looked at before it is parsed: what comes out can be given to Python's parser.

That parser recurses in C. How deep it may go follows from Python's recursion limit, which a library may
have raised (py-evm does), and then a body of nothing but brackets ends the process.
"""

from __future__ import annotations

import re
from typing import Final

_TEXT_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[][{}]', re.DOTALL)
"""A text that is never closed goes to the end: no character is looked at twice."""


class NestedTooDeeply(ValueError):
    """More brackets are open at once than what is expected has."""


def json_text(octets: bytes | bytearray, *, depth_max: int) -> str:
    """Return the text to parse; it is UTF-8, as JSON between programs is.

    Raises:
        NestedTooDeeply: more than `depth_max` brackets are open at once.
        UnicodeDecodeError: it is no UTF-8. Python's parser would take UTF-16 as well, where quotes
            and brackets are not told apart from halves of other letters.
    """
    text = octets.decode("utf-8-sig")
    if text.count("[") + text.count("{") <= depth_max:
        return text
    depth = 0
    for found in _TEXT_OR_BRACKET.finditer(text):
        sign = found.group()
        if sign in ("[", "{"):
            depth += 1
            if depth > depth_max:
                raise NestedTooDeeply(f"it is nested more than {depth_max} deep")
        elif sign in ("]", "}"):
            depth -= 1
    return text
