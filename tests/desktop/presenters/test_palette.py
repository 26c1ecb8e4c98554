from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from desktop.models.palette import SHOWN_MAX, TYPED_MAX, Entry, Kind
from desktop.presenters.palette import PEERS_MAX, PalettePresenter, questions
from desktop.presenters.watch import NodeWatch
from tests.desktop.fake_operator import FakeOperator

OFFERED = (
    Entry(kind=Kind.PAGE, key="Peers", title="Peers"),
    Entry(kind=Kind.ACTION, key="Pay", title="Pay"),
    Entry(kind=Kind.ROW, key="0", title="Ping"),
)


class Finder:
    """A palette's presenter over a node of the tests, as it is once the palette is open."""

    def __init__(self, operator: FakeOperator) -> None:
        self.operator = operator
        self.watch = NodeWatch(operator, operator.clock)
        self.palette = PalettePresenter(self.watch)

    async def open(self) -> None:
        await self.watch.update_and_report()
        self.palette.begin()

    def titles(self, typed: str) -> list[str]:
        return [entry.title for entry in self.palette.find(typed, OFFERED)]


@pytest.fixture
async def finder() -> AsyncIterator[Finder]:
    made = Finder(FakeOperator())
    await made.open()
    yield made
    await made.watch.close()


async def test_peers_are_found_by_name_username_and_address(finder: Finder) -> None:
    username, view = next(
        (name, view)
        for name, view in finder.operator.views.items()
        if view.account.name.casefold() != name
    )

    assert finder.titles(view.account.name)[0] == view.account.name
    assert view.account.name in finder.titles(username)
    assert view.account.name in finder.titles(view.account.ilp_address)
    found = finder.palette.find("bob", OFFERED)[0]
    assert (found.kind, found.key) == (Kind.PEER, "bob")
    assert found.detail == f"Peer, {finder.operator.views['bob'].state.value}"


async def test_a_first_sign_leaves_peers_or_actions_alone(finder: Finder) -> None:
    assert finder.titles("@")[: len(finder.operator.views)] == [
        view.account.name for view in finder.operator.views.values()
    ]
    assert finder.titles("> ") == ["Peers", "Pay", "Ping"]
    assert finder.titles("@pay") == []
    assert finder.titles(">bob") == []


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("test.bob.shop", ["Where would a packet to test.bob.shop go?", "Ping test.bob.shop…"]),
        ("g.a~b-C_1", ["Where would a packet to g.a~b-C_1 go?", "Ping g.a~b-C_1…"]),
        ("$wallet.example/bob", ["Pay $wallet.example/bob…"]),
        ("https://wallet.example/bob", ["Pay https://wallet.example/bob…"]),
        ("test", []),
        ("test.", []),
        ("pay.bob", []),
        ("$", []),
        ("$wallet example", []),
        ("https://", []),
        ("bob", []),
    ],
)
def test_an_address_is_asked_about_and_a_pointer_paid(typed: str, asked: list[str]) -> None:
    assert [entry.title for entry in questions(typed)] == asked


async def test_questions_stand_first_and_what_is_longer_than_any_address_finds_nothing(
    finder: Finder,
) -> None:
    address = finder.operator.views["bob"].account.ilp_address

    assert finder.titles(f" {address} ")[:3] == [
        f"Where would a packet to {address} go?", f"Ping {address}…", "bob",
    ]  # fmt: skip
    assert finder.titles(f"g.{'a' * TYPED_MAX}") == []


async def test_what_was_chosen_last_stands_first_while_nothing_is_typed(finder: Finder) -> None:
    bob = finder.palette.find("bob", OFFERED)[0]
    finder.palette.note(OFFERED[1])
    finder.palette.note(OFFERED[2])  # of rows that may be gone
    finder.palette.note(bob)

    assert finder.titles("")[:3] == ["bob", "Pay", "Peers"]
    finder.palette.note(OFFERED[1])
    assert finder.titles("")[:2] == ["Pay", "bob"]


async def test_a_node_of_very_many_peers_lists_no_more_than_can_be_read() -> None:
    finder = Finder(FakeOperator(peers=PEERS_MAX // 4))
    await finder.open()

    assert len(finder.titles("@")) == SHOWN_MAX
    assert len(finder.titles("e")) == SHOWN_MAX
    await finder.watch.close()


async def test_before_the_node_was_seen_the_window_s_own_is_found() -> None:
    operator = FakeOperator()
    watch = NodeWatch(operator, operator.clock)
    palette = PalettePresenter(watch)
    palette.begin()

    assert list(palette.find("", OFFERED)) == list(OFFERED)
    await watch.close()
