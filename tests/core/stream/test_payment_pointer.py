"""Payment pointers: read as the RFC and the wallets in the field read them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.errors import SpspError
from core.stream.payment_pointer import payment_pointer, payment_url
from tests.core.packet.vectors import load

JS = load("interledgerjs/payment-pointers.json")
RFC = load("rfcs/misc.json")["payment_pointers"]


@pytest.mark.parametrize("row", [*RFC, *JS["pointer_to_url"]], ids=lambda row: row["pointer"])
def test_a_pointer_stands_for_its_url(row: dict[str, Any]) -> None:
    assert payment_url(row["pointer"]) == row["url"]


@pytest.mark.parametrize("pointer", JS["pointer_invalid"])
def test_what_is_no_pointer_is_refused(pointer: str) -> None:
    with pytest.raises(SpspError, match="is no payment pointer"):
        payment_url(pointer)


@pytest.mark.parametrize("row", JS["url_normalise"], ids=lambda row: row["in"])
def test_a_url_is_taken_as_it_is_but_for_the_end_of_its_path(row: dict[str, Any]) -> None:
    assert payment_url(row["in"]) == row["out"]


def test_who_names_a_port_is_told_how_that_receiver_is_written() -> None:
    with pytest.raises(SpspError, match="not name a port; give the receiver's URL instead"):
        payment_url("$127.0.0.1:7770/alice")


def test_a_url_with_a_password_is_refused_and_one_with_a_port_is_not() -> None:
    with_password, with_port = JS["url_invalid"]

    with pytest.raises(SpspError, match="has no user and no password"):
        payment_url(with_password)
    # The library refuses ports; nodes of a practice network differ by nothing else.
    assert payment_url(with_port) == "https://wallet.example:8080/.well-known/pay"


@pytest.mark.parametrize("row", JS["to_pointer"], ids=lambda row: row["in"])
def test_a_url_has_a_pointer_only_where_that_leads_back_to_it(row: dict[str, Any]) -> None:
    assert payment_pointer(row["in"]) == row["out"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("$Wallet.EXAMPLE/Alice", "https://wallet.example/Alice"),
        ("$wallet.example/", "https://wallet.example/.well-known/pay"),
        ("  $wallet.example/alice\n", "https://wallet.example/alice"),
        ("$wallet.example/a%20b/c", "https://wallet.example/a%20b/c"),
        ("HTTP://127.0.0.1:7770/accounts/bob/spsp", "http://127.0.0.1:7770/accounts/bob/spsp"),
        ("http://[::1]:7770/bob", "http://[::1]:7770/bob"),
    ],
)
def test_ways_to_write_a_receiver(text: str, url: str) -> None:
    assert payment_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$",
        "$/alice",
        "$-wallet.example",
        "$wallet..example",
        "$wället.example",
        "$wallet.example/a b",
        "$wallet.example/%zz",
        "$wallet.example/<script>",
        "ftp://wallet.example",
        "https://",
        "https:///alice",
        "https://wallet.example:99999/",
        "https://wallet.example:port/",
        "https://[::1/",
        "https://wal_let!.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "$" + "w" * 3000,
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(SpspError) as refused:
        payment_url(text)
    assert len(str(refused.value)) < 300


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for prefix in ("", "$", "https://", "http://"):
        try:
            url = payment_url(prefix + text)
        except SpspError:
            continue
        assert url.startswith(("https://", "http://"))
        assert payment_url(url) == url
