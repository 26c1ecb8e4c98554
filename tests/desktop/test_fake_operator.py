"""What the desktop's tests stand on is itself held to the operator's contract."""

from __future__ import annotations

import pytest

from core.control.views import AccountDetails
from core.errors import AccountExists, AccountInUse, StoreUnavailable, UnknownAccount
from tests.desktop.fake_operator import FakeOperator


async def test_exposure_adds_up_to_the_accounts_balances() -> None:
    operator = FakeOperator()

    exposure = await operator.exposure()

    nets = [view.balance.net for view in await operator.accounts()]
    assert sum(row.owed_by_us - row.owed_to_us for row in exposure) == sum(nets)


async def test_a_call_that_was_told_to_fail_fails_and_is_remembered() -> None:
    operator = FakeOperator()
    operator.errors["accounts"] = StoreUnavailable("the database is locked")

    with pytest.raises(StoreUnavailable):
        await operator.accounts()

    assert operator.calls == [("accounts",)]


async def test_accounts_are_added_once_and_deleted_with_care() -> None:
    operator = FakeOperator()
    details = AccountDetails(username="Nina", asset_code="USD", asset_scale=2)

    await operator.create_account(details)

    assert (await operator.account("nina")).account.username == "nina"
    with pytest.raises(AccountExists):
        await operator.create_account(details)
    with pytest.raises(AccountInUse):
        await operator.delete_account("bob")
    await operator.delete_account("nina")
    with pytest.raises(UnknownAccount):
        await operator.account("nina")


async def test_a_thousand_peers_have_a_thousand_names() -> None:
    operator = FakeOperator(peers=1000)

    views = await operator.accounts()

    assert len({view.account.username for view in views}) == 1000
