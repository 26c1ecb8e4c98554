"""Where a command's answer goes: as a table for people, or as the node's own JSON for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TextIO, final

from core.cli.tables import shown


@final
@dataclass(frozen=True, slots=True)
class Output:
    """Writes one answer, one way or the other."""

    stream: TextIO
    as_json: bool
    notes: TextIO | None = None
    """Where a person sees how far something is, on one line that is written anew; None where nobody looks."""

    def show(self, answer: object, text: str) -> None:
        """Write the node's answer: `text` is what a person reads of it."""
        if self.as_json:
            self.stream.write(json.dumps(answer, indent=2, ensure_ascii=True) + "\n")
        else:
            self.stream.write(text)

    def write(self, text: str) -> None:
        """Write what is a document of its own."""
        self.stream.write(text)

    def line(self, answer: object, text: str) -> None:
        """Write one of many answers, each a line, as soon as it is there."""
        self.stream.write(
            (json.dumps(answer, ensure_ascii=True) if self.as_json else text) + "\n"
        )
        self.stream.flush()

    def note(self, text: str) -> None:
        """Write over the last note; an empty one clears it."""
        if self.notes is not None:
            self.notes.write(f"\r\x1b[K{shown(text) if text else ''}")
            self.notes.flush()
