from __future__ import annotations

import json
from pathlib import Path

import pytest

from desktop.settings import Settings, SettingsFile
from desktop.theme import ThemeChoice


def test_settings_come_back_with_the_types_they_had(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "window.json"

    SettingsFile(path).change(
        theme=ThemeChoice.DARK,
        rail_collapsed=False,
        inspector_open=False,
        geometry=b"\x00\xff",
        graph_seconds=3600,
        engines={"ethereum": "http://127.0.0.1:8545"},
    )

    assert SettingsFile(path).current == Settings(
        theme=ThemeChoice.DARK,
        inspector_open=False,
        geometry=b"\x00\xff",
        graph_seconds=3600,
        engines={"ethereum": "http://127.0.0.1:8545"},
    )


def test_a_value_of_another_type_is_its_default_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "window.json"
    path.write_text(
        json.dumps(
            {
                "version": 1, "theme": "purple", "rail_collapsed": "false", "geometry": "!",
                "graph_seconds": True, "engines": {"ethereum": 5}, "page": "peers",
            }
        )
    )  # fmt: skip

    assert SettingsFile(path).current == Settings(page="peers")


@pytest.mark.parametrize("text", ["[]", '{"version": 2, "page": "peers"}', "7"])
def test_a_file_that_is_none_of_ours_is_not_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "window.json"
    path.write_text(text)

    assert SettingsFile(path).current == Settings()


@pytest.mark.logs_warning
def test_a_torn_file_is_told_of_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "window.json"
    path.write_text('{"version": 1, "pa')

    file = SettingsFile(path)
    file.change(page="logs")

    assert SettingsFile(path).current.page == "logs"


@pytest.mark.logs_warning
def test_a_file_that_cannot_be_written_does_not_stop_the_window(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    file = SettingsFile(tmp_path / "in the way" / "window.json")

    file.change(page="logs")

    assert file.current.page == "logs"


def test_without_a_file_settings_live_as_long_as_the_window() -> None:
    file = SettingsFile(None)

    file.change(page="logs")

    assert file.current.page == "logs"
