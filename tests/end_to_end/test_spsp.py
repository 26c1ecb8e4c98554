"""A node's port, as payers and web pages of anywhere see it: they learn how to pay, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.end_to_end.programs import node

FROM_OUTSIDE: Final = {"Host": "pay.example", "Origin": "https://blog.example"}
SPSP: Final = {"Accept": "application/spsp4+json"}


def test_payers_ask_by_any_name_and_from_any_page_and_the_api_stays_shut(
    tmp_path: Path,
) -> None:
    store = f"sqlite:///{tmp_path}/data/signalbox.db"
    with node(store, tmp_path, "--default-spsp-account", "Bob") as running:
        bob = {"username": "bob", "asset_code": "USD", "asset_scale": 2}
        assert running.api("POST", "/accounts", bob).status == 200

        for path in ("/.well-known/pay", "/bob", "/accounts/bob/spsp"):
            paid = running.api("GET", path, token=None, headers={**FROM_OUTSIDE, **SPSP})
            assert paid.status == 200, path
            assert paid.headers["access-control-allow-origin"] == "*"
            assert paid.headers["cache-control"] == "no-cache, no-store"
            assert paid.json["destination_account"].startswith("test.signalbox.bob.")
            assert paid.json["asset_info"] == {"code": "USD", "scale": 2}
        for path in ("/", "/rates", "/accounts/bob"):
            shut = running.api("GET", path, token=None, headers=FROM_OUTSIDE)
            assert shut.status == 421, path
            assert "access-control-allow-origin" not in shut.headers

        # A path of the API is an account's as well, for who asks for SPSP.
        unknown = running.api("GET", "/rates", token=None, headers=SPSP)
        assert unknown.status == 404
        assert unknown.json["id"] == "InvalidReceiverError"


def test_an_address_is_good_on_the_next_node_of_the_store(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/data/signalbox.db"
    with node(store, tmp_path) as running:
        bob = {"username": "bob", "asset_code": "USD", "asset_scale": 2}
        assert running.api("POST", "/accounts", bob).status == 200
        asked = running.api("GET", "/bob", token=None, headers=SPSP).json
        assert running.stop() == 0

    with node(store, tmp_path) as running:
        alice = {"username": "alice", "asset_code": "USD", "asset_scale": 2}
        assert running.api("POST", "/accounts", alice).status == 200
        address = asked["destination_account"]
        explained = running.api("GET", f"/explain?destination={address}&from=alice").json
        assert "This address is for payments to bob, which end here." in str(explained)
