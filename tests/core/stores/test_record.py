"""A record of stores that lacks something is refused: by mypy when it is written, by a sentence when it is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from mypy import api

from core.account import Account, AccountStore
from core.errors import SettingError
from core.ledger.books import Books
from core.settlement.store import SettlementStore
from core.stores import Stores, open_stores
from core.stores.record import audit_books, check_stores
from core.testing.clock import FakeClock

ROOT = Path(__file__).parents[3]


class HalfAnAccountStore:
    """Forgets how to add, change and remove, and what a token is."""

    async def load_accounts(self) -> list[Account]:
        return []

    hash_token = None


def test_what_open_stores_gives_is_whole(stores: Stores) -> None:
    check_stores(stores)


def test_missing_methods_are_named_at_start_up(stores: Stores) -> None:
    half = replace(stores, accounts=cast(AccountStore, HalfAnAccountStore()))

    with pytest.raises(SettingError) as refused:
        check_stores(half)

    sentence = str(refused.value)
    for method in ("insert_account", "update_account", "delete_account", "hash_token"):
        assert f"accounts.{method}" in sentence
    assert "accounts.load_accounts" not in sentence
    assert "books." not in sentence


def test_methods_that_a_protocol_inherits_are_asked_for_too(stores: Stores) -> None:
    none = replace(stores, settlements=cast(SettlementStore, object()))

    with pytest.raises(SettingError, match=r"settlements\.request_settlement"):
        check_stores(none)


def test_a_missing_store_is_named_method_by_method(stores: Stores) -> None:
    none = replace(stores, books=cast(Books, None))

    with pytest.raises(SettingError, match=r"books\.audit, books\.balance"):
        check_stores(none)


@pytest.mark.parametrize(
    "url",
    ["redis://localhost", "sqlite://node.db", "", "sqlite:///", "sqlite:///:memory:"],
)
async def test_a_url_that_names_no_store_is_refused_with_those_that_do(url: str) -> None:
    with pytest.raises(SettingError, match="sqlite:///PATH"):
        await open_stores(url, FakeClock())


async def test_a_store_relative_to_the_working_folder_is_refused_by_whoever_opens_one() -> None:
    words = r"sqlite:////node\.db \(four slashes\)"

    with pytest.raises(SettingError, match=words):
        await open_stores("sqlite:///node.db", FakeClock())
    with pytest.raises(SettingError, match=words):
        await audit_books("sqlite:///node.db", FakeClock())


_TWO_RECORDS = """
from core.account import Account
from core.stores import Stores


class Half:
    async def load_accounts(self) -> list[Account]:
        return []


def whole(stores: Stores) -> Stores:
    return Stores(
        url="whole:", accounts=stores.accounts, books=stores.books, leases=stores.leases,
        routes=stores.routes, learned=stores.learned, rates=stores.rates,
        rate_feed=stores.rate_feed, settings=stores.settings,
        settlements=stores.settlements, history=stores.history, payments=stores.payments,
        close=stores.close,
    )


def lacking(stores: Stores) -> Stores:
    return Stores(
        url="half:", accounts=Half(), books=stores.books, leases=stores.leases,
        routes=stores.routes, learned=stores.learned, rates=stores.rates,
        rate_feed=stores.rate_feed, settings=stores.settings,
        settlements=stores.settlements, history=stores.history, payments=stores.payments,
        close=stores.close,
    )
"""


@pytest.mark.timeout(180)
def test_mypy_refuses_a_record_that_lacks_a_protocols_method(tmp_path: Path) -> None:
    source = tmp_path / "two_records.py"
    # The path is part of the text: what mypy has cached of an earlier run's file is not this one's.
    source.write_text(f"# {source}\n{_TWO_RECORDS}")
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--follow-imports", "silent"]

    output, errors, status = api.run([*options, str(source)])

    complaints = [line for line in output.splitlines() if ": error:" in line]
    assert status == 1, output + errors
    (complaint,) = complaints
    assert "Half" in complaint
    assert 'expected "AccountStore"' in complaint
