"""What is kept from whoever reads the disk."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

import pytest

from core.account import NewTokens, Secret
from core.errors import SettingError, StoreUnavailable
from core.stores import Stores
from core.stores.sqlite import open_sqlite
from core.stores.sqlite.secrets import KEY_OCTETS, Vault, key_path
from core.testing.clock import FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import ALICE, BOB, NO_TOKENS, alice, bob

PASSPHRASE = "correct horse battery staple"


async def plant(stores: Stores) -> list[str]:
    """Put twenty secrets wherever one can be, and return them."""
    planted = [f"planted-{secrets.token_hex(12)}" for _ in range(20)]
    words = iter(planted)
    for account in (alice(), bob()):
        await stores.accounts.insert_account(
            account,
            NewTokens(
                ilp_over_http_incoming=Secret(next(words)),
                ilp_over_http_outgoing=Secret(next(words)),
                ilp_over_btp_incoming=Secret(next(words)),
                ilp_over_btp_outgoing=Secret(next(words)),
            ),
        )
    await stores.accounts.update_account(
        alice(), NewTokens(ilp_over_http_outgoing=Secret(next(words)))
    )
    for word in words:
        await stores.settings.save_secret(f"name-{word[8:12]}", word.encode())
    return planted


def on_the_disk(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_no_planted_secret_is_anywhere_on_the_disk_or_in_the_log(
    open_file: OpenStores, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stores = await open_file()
    planted = await plant(stores)
    while_open = on_the_disk(database.parent)

    await stores.close()

    folders = (while_open, on_the_disk(database.parent))
    assert {"node.db", "node.db-wal", "node.db-shm", "node.db.key"} <= while_open.keys()
    found = [
        (name, word)
        for folder in folders
        for name, octets in folder.items()
        for word in planted
        if word.encode() in octets
    ]
    assert found == []
    assert not any(word in caplog.text for word in planted)
    assert any(ALICE.encode() in octets for octets in folders[1].values()), "the search works"


async def test_secrets_are_there_again_after_reopening(
    open_file: OpenStores, database: Path
) -> None:
    first = await open_file()
    await first.accounts.insert_account(
        alice(),
        NewTokens(
            ilp_over_http_incoming=Secret("incoming"), ilp_over_http_outgoing=Secret("outgoing")
        ),
    )
    await first.settings.save_secret("wallet", b"\x00\x01")
    await first.close()

    second = await open_file()

    (account,) = await second.accounts.load_accounts()
    assert account.ilp_over_http_outgoing_token == Secret("outgoing")
    hashes = await second.accounts.load_token_hashes()
    assert hashes == {second.accounts.hash_token("incoming"): ALICE}
    assert await second.settings.load_secret("wallet") == b"\x00\x01"
    assert len(key_path(database).read_bytes()) == KEY_OCTETS


async def test_sealed_octets_moved_to_another_row_do_not_open(
    open_file: OpenStores, database: Path
) -> None:
    stores = await open_file()
    token = NewTokens(ilp_over_http_outgoing=Secret("alice's own"))
    await stores.accounts.insert_account(alice(), token)
    await stores.accounts.insert_account(bob(), NO_TOKENS)
    with sqlite3.connect(database) as thief:
        thief.execute(
            "UPDATE account SET ilp_over_http_outgoing_sealed = (SELECT "
            "ilp_over_http_outgoing_sealed FROM account WHERE id = ?) WHERE id = ?",
            (ALICE, BOB),
        )
    thief.close()

    with pytest.raises(
        StoreUnavailable, match=f"account {BOB} .* cannot be decrypted"
    ) as found:
        await stores.accounts.load_accounts()

    assert "own" not in str(found.value)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(11), b"\x02" + bytes(40)])
def test_octets_that_were_never_sealed_are_refused(sealed: bytes) -> None:
    with pytest.raises(StoreUnavailable, match="the here in the database"):
        Vault(bytes(KEY_OCTETS)).unseal(sealed, where="here")


def test_sealing_twice_gives_different_octets_that_both_open() -> None:
    vault = Vault(bytes(KEY_OCTETS))

    one, two = vault.seal(b"same", where="here"), vault.seal(b"same", where="here")

    assert one != two
    assert vault.unseal(one, where="here") == vault.unseal(two, where="here") == b"same"


async def test_a_missing_key_file_is_asked_for(open_file: OpenStores, database: Path) -> None:
    await (await open_file()).close()
    key_path(database).unlink()

    with pytest.raises(StoreUnavailable, match=f"{key_path(database)} is missing: put it back"):
        await open_file()

    assert not key_path(database).exists()


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [(bytes(32), "is not that of"), (b"short", "is damaged"), (bytes(33), "is damaged")],
)
async def test_a_wrong_key_file_is_refused(
    open_file: OpenStores, database: Path, octets: bytes, sentence: str
) -> None:
    await (await open_file()).close()
    key_path(database).write_bytes(octets)

    with pytest.raises(StoreUnavailable, match=sentence):
        await open_file()


async def test_a_key_file_that_a_crash_left_before_the_database_knew_it_is_used(
    open_file: OpenStores, database: Path
) -> None:
    database.parent.mkdir()
    key_path(database).write_bytes(bytes(range(32)))

    await open_file()

    assert key_path(database).read_bytes() == bytes(range(32))


async def open_with(database: Path, passphrase: str | None) -> Stores:
    environment = {} if passphrase is None else {"SIGNALBOX_PASSPHRASE": passphrase}
    return await open_sqlite(f"sqlite:///{database}", FakeClock(), environment=environment)


async def test_with_a_passphrase_there_is_no_key_on_the_disk(database: Path) -> None:
    first = await open_with(database, PASSPHRASE)
    await first.settings.save_secret("wallet", b"key")
    await first.close()

    second = await open_with(database, PASSPHRASE)
    wallet = await second.settings.load_secret("wallet")
    await second.close()

    assert wallet == b"key"
    assert not key_path(database).exists()
    assert not any(
        PASSPHRASE.encode() in octets for octets in on_the_disk(database.parent).values()
    )


@pytest.mark.parametrize(
    ("made_with", "opened_with", "sentence"),
    [
        (PASSPHRASE, "wrong", "this passphrase does not open"),
        (PASSPHRASE, "", "this passphrase does not open"),
        (PASSPHRASE, None, "was made with a passphrase: set it"),
        (None, PASSPHRASE, "was made with a key file, not with a passphrase"),
    ],
)
async def test_a_wrong_passphrase_is_refused_with_a_sentence(
    database: Path, made_with: str | None, opened_with: str | None, sentence: str
) -> None:
    await (await open_with(database, made_with)).close()

    with pytest.raises(SettingError, match=f"SIGNALBOX_PASSPHRASE: .*{sentence}") as refused:
        await open_with(database, opened_with)

    assert PASSPHRASE not in str(refused.value)
    assert str(database) in str(refused.value)


async def test_an_empty_passphrase_makes_no_database_that_it_opens(database: Path) -> None:
    with pytest.raises(SettingError, match="it is empty"):
        await open_with(database, "")

    await (await open_with(database, PASSPHRASE)).close()
