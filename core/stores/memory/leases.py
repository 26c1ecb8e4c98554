"""Node processes in memory: there is one, and it lives as long as its store."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import final

from core.account import AccountId
from core.clock import Clock
from core.errors import NodeFenced
from core.ledger.lease import LEASE_SECONDS, LeaseStore, NodeLease
from core.stores.memory.state import MemoryState


@final
class MemoryLeases(LeaseStore):
    """Signs the process on and off; each time it takes a new number, as everywhere."""

    def __init__(self, state: MemoryState, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    async def sign_on(self, name: str) -> NodeLease:
        now_ms = self._clock.now_ms()
        lease = NodeLease(
            number=len(self._state.nodes) + 1,
            name=name,
            pid=os.getpid(),
            started_at_ms=now_ms,
            renewed_at_ms=now_ms,
        )
        self._state.nodes[lease.number] = lease
        self._state.node.current = lease.number
        return lease

    async def renew(self) -> None:
        lease = self._current()
        self._state.nodes[lease.number] = replace(lease, renewed_at_ms=self._clock.now_ms())

    async def sign_off(self) -> None:
        if self._state.node.current is None:
            return
        lease = self._state.nodes[self._state.node.current]
        if lease.ended_at_ms is None:
            ended = replace(lease, ended_at_ms=self._clock.now_ms())
            self._state.nodes[lease.number] = ended
        self._state.node.current = None

    async def nodes(self) -> tuple[NodeLease, ...]:
        oldest_ms = self._clock.now_ms() - LEASE_SECONDS * 1000
        return tuple(
            lease
            for lease in self._state.nodes.values()
            if lease.ended_at_ms is None and lease.renewed_at_ms > oldest_ms
        )

    async def hold(
        self, opened: Mapping[AccountId, int], closed: Collection[AccountId]
    ) -> None:
        number, held = self._current().number, self._state.held_links
        for account in closed:
            held.pop((account, number), None)
        for account, since_ms in opened.items():
            if account in self._state.accounts:
                held[account, number] = since_ms

    async def holders(self) -> Mapping[AccountId, Sequence[int]]:
        found: dict[AccountId, list[int]] = {}
        by_age = sorted(self._state.held_links.items(), key=lambda row: (row[1], row[0][1]))
        for (account, number), _ in by_age:
            if self._state.nodes[number].ended_at_ms is None:
                found.setdefault(account, []).append(number)
        return found

    def _current(self) -> NodeLease:
        number = self._state.node.current
        if number is None:
            raise NodeFenced("this process has not signed on")
        lease = self._state.nodes[number]
        if lease.ended_at_ms is not None:
            raise NodeFenced(f"node {number} was declared dead; sign on anew")
        return lease
