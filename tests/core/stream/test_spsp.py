"""SPSP answers: ours are read by everybody, theirs by us, and nothing in them can hurt."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.account import Asset
from core.errors import SpspError
from core.packet import address
from core.stream.credentials import Credentials
from core.stream.spsp import SpspDetails, read_base64, read_spsp, write_spsp, write_spsp_error

SECRET = bytes(range(224, 256))
DESTINATION = address("test.wallet.alice.token")
ANSWER = {
    "destination_account": DESTINATION,
    "shared_secret": base64.b64encode(SECRET).decode(),
}


def answer(**changes: Any) -> bytes:
    return json.dumps({**ANSWER, **changes}).encode()


@pytest.mark.parametrize(
    "secret",
    [
        base64.b64encode(SECRET).decode(),
        base64.b64encode(SECRET).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET).decode(),
        base64.urlsafe_b64encode(SECRET).decode().rstrip("="),
    ],
)
def test_a_secret_is_read_in_each_form_of_base64_that_servers_write(secret: str) -> None:
    assert read_spsp(answer(shared_secret=secret)) == SpspDetails(DESTINATION, SECRET)


def test_our_answer_is_read_again_and_pads_its_secret() -> None:
    octets = write_spsp(
        Credentials(DESTINATION, SECRET),
        Asset("USD", 9),
        receipts_enabled=True,
        balance=(500, 20),
    )

    assert read_spsp(octets) == SpspDetails(DESTINATION, SECRET, True, Asset("USD", 9))
    found = json.loads(octets)
    assert found["shared_secret"].endswith("=")
    assert found["balance"] == {"maximum": "500", "current": "20"}


def test_an_error_is_one_of_the_rfc() -> None:
    assert json.loads(write_spsp_error("InvalidReceiverError", "There is no bob.")) == {
        "id": "InvalidReceiverError",
        "message": "There is no bob.",
    }


def test_members_that_are_not_known_are_ignored() -> None:
    found = read_spsp(answer(receiver_info={"name": "Alice"}, frequency=[1, 2, [3]]))

    assert found.destination == DESTINATION
    assert not found.receipts_enabled


@pytest.mark.parametrize(
    ("asset", "found"),
    [
        ({"asset_info": {"code": "EUR", "scale": 2}}, Asset("EUR", 2)),
        ({"assetCode": "EUR", "assetScale": 2}, Asset("EUR", 2)),
        ({"asset_info": {"code": "EUR", "scale": 256}}, None),
        ({"asset_info": {"code": "EUR", "scale": -1}}, None),
        ({"asset_info": {"code": "EUR", "scale": True}}, None),
        ({"asset_info": {"code": "EUR", "scale": "2"}}, None),
        ({"asset_info": {"code": "E" * 65, "scale": 2}}, None),
        ({"asset_info": {"code": "E\nR", "scale": 2}}, None),
        ({"asset_info": {"code": "", "scale": 2}}, None),
        ({"asset_info": ["EUR", 2]}, None),
        ({}, None),
    ],
)
def test_an_asset_is_told_where_it_makes_sense(
    asset: dict[str, Any], found: Asset | None
) -> None:
    assert read_spsp(answer(**asset)).asset == found


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b"\xff\xfe{\0}\0", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a":' * 50_000, "no JSON"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "no JSON"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b"{}", "no destination_account"),
        (answer(destination_account=7), "no destination_account"),
        (answer(destination_account="test"), "destination_account is wrong"),
        (answer(destination_account="test.\ud800"), "destination_account"),
        (answer(destination_account="http://test.alice"), "destination_account is wrong"),
        (answer(shared_secret=None), "no shared_secret"),
        (answer(shared_secret="c2hvcnQ="), "not 32 octets"),
        (answer(shared_secret="ä" * 43), "not 32 octets"),
        (answer(shared_secret="A" * 42 + " "), "not 32 octets"),
        (
            json.dumps(
                {"id": "https://wallet.example/alice", "authServer": "https://auth.example"}
            ).encode(),
            "Open Payments wallet address that does not answer SPSP",
        ),
    ],
)
def test_what_is_no_answer_is_refused_with_a_sentence(octets: bytes, sentence: str) -> None:
    with pytest.raises(SpspError, match=sentence):
        read_spsp(octets)


@given(st.binary(max_size=200))
def test_any_octets_are_an_answer_or_refused(octets: bytes) -> None:
    with pytest.raises(SpspError):
        read_spsp(octets)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["destination_account", "shared_secret", "receipts_enabled", "asset_info", "id"]
        ),
        json_values,
    )
)
def test_members_of_any_type_are_taken_or_refused(changes: dict[str, Any]) -> None:
    try:
        found = read_spsp(answer(**changes))
    except SpspError:
        return
    assert len(found.shared_secret) == 32


def test_base64_of_another_alphabet_is_none() -> None:
    assert read_base64("!!!!") is None
    assert read_base64("A") is None
    assert read_base64("") == b""


def test_details_do_not_show_their_secret() -> None:
    assert SECRET.hex() not in repr(SpspDetails(DESTINATION, SECRET))
    assert repr(SpspDetails(DESTINATION, SECRET)) == f"SpspDetails({DESTINATION!r}, …)"
