"""docs/configuration.md says what the programs do."""

from __future__ import annotations

import re
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest

from core.config import SETTINGS, NodeConfig, Setting, load_config
from core.settlement.__main__ import main as signalbox_engine

PAGE: Final = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_a_line(setting: Setting) -> None:
    assert f"| `{setting.name}` | " in PAGE


def test_no_setting_has_a_line_that_there_is_not() -> None:
    section = PAGE.partition("\n## The node\n")[2].partition("\n## ")[0]

    named = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)

    assert named == [field.name for field in fields(NodeConfig)]


def test_the_file_on_the_page_is_read_and_has_the_defaults(tmp_path: Path) -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "node.toml"
    file.write_text(toml)

    config, plain = load_config({}, {}, file), NodeConfig()

    assert config.spread == Fraction(1, 200)
    for field in fields(NodeConfig):
        if field.name not in {"store", "ilp_address", "spread", "name"}:
            assert getattr(config, field.name) == getattr(plain, field.name), field.name
        if field.type == "int":
            assert f"| `{field.name}` | {getattr(plain, field.name)} | " in PAGE


def test_every_option_of_the_engine_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        signalbox_engine(["ethereum", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))

    named = set(re.findall(r"^\| `(--[a-z-]+)` \|", PAGE, re.MULTILINE))

    assert options - named == {"--help", "--log-level", "--stop-with-stdin"}
    assert named <= options
