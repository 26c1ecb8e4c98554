"""The practice network, whole: real nodes, engines, chain and traffic; and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from core.clock import WallClock
from core.config import Bind, NodeConfig
from core.control.operator import Operator
from core.control.views import PacketVerdict
from core.errors import ControlError
from core.host import NodeHost
from core.packet import address
from core.practice.network import OUR_ACCOUNTS, PracticeNetwork
from core.practice.process import Child
from core.settlement.records import SettlementState


class EngineAsChild:
    """Runs our engine as the window's supervisor does: a process that ends with us."""

    def __init__(self, store_url: str) -> None:
        self._store_url = store_url
        self._children: dict[str, Child] = {}

    async def start_engine(
        self, name: str, *, rpc_url: str, options: Sequence[str] = ()
    ) -> None:
        child = Child(
            f"engine {name}",
            "core.settlement",
            (name, "--store", self._store_url, "--rpc", rpc_url, *options, "--stop-with-stdin"),
        )
        await child.start()
        self._children[name] = child

    async def stop_engine(self, name: str) -> None:
        await self._children.pop(name).stop()


def descendants() -> set[int]:
    """Return the processes that run one of our programs, by their command lines."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"signalbox-practice-" in command or b"core.practice" in command:
            found.add(int(folder.name))
    return found


async def wait_for_traffic(operator: Operator) -> Mapping[str, int]:
    """Wait until packets went every way, and a settlement of ours and one of theirs is final."""
    seen: dict[str, int] = {}
    async with asyncio.timeout(100):
        while True:
            packets = await operator.packets(after_sequence=0)
            settlements = await operator.settlements()
            states = [row.state for row in settlements]
            seen = {
                "fulfilled": sum(p.verdict is PacketVerdict.FULFILLED for p in packets),
                "rejected": sum(p.verdict is PacketVerdict.REJECTED for p in packets),
                "converted": sum(
                    p.outgoing_asset != p.incoming_asset for p in packets if p.outgoing_asset
                ),
                "paid": states.count(SettlementState.FINAL),
                "credited": states.count(SettlementState.CREDITED),
            }
            if all(seen.values()):
                return seen
            await asyncio.sleep(0.5)


@pytest.mark.timeout(240)
async def test_a_newcomer_sees_packets_rejects_and_settlements_and_it_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_url = f"sqlite:///{tmp_path}/signalbox.db"
    host = await NodeHost.start(
        NodeConfig(
            store=store_url, ilp_address=address("test.me"), http_bind=Bind("127.0.0.1", 0)
        ),
        WallClock(),
    )
    said: list[str] = []
    of_others = descendants()
    network = PracticeNetwork(
        host.control, EngineAsChild(store_url), our_url=host.url, progress=said.append
    )
    try:
        await network.start()
        assert {view.account.username for view in await host.control.accounts()} == set(
            OUR_ACCOUNTS
        )
        assert said[-1] == "the practice network runs"
        with pytest.raises(ControlError, match="runs already"):
            await network.start()

        await wait_for_traffic(host.control)
        assert descendants() - of_others
        assert (await host.control.audit()).passed

        await network.stop()
        assert descendants() <= of_others
        await network.remove_accounts()
        assert not await host.control.accounts()
        assert (await host.control.audit()).passed
    finally:
        await network.stop()
        await host.stop()
