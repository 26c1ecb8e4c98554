"""A node that is paid is killed again and again: no receipt ever says more than its books have, and none is lost.

One connection goes on through all of it, as a payer's does that knows nothing of the receiver's troubles, and in
the end over two nodes of one store at once. And a crowd pays one request for money at the same time.
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Final

import pytest

from core.clock import WallClock
from core.packet import Address, Fulfill, Prepare, Reject
from core.stream.credentials import Credentials
from core.stream.crypto import StreamKeys
from core.stream.frames import StreamMaxMoney, StreamMoney, StreamReceipt
from core.stream.packet import PacketType, StreamPacket
from core.stream.receipt import Receipt
from core.stream.spsp import read_spsp
from tests.end_to_end.programs import Node, node

LIVES: Final = 4
SENDERS: Final = 6
TOKEN: Final = "from-alice-0123456789"
NONCE: Final = "AAECAwQFBgcICQoLDA0ODw=="
SECRET: Final = bytes(range(32))
RECEIPT_HEADERS: Final = {
    "Receipt-Nonce": NONCE,
    "Receipt-Secret": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
}
CLOCK: Final = WallClock()


@dataclass
class Payer:
    """Pays over one connection, from several threads, and remembers what it was told."""

    credentials: Credentials
    chance: random.Random
    sequence: int = 0
    fulfilled: int = 0
    lost: int = 0
    """What was under way when the node died."""
    highest: int = 0
    """The best receipt."""
    may_be_refused: bool = False
    refused: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, to: Node) -> bool:
        """Send one packet; False where the node has died under it."""
        with self._lock:
            self.sequence += 1
            sequence, amount = self.sequence, self.chance.randint(1, 1_000)
        keys = StreamKeys(self.credentials.shared_secret)
        packet = StreamPacket(sequence, PacketType.PREPARE, amount, (StreamMoney(1, 1),))
        data = keys.encrypt(packet.encode())
        prepare = Prepare.build(
            amount=amount,
            expires_at_ms=CLOCK.now_ms() + 20_000,
            condition=keys.condition(data),
            destination=self.credentials.destination,
            data=data,
        )
        try:
            reply = to.packet("alice", TOKEN, bytes(prepare.octets)).reply
        except (OSError, HTTPException):
            with self._lock:
                self.lost += amount
            return False
        if self.may_be_refused and isinstance(reply, Reject):
            assert reply.code == b"F99", reply
            with self._lock:
                self.refused.append(amount)
            return True
        assert isinstance(reply, Fulfill), reply
        said = StreamPacket.decode(keys.decrypt(reply.data))
        (frame,) = said.of(StreamReceipt)
        total = Receipt.read(frame.receipt, SECRET).total_received
        assert next(said.of(StreamMaxMoney)).total_received == total
        with self._lock:
            self.fulfilled += amount
            self.highest = max(self.highest, total)
        return True

    def send_until_it_dies(self, to: Node) -> None:
        while self.send(to):
            pass


def add_accounts(at: Node) -> None:
    for username, more in (("alice", {"ilp_over_http_incoming_token": TOKEN}), ("bob", {})):
        account = {"username": username, "asset_code": "USD", "asset_scale": 2, **more}
        assert at.api("POST", "/accounts", account).status == 200


def payer_of(at: Node, path: str, chance: random.Random) -> Payer:
    answer = at.api("GET", path, token=None, headers=RECEIPT_HEADERS)
    assert answer.status == 200, answer
    found = read_spsp(answer.body)
    return Payer(Credentials(Address(found.destination), found.shared_secret), chance)


def owed_to_bob(at: Node) -> int:
    return int(at.api("GET", "/accounts/bob/balance").json["net"])


def test_receipts_are_what_the_books_have_through_kills_and_over_two_nodes(
    tmp_path: Path,
) -> None:
    store = f"sqlite:///{tmp_path}/data/signalbox.db"
    chance = random.Random(7)
    payer: Payer | None = None
    for life in range(LIVES):
        with node(store, tmp_path, name=f"life-{life}") as running:
            if payer is None:
                add_accounts(running)
                payer = payer_of(running, "/accounts/bob/spsp", chance)
            # Whatever the last life left: nothing is unknown, and what was told is booked.
            assert running.api("GET", "/unknown-transfers").json == []
            assert running.audit()["passed"], running.audit()
            before = owed_to_bob(running)
            assert payer.fulfilled <= before <= payer.fulfilled + payer.lost
            assert payer.highest <= before
            assert payer.send(running)
            assert payer.highest == owed_to_bob(running)
            with ThreadPoolExecutor(SENDERS) as threads:
                for _ in range(SENDERS):
                    threads.submit(payer.send_until_it_dies, running)
                threading.Timer(chance.uniform(0.1, 0.5), running.process.kill).start()
    assert payer is not None
    assert payer.lost > 0

    with node(store, tmp_path, name="one") as one, node(store, tmp_path, name="two") as two:
        with ThreadPoolExecutor(SENDERS) as threads:
            sent = [threads.submit(payer.send, (one, two)[n % 2]) for n in range(60)]
            assert all(future.result() for future in sent)
        assert owed_to_bob(one) == owed_to_bob(two) == payer.highest
        assert one.audit()["passed"]
        assert one.api("GET", "/unknown-transfers").json == []


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_request_for_money_takes_its_amount_and_no_more_from_a_crowd(
    tmp_path: Path, nodes: int
) -> None:
    store = f"sqlite:///{tmp_path}/data/signalbox.db"
    with ExitStack() as stack:
        running = stack.enter_context(node(store, tmp_path, name="first"))
        add_accounts(running)
        others = [node(store, tmp_path, name=f"node-{number}") for number in range(1, nodes)]
        paid = [running, *map(stack.enter_context, others)]
        asked = running.api("POST", "/accounts/bob/invoices", {"amount": "20000"}).json
        path = f"/accounts/bob/invoices/{asked['id']}/spsp"
        payer = payer_of(running, path, random.Random(11))
        payer.may_be_refused = True
        with ThreadPoolExecutor(2 * SENDERS) as threads:
            sent = [threads.submit(payer.send, paid[n % nodes]) for n in range(80)]
            assert all(future.result() for future in sent)

        # The packet that brings the last of it may bring a hundredth too much.
        assert owed_to_bob(running) == payer.fulfilled == payer.highest <= 20_200
        # Nobody was refused who would have fitted.
        assert payer.refused
        assert min(payer.refused) > 20_000 - payer.fulfilled
        found = running.api("GET", f"/invoices/{asked['id']}").json
        assert int(found["received"]) == payer.fulfilled
        assert running.audit()["passed"]
