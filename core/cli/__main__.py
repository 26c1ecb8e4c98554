"""`signalbox-cli`: one command, one answer, one exit code."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from core.account import Secret
from core.cli.client import (
    TOKEN_VARIABLE,
    BadSetting,
    Credentials,
    HttpNode,
    Node,
    Refused,
    Unreachable,
)
from core.cli.nearest import nearest
from core.cli.output import Output
from core.cli.parser import URL_DEFAULT, URL_VARIABLE, build_parser
from core.config import default_store, sqlite_path
from core.errors import SettingError

EXIT_DONE: Final = 0
EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
STORE_VARIABLE: Final = "SIGNALBOX_STORE"
_TOKEN_CHARACTERS_MAX: Final = 4_096


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        return run(arguments, os.environ, sys.stdout, sys.stderr)
    except BrokenPipeError:
        # Whoever read us has seen enough, as `head` does; nothing more is to be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except KeyboardInterrupt:
        return 130


def run(
    arguments: Sequence[str] | None,
    environment: Mapping[str, str],
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """Run one command with everything it knows of the world handed in."""
    parsed = build_parser().parse_args(arguments)
    url = parsed.node or environment.get(URL_VARIABLE) or URL_DEFAULT
    node: Node | None = None
    try:
        node = HttpNode(url, _credentials(parsed, environment, url))
        notes = stderr if stderr.isatty() else None
        code = parsed.run(node, parsed, Output(stdout, as_json=parsed.json, notes=notes))
        stdout.flush()
    except (Refused, BadSetting, Unreachable) as error:
        hint = nearest(node, str(error)) if isinstance(error, Refused) and node else ""
        stderr.write(f"signalbox-cli: {error}{hint}\n")
        if isinstance(error, Refused):
            return EXIT_REFUSED
        return EXIT_USAGE if isinstance(error, BadSetting) else EXIT_UNREACHABLE
    return EXIT_DONE if code is None else int(code)


def _credentials(
    parsed: argparse.Namespace, environment: Mapping[str, str], url: str
) -> Credentials:
    """Return the token that was given, or the one that a node on this machine left for us."""
    # The file's token is this machine's: it is not sent to another one.
    path = _kept(environment) if _is_this_machine(url) else None
    kept = "" if path is None else str(path)
    if parsed.auth:
        return Credentials(_checked(parsed.auth), "--auth", kept)
    if parsed.auth_file:
        try:
            return Credentials(_read_token(Path(parsed.auth_file)), parsed.auth_file, kept)
        except OSError as error:
            raise BadSetting(
                f"{parsed.auth_file} cannot be read: {error.strerror or error}"
            ) from None
    if token := environment.get(TOKEN_VARIABLE):
        return Credentials(_checked(token), TOKEN_VARIABLE, kept)
    try:
        return Credentials(None if path is None else _read_token(path), kept, kept)
    except OSError:
        return Credentials(kept=kept)


def _kept(environment: Mapping[str, str]) -> Path | None:
    """Return where a node of this machine leaves its token."""
    try:
        path = sqlite_path(environment.get(STORE_VARIABLE) or default_store())
    except SettingError as error:
        raise BadSetting(f"{STORE_VARIABLE}: {error.problem}") from None
    return None if path is None else path.with_name(path.name + ".admin-token")


def _read_token(path: Path) -> Secret | None:
    with path.open(encoding="ascii", errors="replace") as opened:
        token = opened.read(_TOKEN_CHARACTERS_MAX).strip()
    return _checked(token) if token else None


def _checked(token: str) -> Secret:
    if not token.isascii() or not token.isprintable():
        raise BadSetting("the token has characters that a header cannot carry")
    return Secret(token)


def _is_this_machine(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
