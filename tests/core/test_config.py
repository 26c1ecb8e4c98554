"""Settings: where they come from, which wins, and what is refused."""

from __future__ import annotations

import stat
from fractions import Fraction
from pathlib import Path

import pytest

from core.account import Secret
from core.config import (
    SETTINGS,
    Bind,
    NodeConfig,
    Reach,
    admin_token,
    load_config,
    sqlite_path,
)
from core.errors import SettingError
from core.packet import Address, address


def written(folder: Path, text: str) -> Path:
    file = folder / "node.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SIGNALBOX_IN_FLIGHT_MX", "SIGNALBOX_IN_FLIGHT_MAX"),
        ("SIGNALBOX_store", "SIGNALBOX_STORE"),
    ],
)
def test_a_misspelt_variable_is_refused_with_what_was_meant(variable: str, meant: str) -> None:
    with pytest.raises(SettingError, match=f"{variable}: .* did you mean {meant}\\?"):
        load_config({}, {variable: "5"})


def test_variables_that_are_near_to_no_setting_are_others() -> None:
    others = ("CONFIG", "PASSPHRASE", "NODE_URL", "SEED")

    assert load_config({}, {f"SIGNALBOX_{name}": "5" for name in others}) == load_config({}, {})


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path,
) -> None:
    file = written(
        tmp_path,
        'http_bind = "127.0.0.1:1"\nmin-message-window-ms = 1\ndrain_seconds = 1\nspread = 0.1\n',
    )
    environment = {"SIGNALBOX_MIN_MESSAGE_WINDOW_MS": "2", "SIGNALBOX_DRAIN_SECONDS": "2"}

    config = load_config({"drain_seconds": "3"}, environment, file)

    assert config.http_bind == Bind("127.0.0.1", 1)
    assert (config.min_message_window_ms, config.drain_seconds) == (2, 3)
    assert config.spread == Fraction(1, 10)


@pytest.mark.parametrize("store", ["sqlite:///node.db", "sqlite:///var/lib/node.db"])
def test_a_store_that_depends_on_where_the_program_was_started_is_refused_with_both_ways_out(
    store: str,
) -> None:
    with pytest.raises(SettingError) as caught:
        load_config({"store": store}, {})

    path = store.removeprefix("sqlite:///")
    assert f"sqlite:////{path} (four slashes)" in str(caught.value)
    assert f"sqlite:///./{path}" in str(caught.value)


def test_a_store_is_at_home_or_in_this_folder_where_its_url_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/alice")

    assert sqlite_path("sqlite:///./node.db") == tmp_path / "node.db"
    assert sqlite_path("sqlite:///~/node.db") == Path("/home/alice/node.db")
    assert sqlite_path("sqlite:////srv/node.db") == Path("/srv/node.db")
    assert sqlite_path("memory:") is None


def test_without_any_setting_all_have_defaults_on_loopback() -> None:
    config = load_config({}, {})

    assert config.http_bind.is_loopback
    assert config.store.startswith("sqlite:///")
    assert config.warnings() == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("htp_bind = 'x'", "no such setting; did you mean http_bind?"),
        ("zzz = 1", "no such setting; there are store, ilp_address"),
        ("store = true", "True where text or a number is needed"),
        ("store = ['a']", "where text or a number is needed"),
        ("store = ", "is not TOML"),
    ],
)
def test_a_file_with_a_fault_is_refused_with_a_sentence(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=words.replace("[", r"\[")):
        load_config({}, {}, written(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot be read: No such file"):
        load_config({}, {}, tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ilp_address", "test", "a segment is needed"),
        ("ilp_address", "peer.x", "for one link or machine only"),
        ("ilp_address", "elsewhere.x", "starts with 'elsewhere'"),
        ("http_bind", "7770", "HOST:PORT"),
        ("http_bind", "127.0.0.1:x", "HOST:PORT"),
        ("http_bind", "127.0.0.1:65536", "ports end at 65535"),
        ("hosts", "", "'' is no name of a host"),
        ("hosts", "node.example,", "'' is no name of a host"),
        ("hosts", "https://node.example", "without scheme and port"),
        ("hosts", "node.example:443", "without scheme and port"),
        ("hosts", "*.example", "no name of a host"),
        ("hosts", "nodé.example", "no name of a host"),
        ("hosts", "a." * 127, "no name of a host"),
        ("admin_token", " ", "empty"),
        ("admin_token", "two words", "without spaces"),
        ("spread", "1", "below 1"),
        ("spread", "-0.1", "at least 0"),
        ("spread", "nan", "no share"),
        ("spread", "inf", "no share"),
        ("spread", "1/0", "no share"),
        ("spread", "1e-99999999", "no share"),
        ("spread", "1e-1_0_0_0_0_0_0", "no share"),
        ("spread", "0." + "9" * 5000, "no share"),
        ("spread", "1e-19", "more than 18 decimals"),
        ("in_flight_max", "9" * 5000, "no whole number"),
        ("http_bind", "127.0.0.1:" + "9" * 5000, "HOST:PORT"),
        ("min_message_window_ms", "-1", "-1 is not between 0 and 60000"),
        ("drain_seconds", "--1", "no whole number"),
        ("min_message_window_ms", "1.5", "no whole number"),
        ("min_message_window_ms", "60001", "not between 0 and 60000"),
        ("min_message_window_ms", "30000", None),
        ("drain_seconds", "26", "not between 0 and 25"),
        ("store", "", "empty"),
        ("store", "redis://127.0.0.1", "names no store; use sqlite:///PATH"),
    ],
)
def test_an_impossible_setting_is_refused_and_named(
    name: str, text: str, words: str | None
) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        load_config({name: text}, {})

    assert caught.value.field == (name if words else "hold_ms_max")


def test_hosts_are_names_between_commas_in_any_case() -> None:
    assert load_config({"hosts": "Node.Example, other"}, {}).hosts == ("node.example", "other")


@pytest.mark.parametrize(
    ("text", "spread"),
    [
        ("0", Fraction(0)),
        ("0.001", Fraction(1, 1000)),
        ("1%", Fraction(1, 100)),
        ("1/3", Fraction(1, 3)),
        ("1e-3", Fraction(1, 1000)),
    ],
)
def test_a_spread_is_exact(text: str, spread: Fraction) -> None:
    assert load_config({"spread": text}, {}).spread == spread


def test_a_port_that_others_can_reach_and_a_short_token_are_warned_of() -> None:
    config = load_config({"http_bind": "[::]:7770", "admin_token": "short"}, {})

    address, token = config.warnings()
    assert "open to other machines at [::]:7770" in address
    assert "5 characters" in token
    assert "short" not in token


def test_every_setting_has_an_option_a_variable_and_help() -> None:
    for setting in SETTINGS:
        assert setting.option.startswith("--")
        assert setting.variable.startswith("SIGNALBOX_")
        assert setting.help


# --- Payments


def test_where_receivers_are_looked_up_follows_from_network_and_port_unless_it_is_said() -> (
    None
):
    test_net, live = address("test.node"), address("g.node")
    inside, outside = {"http_bind": "127.0.0.1:7770"}, {"http_bind": "0.0.0.0:7770"}

    def reach(settings: dict[str, str], own: Address) -> Reach:
        return load_config(settings, {}).reach(own)

    assert reach(inside, test_net) is Reach.LOOPBACK
    assert reach(inside, live) is Reach.PUBLIC
    assert reach(outside, test_net) is Reach.PUBLIC
    assert reach({**outside, "payment_reach": "ANY"}, live) is Reach.ANY
    assert reach({**inside, "payment_reach": "public"}, test_net) is Reach.PUBLIC
    with pytest.raises(SettingError, match="none of auto, public, loopback, any"):
        load_config({"payment_reach": "everywhere"}, {})


def test_a_public_host_is_one_name_without_a_port() -> None:
    assert load_config({"public_host": "Pay.Example"}, {}).public_host == "pay.example"
    for wrong in ("pay.example:443", "https://pay.example", "a.example,b.example"):
        with pytest.raises(SettingError, match="public_host"):
            load_config({"public_host": wrong}, {})


# --- The admin token


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    store = tmp_path / "made" / "signalbox.db"

    token, file = admin_token(NodeConfig(), store)
    again, _ = admin_token(NodeConfig(), store)

    assert file is not None
    assert (token, len(token.reveal())) == (again, 43)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_given_token_is_not_written_down(tmp_path: Path) -> None:
    config = NodeConfig(admin_token=Secret("given"))

    token, file = admin_token(config, tmp_path / "signalbox.db")

    assert (token, file) == (Secret("given"), None)
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_was_emptied_is_named_with_its_file(tmp_path: Path) -> None:
    kept = tmp_path / "signalbox.db.admin-token"
    kept.touch()

    with pytest.raises(
        SettingError, match=r"signalbox\.db\.admin-token has none that can be: it is empty"
    ):
        admin_token(NodeConfig(), tmp_path / "signalbox.db")


def test_a_link_in_the_place_of_the_token_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("stolen")
    (tmp_path / "signalbox.db.admin-token").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SettingError, match="cannot be used"):
        admin_token(NodeConfig(), tmp_path / "signalbox.db")


def test_a_store_without_a_file_needs_a_token() -> None:
    config = NodeConfig(store="memory:")

    with pytest.raises(SettingError, match="give one"):
        admin_token(config, sqlite_path(config.store))
