"""The node's settings: read once, at the border, and either all valid or refused with a sentence.

A setting is looked for on the command line, then in the environment (`SIGNALBOX_HTTP_BIND`), then in
the TOML file, and has a default otherwise. What a file says and no setting is called, is refused:
a misspelt limit must not be a limit that is not there.
"""

from __future__ import annotations

import enum
import ipaddress
import os
import re
import secrets
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, TypeAlias, final

from core.account import Secret
from core.errors import PacketError, SettingError
from core.packet import Address, address, scheme

ENVIRONMENT_PREFIX: Final = "SIGNALBOX_"
CONFIG_VARIABLE: Final = ENVIRONMENT_PREFIX + "CONFIG"
"""Where the settings' file is, unless the command line says it."""
MISSPELT: Final = 0.8
"""How alike, of 1, a variable's name and a setting's are where the one is taken for the other."""
HTTP_BIND_DEFAULT: Final = "127.0.0.1:7770"
ILP_ADDRESS_DEFAULT: Final = "test.signalbox"
ADMIN_TOKEN_CHARACTERS_ADVISED: Final = 16
EXAMPLE_TOKENS: Final = (
    "alices-own-token-0123456789",
    "admin-a", "admin-b", "admin-c",
    "hi_our_admin",
    "alice-password", "bob-password", "charlie-password",
    "alice_password", "bob_password", "charlie_password",
    "hi_alice", "hi_bob", "hi_charlie",
    "changeme", "password", "secret", "token", "admin", "test",
)  # fmt: skip
"""Out of our own pages, of Interledger.rs's, and of everybody's: the first that a stranger tries."""
MEMORY: Final = "memory:"
NO_STORE: Final = (
    "names no store; use sqlite:///PATH (an absolute path has four slashes) or memory:"
)
_SQLITE: Final = "sqlite:///"
_INTEGER: Final = re.compile(r"-?[0-9]{1,40}")
"""Python refuses to read some thousands of digits, and no setting has so many."""
_SHARE_CHARACTERS_MAX: Final = 60
_SHARE_DENOMINATOR_MAX: Final = 10**18
"""As finely as a spread is set while a node runs: it is multiplied on the packet's path."""
_EXPONENT: Final = re.compile(r"[eE][+-]?[0-9_]{3}")
"""One of three digits and more: 1e-99999999 would be reckoned for minutes."""
_HOST_CHARACTERS_MAX: Final = 253
_HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_FORWARDED_NOWHERE: Final = ("peer", "self")


@final
@dataclass(frozen=True, slots=True)
class Bind:
    """Where the port is opened."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Reach(enum.Enum):
    """Where receivers of payments may be looked up: who may pay could otherwise ask hosts behind our firewall."""

    AUTO = "auto"
    """As `loopback` while this node is on a test network and on this machine alone, as `public` otherwise."""
    PUBLIC = "public"
    LOOPBACK = "loopback"
    """Public hosts and this machine."""
    ANY = "any"


def program_version() -> str:
    """Return the version that is installed, or `unknown` where nothing is."""
    try:
        return version("signalbox")
    except PackageNotFoundError:
        return "unknown"


def default_store() -> str:
    """Return the URL of the database in the user's own data folder."""
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not data.is_absolute():  # as the XDG specification says of a relative one
        data = Path.home() / ".local" / "share"
    return f"{_SQLITE}{data / 'signalbox' / 'signalbox.db'}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Everything that a node process is told when it starts."""

    store: str = field(default_factory=default_store)
    ilp_address: Address | None = None
    """None keeps the address that the store has, or takes the default in a new one."""
    http_bind: Bind = field(default_factory=lambda: _bind("http_bind", HTTP_BIND_DEFAULT))
    hosts: tuple[str, ...] = ()
    """Further names that the API is called by, as behind a reverse proxy; addresses and localhost always do."""
    admin_token: Secret | None = None
    """None reads it from a file beside the store, which is made where it is missing."""
    spread: Fraction | None = None
    """None keeps what the store has."""
    min_message_window_ms: int = 1_000
    hold_ms_max: int = 30_000
    in_flight_max: int = 20_000
    in_flight_per_account_max: int = 2_000
    drain_seconds: int = 25
    route_broadcast_interval_ms: int = 30_000
    route_hold_down_ms: int = 45_000
    journal_hours: int = 24
    payment_days: int = 366
    default_spsp_account: str | None = None
    """Who is paid at `$host` itself; None answers that nobody is."""
    public_host: str | None = None
    """The name under which this node is reached from outside with TLS: payment pointers begin with it."""
    payment_reach: Reach = Reach.AUTO
    log_level: str = "info"
    name: str = field(default_factory=socket.gethostname)

    def reach(self, own: Address) -> Reach:
        """Return where a node with this address looks receivers up; never AUTO."""
        if self.payment_reach is not Reach.AUTO:
            return self.payment_reach
        is_practice = self.http_bind.is_loopback and scheme(own) != "g"
        return Reach.LOOPBACK if is_practice else Reach.PUBLIC

    def warnings(self) -> tuple[str, ...]:
        """Return what is allowed and dangerous, a sentence each."""
        token = "" if self.admin_token is None else token_problem(self.admin_token)
        return tuple(each for each in (self.port_problem, token) if each)

    @property
    def port_problem(self) -> str:
        """Why the port is a danger, a sentence without its full stop; empty where only this machine reaches it."""
        if self.http_bind.is_loopback:
            return ""
        return (
            f"the port is open to other machines at {self.http_bind}, and it speaks plain HTTP: put a reverse "
            "proxy with TLS before it, or bind it to 127.0.0.1"
        )


def token_problem(token: Secret) -> str:
    """Return why the operator's token can be guessed, a sentence without its full stop; empty where it cannot."""
    if token.reveal().lower() in EXAMPLE_TOKENS:
        return (
            "the admin token is one that stands in examples, which strangers try first: take at least "
            f"{ADMIN_TOKEN_CHARACTERS_ADVISED} random characters"
        )
    length = len(token.reveal())
    if length >= ADMIN_TOKEN_CHARACTERS_ADVISED:
        return ""
    return (
        f"the admin token has {length} characters and can be guessed: take at least "
        f"{ADMIN_TOKEN_CHARACTERS_ADVISED} random ones"
    )


_Parse: TypeAlias = Callable[[str, str], object]


@final
@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what the command line's help says of it, and how its text is read."""

    name: str
    placeholder: str
    help: str
    parse: _Parse

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()


def _text(name: str, text: str) -> str:
    if not text.strip():
        raise SettingError(name, "it is empty")
    return text.strip()


def _store(name: str, text: str) -> str:
    store = _text(name, text)
    if store != MEMORY and not store.startswith(_SQLITE):
        raise SettingError(name, f"{store!r} {NO_STORE}")
    if store != MEMORY and sqlite_path(store) is None:
        raise SettingError(
            name,
            f"{store!r} names no file; use sqlite:///PATH (an absolute path has four slashes)",
        )
    return store


def _address(name: str, text: str) -> Address:
    try:
        found = address(text.strip())
    except PacketError as error:
        raise SettingError(name, error.problem) from None
    if scheme(found) in _FORWARDED_NOWHERE:
        raise SettingError(
            name,
            f"{text!r} is for one link or machine only; a node is under g, test or private",
        )
    return found


def _bind(name: str, text: str) -> Bind:
    host, colon, digits = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or _INTEGER.fullmatch(digits) is None or digits.startswith("-"):
        raise SettingError(
            name, f"{text!r} is no address to listen on; it is HOST:PORT, as 127.0.0.1:7770"
        )
    port = int(digits)
    if port > 65_535:
        raise SettingError(name, f"there is no port {port}; ports end at 65535")
    return Bind(host, port)


def _hosts(name: str, text: str) -> tuple[str, ...]:
    hosts = tuple(part.strip().lower() for part in text.split(","))
    for host in hosts:
        if len(host) > _HOST_CHARACTERS_MAX or not _HOST.fullmatch(host):
            raise SettingError(
                name,
                f"{host!r} is no name of a host; it is written without scheme and port, as node.example, "
                "and several are separated by commas",
            )
    return hosts


def _host(name: str, text: str) -> str:
    host, *more = _hosts(name, text)
    if more:
        raise SettingError(name, f"{text!r} is more than one host")
    return host


def _username(name: str, text: str) -> str:
    return _text(name, text).lower()


def _reach(name: str, text: str) -> Reach:
    try:
        return Reach(text.strip().lower())
    except ValueError:
        known = ", ".join(reach.value for reach in Reach)
        raise SettingError(name, f"{text!r} is none of {known}") from None


def _secret(name: str, text: str) -> Secret:
    token = _text(name, text)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SettingError(
            name, "a token has printable ASCII characters without spaces, to fit a header"
        )
    return Secret(token)


def parse_spread(name: str, text: str) -> Fraction:
    """Return a share: `0.01`, `1/100` or `1%`, exact."""
    plain = text.strip()
    if len(plain) > _SHARE_CHARACTERS_MAX or _EXPONENT.search(plain) is not None:
        raise SettingError(
            name,
            f"{plain[:_SHARE_CHARACTERS_MAX]!r} is no share; it is written as 0.01 or 1%",
        )
    try:
        spread = Fraction(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        raise SettingError(name, f"{text!r} is no share; it is written as 0.01 or 1%") from None
    if not 0 <= spread < 1:
        raise SettingError(name, f"a spread is at least 0 and below 1, not {text}")
    if spread.denominator > _SHARE_DENOMINATOR_MAX:
        raise SettingError(name, f"{plain} has more than 18 decimals")
    return spread


def _number(least: int, most: int) -> _Parse:
    def parse(name: str, text: str) -> int:
        plain = text.strip().replace("_", "")
        if _INTEGER.fullmatch(plain) is None:
            raise SettingError(name, f"{text[:60]!r} is no whole number")
        number = int(plain)
        if not least <= number <= most:
            raise SettingError(name, f"{number} is not between {least} and {most}")
        return number

    return parse


SETTINGS: Final = (
    Setting(
        "store", "URL",
        "where everything is kept: sqlite:////absolute/path, or memory: to forget it all, "
        "which needs an admin token (default: signalbox.db in your data folder)", _store,
    ),
    Setting(
        "ilp_address", "ADDRESS",
        f"this node's ILP address (default: the one in the store, or {ILP_ADDRESS_DEFAULT})", _address,
    ),
    Setting(
        "http_bind", "HOST:PORT",
        f"where peers and operators reach this node (default: {HTTP_BIND_DEFAULT}; port 0 takes a free one)", _bind,
    ),
    Setting(
        "hosts", "NAME,NAME",
        "further names that the API is called by, as behind a reverse proxy (default: none; its address and "
        "localhost always are)", _hosts,
    ),
    Setting(
        "admin_token", "TOKEN",
        "the operator's token; better in SIGNALBOX_ADMIN_TOKEN or in the file, since others see a command line "
        "(default: in a file beside the store, made where it is missing)", _secret,
    ),
    Setting(
        "spread", "SHARE",
        "the share of each conversion that stays here, as 0.01 or 1%% (default: the one in the store, or 0)",
        parse_spread,
    ),
    Setting(
        "min_message_window_ms", "MS",
        "the least time that a next hop is asked with (default: 1000)", _number(0, 60_000),
    ),
    Setting(
        "hold_ms_max", "MS",
        "the longest that a packet is held (default: 30000)", _number(1_000, 600_000),
    ),
    Setting(
        "in_flight_max", "N",
        "packets in flight at once, all accounts together (default: 20000)", _number(1, 1_000_000),
    ),
    Setting(
        "in_flight_per_account_max", "N",
        "packets in flight at once, of one account (default: 2000)", _number(1, 1_000_000),
    ),
    Setting(
        "drain_seconds", "S",
        "how long a stopping node waits for packets in flight (default: 25)", _number(0, 25),
    ),
    Setting(
        "route_broadcast_interval_ms", "MS",
        "between two signs of life to peers that are told our routes, and between two questions to those that do "
        "not answer (default: 30000)", _number(100, 600_000),
    ),
    Setting(
        "route_hold_down_ms", "MS",
        "how long peers go on using routes that we told when they hear nothing more (default: 45000)",
        _number(1_000, 600_000),
    ),
    Setting(
        "journal_hours", "H",
        "how long each packet keeps a row of its own in the journal, before it is folded into totals "
        "(default: 24)", _number(1, 24 * 366),
    ),
    Setting(
        "payment_days", "D",
        "how long payments that ended, received payments and closed invoices are kept, with their idempotency keys "
        "(default: 366; at least 7, as long as an address for a payment is good)", _number(7, 36_600),
    ),
    Setting(
        "default_spsp_account", "USERNAME",
        "the account that is paid at this host's own payment pointer (default: none)", _username,
    ),
    Setting(
        "public_host", "NAME",
        "the host under which a reverse proxy with TLS shows this node: payment pointers are $NAME/username "
        "(default: none)", _host,
    ),
    Setting(
        "payment_reach", "WHERE",
        "where receivers of payments are looked up: public, loopback (and this machine), any, or auto, which is "
        "loopback for a test network's node on 127.0.0.1, and public otherwise (default: auto)", _reach,
    ),
    Setting(
        "log_level", "LEVEL",
        "info, or info,core.links=debug (default: info)", _text,
    ),
    Setting("name", "NAME", "what this node process is called (default: the host's name)", _text),
)  # fmt: skip

_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
assert set(_BY_NAME) == {entry.name for entry in fields(NodeConfig)}


def load_config(
    command_line: Mapping[str, str],
    environment: Mapping[str, str],
    file: Path | None = None,
) -> NodeConfig:
    """Return the settings that are in force.

    Raises:
        SettingError: one of them cannot be, or the file names one that there is not; says which.
    """
    texts: dict[str, str] = {}
    if file is not None:
        texts |= _read_file(file)
    _refuse_misspelt(environment)
    for setting in SETTINGS:
        if (text := environment.get(setting.variable)) is not None:
            texts[setting.name] = text
    texts |= command_line
    # NodeConfig checks its fields' names, and each parser gives its field's type.
    values = {name: _BY_NAME[name].parse(name, text) for name, text in texts.items()}
    config = NodeConfig(**values)  # type: ignore[arg-type]
    if config.hold_ms_max <= config.min_message_window_ms:
        raise SettingError(
            "hold_ms_max",
            f"{config.hold_ms_max} ms is no more than min_message_window_ms, {config.min_message_window_ms} ms: "
            "no packet could be forwarded",
        )
    if config.route_hold_down_ms <= config.route_broadcast_interval_ms:
        raise SettingError(
            "route_hold_down_ms",
            f"{config.route_hold_down_ms} ms is no more than route_broadcast_interval_ms, "
            f"{config.route_broadcast_interval_ms} ms: peers would drop our routes between two signs of life",
        )
    return config


def config_file(given: str | Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the file that the command line names, or else the environment."""
    name = given or environment.get(CONFIG_VARIABLE)
    return Path(name) if name else None


def _refuse_misspelt(environment: Mapping[str, str]) -> None:
    """Refuse a variable that is nearly a setting's; what is not near to any is some other program's."""
    settings = {setting.variable for setting in SETTINGS}
    for variable in environment:
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in settings:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        for near in get_close_matches(name, _BY_NAME, 1, MISSPELT):
            raise SettingError(
                variable, f"there is no such setting; did you mean {_BY_NAME[near].variable}?"
            )


def _read_file(file: Path) -> dict[str, str]:
    try:
        with file.open("rb") as opened:
            found = tomllib.load(opened, parse_float=str)
    except OSError as error:
        raise SettingError(
            "config", f"{file} cannot be read: {error.strerror or error}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError("config", f"{file} is not TOML: {error}") from None
    texts = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if name not in _BY_NAME:
            near = get_close_matches(name, _BY_NAME, 1)
            hint = (
                f"; did you mean {near[0]}?" if near else f"; there are {', '.join(_BY_NAME)}"
            )
            raise SettingError(key, f"there is no such setting{hint}")
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise SettingError(key, f"{file} has {value!r} where text or a number is needed")
        texts[name] = str(value)
    return texts


def admin_token(config: NodeConfig, store_path: Path | None) -> tuple[Secret, Path | None]:
    """Return the operator's token, and the file it is in; the file is made, 0600, where it is missing.

    Raises:
        SettingError: there is no place for a file, or it cannot be read or made.
    """
    if config.admin_token is not None:
        return config.admin_token, None
    if store_path is None:
        raise SettingError(
            "admin_token", f"the store {config.store!r} has no folder to keep one in: give one"
        )
    path = store_path.with_name(store_path.name + ".admin-token")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(handle) as opened:
                return _kept_token(path, opened.read()), path
        token = secrets.token_urlsafe(32)
        with os.fdopen(handle, "w") as opened:
            opened.write(token + "\n")
    except OSError as error:
        raise SettingError(
            "admin_token", f"{path} cannot be used: {error.strerror or error}"
        ) from None
    return Secret(token), path


def _kept_token(path: Path, text: str) -> Secret:
    try:
        return _secret("admin_token", text)
    except SettingError as error:
        raise SettingError(
            "admin_token",
            f"the file {path} has none that can be: {error.problem}; remove it, and one is made",
        ) from None


def sqlite_path(store: str) -> Path | None:
    """Return the file that a store's URL names, absolute, or None where it is no file.

    Three slashes and a bare path are refused: with another folder under its feet a program would
    quietly open, and make, another database. `~` is the home folder, and `./` is meant as it says.

    Raises:
        SettingError: it names a file relative to the folder that this was started in.
    """
    if not store.startswith(_SQLITE):
        return None
    text = store.removeprefix(_SQLITE)
    if not text or text.startswith(":memory:"):
        return None
    if not text.startswith(("/", "~", "./", "../")):
        raise SettingError(
            "store",
            f"{store!r} names a file relative to {Path.cwd()}, from where this was started: write "
            f"{_SQLITE}/{text} (four slashes) for /{text}, or {_SQLITE}./{text} if that folder is meant",
        )
    return Path(text).expanduser().absolute()
