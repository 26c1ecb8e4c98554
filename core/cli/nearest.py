"""What somebody may have meant who named an account that is not there."""

from __future__ import annotations

import difflib
import re
from typing import Final

from core.cli.answers import as_rows
from core.cli.client import Node, Refused, Unreachable
from core.cli.tables import visible

LOOKED_AT_MAX: Final = 5_000
"""Among more, a name that is nearly right takes longer to find than to look up."""
_UNKNOWN: Final = re.compile(r"there is no account ['\"](.{1,100})['\"]", re.IGNORECASE)


def nearest(node: Node, refusal: str) -> str:
    """Return what to add to a refusal that knows no such account; empty where nothing is near."""
    found = _UNKNOWN.search(refusal)
    if found is None:
        return ""
    try:
        rows = as_rows(node.call("GET", "accounts"))
    except (Refused, Unreachable):
        return ""
    names = [str(row.get("username")) for row in rows[:LOOKED_AT_MAX]]
    close = difflib.get_close_matches(found[1].lower(), names, n=1)
    return f" Did you mean {visible(close[0])}?" if close else ""
