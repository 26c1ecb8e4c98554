"""Widgets whose words may name amounts: what they were told is kept, and said as it may be seen now."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QApplication

from desktop import formatting


class Discreet:
    """To stand before a widget's class: its tooltip and what a screen reader says name no hidden amount.

    A widget that writes or paints a text of its own passes it through `formatting.shown`, and writes
    it anew in `tell_again`.
    """

    def _tell(self, setter: str, text: str) -> None:
        told: dict[str, str] = self.__dict__.setdefault("_told", {})
        told[setter] = text
        self._write(setter, text)

    def _write(self, setter: str, text: str) -> None:
        write: Any = getattr(super(), setter)
        write(formatting.shown(text))

    def setToolTip(self, text: str) -> None:
        self._tell("setToolTip", text)

    def setAccessibleName(self, text: str) -> None:
        self._tell("setAccessibleName", text)

    def setAccessibleDescription(self, text: str) -> None:
        self._tell("setAccessibleDescription", text)

    def tell_again(self) -> None:
        """Say everything anew: amounts are hidden now, or no longer are."""
        told: dict[str, str] = self.__dict__.get("_told", {})
        for setter, text in told.items():
            self._write(setter, text)


def tell_everything_again() -> None:
    """Have every widget that may name an amount say it anew, those that are not seen too."""
    for widget in QApplication.allWidgets():
        if isinstance(widget, Discreet):
            widget.tell_again()
