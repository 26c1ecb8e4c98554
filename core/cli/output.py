"""Where a command's answer goes: as a table for people, or as the node's own JSON for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TextIO, final


@final
@dataclass(frozen=True, slots=True)
class Output:
    """Writes one answer, one way or the other."""

    stream: TextIO
    as_json: bool

    def show(self, answer: object, text: str) -> None:
        """Write the node's answer: `text` is what a person reads of it."""
        if self.as_json:
            self.stream.write(json.dumps(answer, indent=2, ensure_ascii=True) + "\n")
        else:
            self.stream.write(text)
