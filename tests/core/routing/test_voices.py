"""Of several processes on one store, one speaks to each peer: one that can reach it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.account import Account, AccountId
from core.routing.voices import GONE_SECONDS, Voices
from core.testing.builders import account
from core.testing.clock import FakeClock

DIALS_US = account("bob")
OVER_HTTP = account("carol", ilp_over_http_url="http://carol.example/ilp")


@dataclass
class Table:
    """Who holds what, as the store keeps it."""

    rows: dict[tuple[AccountId, int], int] = field(default_factory=dict)
    writer: int = 0
    writes: int = 0

    async def hold(
        self, opened: Mapping[AccountId, int], closed: Collection[AccountId]
    ) -> None:
        self.writes += 1
        for account_id in closed:
            self.rows.pop((account_id, self.writer), None)
        self.rows |= {(account_id, self.writer): at for account_id, at in opened.items()}

    async def holders(self) -> Mapping[AccountId, Sequence[int]]:
        found: dict[AccountId, list[int]] = {}
        for (account_id, number), _ in sorted(
            self.rows.items(), key=lambda row: (row[1], row[0][1])
        ):
            found.setdefault(account_id, []).append(number)
        return found


class Store:
    """Processes on one store, which look in turn."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.table = Table()
        self.alive: dict[int, Process] = {}

    def start(self) -> Process:
        number = 1 + max(self.alive, default=0)
        self.alive[number] = Process(self, number)
        return self.alive[number]

    async def look(self) -> None:
        self.clock.advance(seconds=1)
        for _ in range(2):  # what one has written, the one before it sees at its next look
            for number, process in self.alive.items():
                self.table.writer = number
                await process.voices.look(self.table, list(self.alive), number)

    def speakers(self, to: Account) -> list[int]:
        return [
            number for number, process in self.alive.items() if process.voices.speaks_to(to)
        ]


class Process:
    def __init__(self, store: Store, number: int) -> None:
        self.store, self.number = store, number
        self.held: set[AccountId] = set()
        self.sees_gone: set[AccountId] = set()
        self.voices = Voices(
            store.clock,
            holds=lambda: self.held,
            is_gone=lambda account: account.id in self.sees_gone,
        )

    async def connect(self, *peers: Account) -> None:
        self.held |= {peer.id for peer in peers}
        await self.store.look()

    async def disconnect(self, *peers: Account) -> None:
        self.held -= {peer.id for peer in peers}
        await self.store.look()

    async def die(self) -> None:
        del self.store.alive[self.number]
        await self.store.look()


async def test_the_oldest_speaks_to_whom_all_can_reach() -> None:
    store = Store()
    first, second = store.start(), store.start()
    await store.look()

    assert store.speakers(OVER_HTTP) == [first.number]
    await first.die()
    assert store.speakers(OVER_HTTP) == [second.number]


async def test_whoever_holds_the_connection_speaks_and_hands_over_when_it_moves_or_dies() -> (
    None
):
    store = Store()
    first, second, third = store.start(), store.start(), store.start()
    await second.connect(DIALS_US)
    assert store.speakers(DIALS_US) == [second.number]

    await third.connect(DIALS_US)
    await first.connect(DIALS_US)
    assert store.speakers(DIALS_US) == [second.number], "one more takes nothing over"
    await second.disconnect(DIALS_US)
    assert store.speakers(DIALS_US) == [third.number]
    await third.die()
    assert store.speakers(DIALS_US) == [first.number]


async def test_there_is_never_more_than_one_voice_whoever_connects_where() -> None:
    store = Store()
    processes = [store.start() for _ in range(3)]
    for step in range(60):
        process = processes[step * 7 % 3]
        changed = process.connect if (step * 5) % 3 else process.disconnect
        await changed(DIALS_US)
        assert len(store.speakers(DIALS_US)) == 1
        assert len(store.speakers(OVER_HTTP)) == 1


async def test_a_process_that_is_alone_writes_nothing_until_another_comes() -> None:
    store = Store()
    first = store.start()
    await first.connect(DIALS_US)
    assert store.table.writes == 0
    assert store.speakers(DIALS_US) == [first.number]

    second = store.start()
    await store.look()

    assert store.table.rows.keys() == {(DIALS_US.id, first.number)}
    assert not second.voices.speaks_to(DIALS_US)
    await store.look()
    assert store.table.writes == 1, "what has not changed is not written again"


async def test_a_process_that_has_signed_on_anew_writes_all_again() -> None:
    store = Store()
    store.start()
    second = store.start()
    await second.connect(DIALS_US)
    store.table.rows.clear()  # with its old number
    store.alive[9] = store.alive.pop(second.number)

    await store.look()

    assert store.speakers(DIALS_US) == [9]


async def test_gone_is_for_those_to_say_who_can_know_and_only_while_nobody_holds_a_connection() -> (
    None
):
    store = Store()
    first, second = store.start(), store.start()
    await second.connect(DIALS_US)
    await second.disconnect(DIALS_US)
    second.sees_gone.add(DIALS_US.id)
    assert second.voices.is_gone(DIALS_US)
    assert not first.voices.is_gone(DIALS_US), "it never had a connection to lose"

    await first.connect(DIALS_US)
    assert not second.voices.is_gone(DIALS_US), "it has connected to the other"


async def test_who_lost_it_long_ago_gives_it_time_to_come_back_once_another_loses_it() -> None:
    store = Store()
    first, second, third = store.start(), store.start(), store.start()
    await first.connect(DIALS_US)
    await first.disconnect(DIALS_US)
    first.sees_gone.add(DIALS_US.id)  # it has been gone from here since then
    await second.connect(DIALS_US)

    await second.disconnect(DIALS_US)
    assert not first.voices.is_gone(DIALS_US), "it may be starting anew"
    await third.connect(DIALS_US)
    await third.die()
    assert not first.voices.is_gone(DIALS_US), "it was the node that started anew"

    for _ in range(int(GONE_SECONDS)):
        await store.look()
    assert first.voices.is_gone(DIALS_US)


async def test_over_http_the_one_that_speaks_says_who_is_gone() -> None:
    store = Store()
    first, second = store.start(), store.start()
    await store.look()
    for process in (first, second):
        process.sees_gone.add(OVER_HTTP.id)

    assert first.voices.is_gone(OVER_HTTP)
    assert not second.voices.is_gone(OVER_HTTP)


async def test_before_it_has_signed_on_a_process_speaks_to_nobody() -> None:
    voices = Voices(FakeClock(), holds=lambda: [DIALS_US.id], is_gone=lambda _: False)
    nothing: Any = None
    await voices.look(nothing, (), None)

    assert not voices.is_oldest
    assert not voices.speaks_to(DIALS_US)
    assert not voices.speaks_to(OVER_HTTP)
