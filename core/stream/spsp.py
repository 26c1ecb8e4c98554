"""RFC-0009: what a receiver's server says of where and how it is paid; octets in, octets out, no I/O."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Final, final

from core.account import Asset
from core.errors import PacketError, SpspError
from core.json_text import json_text
from core.packet import Address, address
from core.stream.credentials import Credentials
from core.stream.crypto import SECRET_OCTETS
from core.stream.told_asset import told_asset

MEDIA_TYPE: Final = "application/spsp4+json"
SENTENCE_CHARACTERS_MAX: Final = 200
"""Of what a server says of its error."""
_DEPTH_MAX: Final = 16
"""Deeper than any extension in the field nests its members."""
_TO_STANDARD: Final = str.maketrans("-_", "+/")


@final
@dataclass(frozen=True, slots=True)
class SpspDetails:
    """Where packets of a payment go, and the key that only its receiver has beside us."""

    destination: Address
    shared_secret: bytes
    receipts_enabled: bool = False
    asset: Asset | None = None
    """What the receiver says it counts, where it says so; STREAM asks it again."""

    def __repr__(self) -> str:
        return f"SpspDetails({self.destination!r}, …)"


def read_spsp(octets: bytes) -> SpspDetails:
    """Return what a server has answered; members that we do not know are ignored.

    Raises:
        SpspError: it is no answer of SPSP; says what is missing or wrong.
    """
    try:
        found = json.loads(json_text(octets, depth_max=_DEPTH_MAX))
    except ValueError:
        raise SpspError("the answer is no JSON that can be read") from None
    if not isinstance(found, dict):
        raise SpspError("the answer is JSON and no object")
    if "destination_account" not in found and "authServer" in found:
        raise SpspError(
            "it is an Open Payments wallet address that does not answer SPSP: "
            "paying it takes a grant of its own server"
        )
    return SpspDetails(
        _destination(found.get("destination_account")),
        _secret(found.get("shared_secret")),
        found.get("receipts_enabled") is True,
        _asset(found),
    )


def write_spsp(
    credentials: Credentials,
    asset: Asset,
    *,
    receipts_enabled: bool,
    balance: tuple[int, int] | None = None,
) -> bytes:
    """Return a server's answer; `balance` is what a request for money asks for, and has received."""
    answer: dict[str, Any] = {
        "destination_account": credentials.destination,
        "shared_secret": base64.b64encode(credentials.shared_secret).decode(),
        "receipts_enabled": receipts_enabled,
        "asset_info": {"code": asset.code, "scale": asset.scale},
    }
    if balance is not None:
        maximum, current = balance
        answer["balance"] = {"maximum": str(maximum), "current": str(current)}
    return json.dumps(answer).encode()


def write_spsp_error(kind: str, message: str) -> bytes:
    """Return what a server answers with an error's status."""
    return json.dumps({"id": kind, "message": message}).encode()


def read_spsp_error(octets: bytes) -> str | None:
    """Return what a server says of its error, or None: plain text of one line, cut, without a full stop."""
    try:
        found = json.loads(json_text(octets, depth_max=_DEPTH_MAX))
    except ValueError:
        return None
    message = found.get("message") if isinstance(found, dict) else None
    if not isinstance(message, str):
        return None
    signs = (sign if sign.isprintable() else " " for sign in message[:SENTENCE_CHARACTERS_MAX])
    return "".join(signs).strip().removesuffix(".") or None


def read_base64(text: str) -> bytes | None:
    """Return what base64 stands for, in either alphabet, padded or not; None where it is none."""
    plain = text.rstrip("=").translate(_TO_STANDARD)
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _destination(found: object) -> Address:
    if not isinstance(found, str):
        raise SpspError("the answer has no destination_account")
    try:
        return address(found)
    except PacketError as error:
        raise SpspError(f"its destination_account is wrong: {error.problem}") from None


def _secret(found: object) -> bytes:
    if not isinstance(found, str):
        raise SpspError("the answer has no shared_secret")
    secret = read_base64(found)
    if secret is None or len(secret) != SECRET_OCTETS:
        raise SpspError(f"its shared_secret is not {SECRET_OCTETS} octets in base64")
    return secret


def _asset(found: dict[str, Any]) -> Asset | None:
    """Return the asset where it is told so that it can be used; it is a courtesy, and nothing hangs on it."""
    info = found.get("asset_info")
    if not isinstance(info, dict):
        info = {"code": found.get("assetCode"), "scale": found.get("assetScale")}
    return told_asset(info.get("code"), info.get("scale"))
