"""What the operator chose about the window: a small file of JSON with types of our own.

Qt's settings file gives `False` back as the text "false". Here a value that is missing or of another
type than it should be is its default, and the file is replaced as a whole or not at all.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, final

from desktop.theme import ThemeChoice

log = logging.getLogger(__name__)

VERSION: Final = 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that is kept between two starts, with what it is at the first."""

    theme: ThemeChoice = ThemeChoice.SYSTEM
    page: str = "overview"
    rail_collapsed: bool = False
    inspector_open: bool = True
    inspector_detached: bool = False
    inspector_geometry: bytes = b""
    """Where its own window stands, as Qt writes it."""
    geometry: bytes = b""
    """Where the window stands, as Qt writes it."""
    layout: bytes = b""
    """Its docks, as Qt writes them."""
    graph_seconds: int = 900
    amounts_hidden: bool = False
    passphrase: str = ""
    """What opens the window once it is locked, as a salted hash; empty where none was set."""
    locked: bool = False
    """It was locked when it was last closed, and is again when it is opened."""
    lock_after_minutes: int = 0
    """So long without input lock it; 0 never does."""
    engines: Mapping[str, str] = field(default_factory=dict)
    """Bundled engines to start with the window: name to the URL of the ledger's node."""


def default_settings_file() -> Path:
    """Return where the user's settings are."""
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(config) / "signalbox" / "window.json"


@final
class SettingsFile:
    """The settings and the file they are in; None keeps them in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.current = _read(path) if path is not None else Settings()

    def change(self, **changes: Any) -> None:
        """Change some and write the file; one that cannot be written costs the changes, not the window."""
        changed = replace(self.current, **changes)
        if changed == self.current:
            return
        self.current = changed
        if self.path is None:
            return
        try:
            _write(self.path, changed)
        except OSError as error:
            log.warning("the window's settings were not saved to %s: %s", self.path, error)


def _write(path: Path, settings: Settings) -> None:
    values = {name: write(getattr(settings, name)) for name, (_, write) in _CODECS.items()}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    # Nobody else has to read which passphrase may fit.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps({"version": VERSION, **values}, indent=1) + "\n")
    draft.replace(path)


def _read(path: Path) -> Settings:
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        log.warning("the window's settings in %s are not used: %s", path, error)
        return Settings()
    if not isinstance(values, dict) or values.get("version") != VERSION:
        return Settings()
    found = {}
    for name, (read, _) in _CODECS.items():
        try:
            found[name] = read(values[name])
        except (KeyError, ValueError):
            continue
    return Settings(**found)


def _exactly(kind: type) -> Callable[[object], Any]:
    def read(value: object) -> object:
        if type(value) is not kind:
            raise ValueError(f"{value!r} is no {kind.__name__}")
        return value

    return read


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no object")  # noqa: TRY004 # as all of these, of a file's text
    return {_exactly(str)(name): _exactly(str)(text) for name, text in value.items()}


def _octets(value: object) -> bytes:
    try:
        return base64.b64decode(_exactly(str)(value), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _same(value: Any) -> Any:
    return value


_Codec = tuple[Callable[[object], Any], Callable[[Any], Any]]
_OCTETS: Final[_Codec] = (_octets, lambda octets: base64.b64encode(octets).decode())
_CODECS: Final[Mapping[str, _Codec]] = {
    "theme": (ThemeChoice, lambda choice: choice.value),
    "page": (_exactly(str), _same),
    "rail_collapsed": (_exactly(bool), _same),
    "inspector_open": (_exactly(bool), _same),
    "inspector_detached": (_exactly(bool), _same),
    "inspector_geometry": _OCTETS,
    "geometry": _OCTETS,
    "layout": _OCTETS,
    "graph_seconds": (_exactly(int), _same),
    "amounts_hidden": (_exactly(bool), _same),
    "passphrase": (_exactly(str), _same),
    "locked": (_exactly(bool), _same),
    "lock_after_minutes": (_exactly(int), _same),
    "engines": (_texts, dict),
}
assert set(_CODECS) == {each.name for each in fields(Settings)}
