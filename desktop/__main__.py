"""`signalbox`: the window, with a node inside it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from core.config import (
    CONFIG_VARIABLE,
    SETTINGS,
    config_file,
    load_config,
    program_version,
)
from core.errors import InterledgerError, SettingError
from core.settlement.engines.json_rpc import host_of
from core.telemetry.log import FORMAT, RedactingFormatter
from desktop.qt_imports import load_qt

EXIT_REFUSED: Final = 2
_HEADLESS_PLATFORMS: Final = ("offscreen", "minimal", "vnc")
QT_PACKAGES: Final = (
    "libgl1 libegl1 libxkbcommon0 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 "
    "libxcb-keysyms1 libxcb-shape0 libdbus-1-3 libfontconfig1"
)
"""What Qt needs of a Debian; each was found by leaving it out."""

NO_DISPLAY: Final = """\
signalbox: there is no display to open a window on (DISPLAY and WAYLAND_DISPLAY are not set).
  pictures of every page:   signalbox --demo --screenshots DIR
  the node without window:  signalbox-node run
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parsed = _parser().parse_args(arguments)
    if parsed.screenshots is not None:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    elif not has_display(os.environ, sys.platform):
        sys.stderr.write(NO_DISPLAY)
        return EXIT_REFUSED
    os.environ.setdefault("QT_API", "pyside6")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    given = {
        setting.name: value
        for setting in SETTINGS
        if (value := getattr(parsed, setting.name)) is not None
    }
    try:
        config = load_config(given, os.environ, config_file(parsed.config, os.environ))
        if parsed.ethereum_rpc is not None:
            host_of(parsed.ethereum_rpc)
        if parsed.screenshots is not None:
            _make_folder(parsed.screenshots)
        # Qt is loaded only now: --help and a wrong setting are told at once, and without its libraries.
        load_qt()
        from desktop.app import Options, run  # noqa: PLC0415
        from desktop.theme import ThemeChoice  # noqa: PLC0415
    except InterledgerError as error:
        sys.stderr.write(f"signalbox: {error}\n")
        return EXIT_REFUSED
    except ImportError as error:
        sys.stderr.write(
            f"signalbox: Qt cannot be loaded: {error}\n"
            f"  on Debian or Ubuntu: apt install {QT_PACKAGES}\n"
        )
        return EXIT_REFUSED
    return run(
        Options(
            config=config,
            given=frozenset(given),
            demo=parsed.demo,
            screenshots=parsed.screenshots,
            theme=None if parsed.theme is None else ThemeChoice(parsed.theme),
            ethereum_rpc=parsed.ethereum_rpc,
        )
    )


def _make_folder(folder: Path) -> None:
    """Make the pictures' folder, before minutes are spent on what is to be seen on them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            "screenshots", f"{folder} cannot be made: {error.strerror or error}"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingError("screenshots", f"nothing can be written into {folder}")


def has_display(environment: Mapping[str, str], platform: str) -> bool:
    """Tell whether a window can be opened, or Qt was told to do without one."""
    if platform in ("win32", "darwin"):
        return True
    if environment.get("QT_QPA_PLATFORM", "").split(":")[0] in _HEADLESS_PLATFORMS:
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signalbox",
        description="An Interledger node with a window: peers, routes, traffic, balances and settlement, live. "
        "The first start creates what it needs in your data folder, and listens on this machine only.",
        epilog="Each setting of the node may also be in the environment (SIGNALBOX_HTTP_BIND) or in the file of "
        "--config. examples: `signalbox` opens your node; `signalbox --demo` opens a throw-away one with "
        "neighbours, traffic and a test chain; `signalbox --demo --screenshots shots` writes pictures of it.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {program_version()}")
    parser.add_argument(
        "--demo",
        action="store_true",
        help="open a throw-away node and start the practice network around it",
    )
    parser.add_argument(
        "--screenshots",
        metavar="DIR",
        type=Path,
        help="write a picture of every page, light and dark, without a display, and exit",
    )
    parser.add_argument(
        "--theme",
        choices=("system", "light", "dark"),
        help="how it looks (default: what was chosen last, or as the system does)",
    )
    parser.add_argument(
        "--ethereum-rpc",
        metavar="URL",
        help="start the ethereum engine with the window, on the chain of this JSON-RPC address; kept for next time",
    )
    node = parser.add_argument_group("the node inside")
    node.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help=f"a TOML file with settings (or {CONFIG_VARIABLE})",
    )
    for setting in SETTINGS:
        node.add_argument(
            setting.option, dest=setting.name, metavar=setting.placeholder, help=setting.help
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
