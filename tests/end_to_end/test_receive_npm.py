"""Our node is paid by programs that we did not write: what they say they delivered is what we owe, to the unit.

`ilp-protocol-spsp`, `ilp-protocol-stream` and `@interledger/pay` ask our SPSP server how bob is paid, and pay him
over HTTP and over BTP; bob has no link, his packets end in our node. alice, who pays, counts in other units.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from core.practice.process import Child
from core.stream.receipt import Receipt
from tests.end_to_end.programs import free_port
from tests.end_to_end.test_stream_npm import PEERS, Api, start_node

MAX_PACKET: Final = 10_000
AMOUNT: Final = 123_000
RATE: Final = 1_000
"""bob's units for one of alice's: she counts in gwei, he in thousandths of one."""
NONCE: Final = bytes(range(16))
SECRET: Final = bytes(range(32))
RECEIPTS: Final = {
    "nonce": base64.b64encode(NONCE).decode(),
    "secret": base64.b64encode(SECRET).decode(),
}


@dataclass
class Scene:
    """Our node, whose alice is a program's and whose bob is paid."""

    child: Child
    api: Api
    folder: Path
    store: str
    link: dict[str, Any]

    async def pay(self, program: str, **settings: Any) -> dict[str, Any]:
        """Let a program pay bob, and return what it says."""
        receiver = f"{self.api.url}/accounts/bob/spsp"
        asset = {"code": "ETH", "scale": 9}
        given = {
            "program": program,
            "receiver": receiver,
            "asset": asset,
            **self.link,
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            "node",
            str(PEERS / "payer.js"),
            json.dumps(given),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        answer: dict[str, Any] = json.loads(out.decode().removeprefix("PAID"))
        return answer

    async def holds(self, paid: dict[str, Any]) -> None:
        """Check that the books have what the program says it sent, and the audit passes."""
        sent = int(paid["sent"])
        assert await self.api.exact_balance("alice") == -sent
        assert await self.api.exact_balance("bob") == sent * RATE
        if "delivered" in paid:
            assert int(paid["delivered"]) == sent * RATE
        audit = await self.api.call("GET", "/audit")
        assert audit["passed"], audit


@pytest.fixture(params=["http", "btp"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    child, api, store = await start_node(tmp_path, "signalbox")
    try:
        token = "from-alice-0123456789"
        account = {
            "username": "alice",
            "asset_code": "ETH",
            "asset_scale": 9,
            "routing_relation": "Child",
            "max_packet_amount": MAX_PACKET,
        }
        if request.param == "http":
            port = free_port()
            link = {
                "listen": port,
                "url": f"{api.url}/accounts/alice/ilp",
                "incomingToken": "to-alice-0123456789",
                "outgoingToken": token,
            }
            account |= {
                "ilp_over_http_url": f"http://127.0.0.1:{port}/",
                "ilp_over_http_incoming_token": token,
                "ilp_over_http_outgoing_token": "to-alice-0123456789",
            }
        else:
            at = api.url.removeprefix("http://")
            link = {"btp": {"server": f"btp+ws://:{token}@{at}/accounts/alice/ilp/btp"}}
            account |= {"ilp_over_btp_incoming_token": token}
        await api.call("POST", "/accounts", json=account)
        await api.call(
            "POST",
            "/accounts",
            json={"username": "bob", "asset_code": "ETH", "asset_scale": 12},
        )
        yield Scene(child, api, tmp_path, store, link)
    finally:
        await child.stop()


def receipts(paid: dict[str, Any]) -> list[Receipt]:
    """Return the receipts that a program has, each checked with the verifier's secret."""
    found = [Receipt.read(bytes.fromhex(one), SECRET) for one in paid["receipts"]]
    assert all(one.nonce == NONCE for one in found)
    return found


async def test_ilp_protocol_spsp_asks_and_pays(scene: Scene) -> None:
    asked = await scene.pay("query")
    assert asked["destination_account"].startswith("test.signalbox.bob.")
    assert asked["content_type"].startswith("application/spsp4+json")

    paid = await scene.pay("spsp", amount=str(AMOUNT))

    assert int(paid["sent"]) == AMOUNT
    await scene.holds(paid)


async def test_interledger_pay_sends_an_amount_and_its_receipt_proves_what_came(
    scene: Scene,
) -> None:
    paid = await scene.pay("pay", amount=str(AMOUNT), receipts=RECEIPTS)

    assert int(paid["sent"]) == AMOUNT
    assert paid["asset"] == {"code": "ETH", "scale": 12}
    assert receipts(paid) == [Receipt(NONCE, 1, AMOUNT * RATE)]
    await scene.holds(paid)


async def test_interledger_pay_delivers_an_amount(scene: Scene) -> None:
    paid = await scene.pay("pay", deliver=str(AMOUNT * RATE))

    assert int(paid["delivered"]) == AMOUNT * RATE
    assert paid["receipts"] == []
    await scene.holds(paid)


async def test_interledger_pay_pays_a_request_for_money_that_its_unit_does_not_divide(
    scene: Scene,
) -> None:
    asked = AMOUNT * RATE + 678
    request = await scene.api.call(
        "POST", "/accounts/bob/invoices", json={"amount": str(asked)}
    )

    paid = await scene.pay("pay", deliver=str(asked), receiver=request["url"])

    assert int(paid["sent"]) == AMOUNT + 1
    await scene.holds(paid)
    request = await scene.api.call("GET", f"/invoices/{request['id']}")
    assert (request["state"], request["received"]) == ("paid", str((AMOUNT + 1) * RATE))


async def test_ilp_protocol_stream_pays_on_several_streams_with_a_receipt_each(
    scene: Scene,
) -> None:
    amounts = [70_000, 30_000, 23_000]

    paid = await scene.pay(
        "stream", amounts=[str(one) for one in amounts], text="rent", receipts=RECEIPTS
    )

    assert int(paid["sent"]) == AMOUNT
    assert paid["asset"] == {"code": "ETH", "scale": 12}
    found = receipts(paid)
    assert [one.stream_id for one in found] == [1, 3, 5]
    assert sum(one.total_received for one in found) == AMOUNT * RATE
    await scene.holds(paid)
    (row,) = (await scene.api.call("GET", "/payments/received"))["received"]
    assert row["payer_text"] == "rent"


@pytest.mark.parametrize("octets", [15_000, 100_000], ids=["as it begins", "as windows move"])
async def test_ilp_protocol_stream_writes_more_than_is_kept(scene: Scene, octets: int) -> None:
    paid = await scene.pay("stream", amounts=[str(AMOUNT)], text="rent " * (octets // 5))

    assert int(paid["sent"]) == AMOUNT
    await scene.holds(paid)
    (row,) = (await scene.api.call("GET", "/payments/received"))["received"]
    assert row["payer_text"].startswith("rent rent")
