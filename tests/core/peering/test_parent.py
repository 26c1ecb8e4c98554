"""A node asks its parent what it is called: when, how often, and what it makes of each answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.account import Account, AccountDirectory, AccountId, Asset, RoutingRelation
from core.errors import StoreUnavailable
from core.ildcp_message import CONDITION, FULFILLMENT, IldcpAnswer
from core.node_address import NodeAddress
from core.packet import Address, ErrorCode, Fulfill, Reject, Reply, address
from core.peering.parent import (
    AGAIN_SECONDS,
    CHANGE_SECONDS,
    QUIET_SECONDS,
    RETRY_SECONDS_MAX,
    ParentAddress,
)
from core.testing.builders import account
from core.testing.clock import FakeClock
from core.testing.services import FakeOutgoing

PARENT = account(
    "mum", routing_relation=RoutingRelation.PARENT, ilp_address=address("test.mum")
)
GIVEN = address("test.mum.us")


def told(given: str = GIVEN, asset: Asset = PARENT.asset) -> Fulfill:
    return Fulfill.build(FULFILLMENT, IldcpAnswer(address(given), asset).encode())


def refused(code: ErrorCode, by: str = "test.mum") -> Reject:
    return Reject.build(code, triggered_by=by, message="unknown destination account")


class Setting:
    def __init__(self, reply: Reply | None = None, *, is_given: bool = False) -> None:
        self.clock = FakeClock()
        self.directory = AccountDirectory()
        self.directory.replace([PARENT, account("bob")], {})
        self.link = FakeOutgoing(told() if reply is None else reply)
        self.address = NodeAddress(address("test.signalbox"))
        self.ups = 0
        self.adopted: list[Address] = []
        self.store_fails = False
        self.names: list[Address] = []
        self.parent = ParentAddress(
            directory=self.directory,
            link=self.link,
            clock=self.clock,
            address=self.address,
            adopt=self.adopt,
            name=self.name,
            named=self.named,
            came_up=self.came_up,
            is_given=is_given,
        )

    async def adopt(self, new: Address) -> None:
        if self.store_fails:
            raise StoreUnavailable("locked")
        self.adopted.append(new)
        self.address.current = new

    async def name(self, parent: Account, theirs: Address) -> None:
        self.names.append(theirs)
        others = [one for one in self.directory.all() if one.id != parent.id]
        self.directory.replace([replace(parent, ilp_address=theirs), *others], {})

    async def named(self) -> str | None:
        return self.names[-1] if self.names else None

    def came_up(self, asked: AccountId) -> int:
        assert asked == PARENT.id
        return self.ups

    async def seconds(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(seconds=1)
            await self.parent.step()

    @property
    def asked(self) -> int:
        return len(self.link.requests)


async def test_the_parent_is_asked_over_its_link_and_its_answer_is_our_address() -> None:
    setting = Setting()

    await setting.parent.step()

    (request,) = setting.link.requests
    assert request.to_account == PARENT
    assert request.prepare.destination == "peer.config"
    assert (request.prepare.amount, bytes(request.prepare.condition)) == (0, CONDITION)
    assert setting.adopted == [GIVEN]
    assert setting.parent.problem == ""
    assert setting.parent.answered_at_ms == setting.clock.now_ms()


async def test_it_is_asked_again_now_and_then_and_the_same_answer_changes_nothing() -> None:
    setting = Setting()
    await setting.parent.step()

    await setting.seconds(int(AGAIN_SECONDS) - 1)
    assert setting.asked == 1
    await setting.seconds(1)

    assert setting.asked == 2
    assert setting.adopted == [GIVEN]


async def test_it_is_asked_at_once_when_its_link_is_back_and_when_it_is_another() -> None:
    setting = Setting()
    await setting.parent.step()

    setting.ups += 1
    await setting.parent.step()
    assert setting.asked == 2
    setting.directory.replace([replace(PARENT, label="Mum")], {})
    setting.link.reply = told("test.mum.other")
    await setting.parent.step()

    assert setting.asked == 3
    assert setting.adopted == [GIVEN, "test.mum.other"]


@pytest.mark.logs_warning
async def test_an_address_changes_once_a_minute_however_often_the_link_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING")
    setting = Setting()
    await setting.parent.step()
    for number in range(30):
        setting.ups += 1
        setting.link.reply = told(f"test.mum.us{number}")
        await setting.seconds(1)
    assert setting.adopted == [GIVEN]
    assert setting.parent.problem == (
        "mum gave yet another address within a minute, and is asked again once that is over"
    )
    assert len(caplog.records) == 1, "one line while it lasts"

    await setting.seconds(int(CHANGE_SECONDS) - 30)

    assert setting.adopted == [GIVEN, "test.mum.us29"]
    assert setting.parent.problem == ""


async def test_whoever_asks_by_hand_does_not_wait_out_the_minute() -> None:
    setting = Setting()
    await setting.parent.step()
    setting.link.reply = told("test.mum.other")

    await setting.parent.ask(PARENT)

    assert setting.adopted == [GIVEN, "test.mum.other"]
    assert setting.parent.problem == ""


@pytest.mark.logs_warning
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("test.dad.us", "test.dad.us is not under test.mum, the address of its account here"),
        ("test.mummy.us", "test.mummy.us is not under test.mum"),
        ("test.mum", "test.mum is not under test.mum"),
        ("g.mum.us", "g.mum.us is not under test.mum"),
        ("test.mum.bob", "test.mum.bob is the address of bob, an account here"),
        ("test.mum.bob.us", "is under test.mum.bob, the address of bob, an account here"),
    ],
)
async def test_an_address_that_is_not_the_parents_to_give_is_refused(
    given: str, words: str
) -> None:
    setting = Setting(told(given))
    setting.directory.replace([PARENT, account("bob", ilp_address=address("test.mum.bob"))], {})

    await setting.parent.step()

    assert setting.adopted == []
    assert words in setting.parent.problem


async def test_an_account_that_moves_with_us_is_not_in_the_way() -> None:
    setting = Setting(told("test.signalbox.old.us"))
    parent = replace(PARENT, ilp_address=address("test.signalbox"))
    setting.address.current = address("test.signalbox.old")
    kid = account("kid", ilp_address=address("test.signalbox.old.us"))
    setting.directory.replace([parent, kid], {})

    await setting.parent.step()

    assert setting.adopted == ["test.signalbox.old.us"]


async def test_a_parent_whose_operator_gave_it_no_address_may_give_any() -> None:
    """Its account is called by the default, which is under our own address and says nothing of it."""
    setting = Setting(told("test.dad.us"))
    setting.directory.replace([replace(PARENT, ilp_address=address("test.signalbox.mum"))], {})

    await setting.parent.step()

    assert setting.adopted == ["test.dad.us"]


async def test_a_parent_without_an_address_is_called_what_our_name_stands_under() -> None:
    setting = Setting(told("test.dad.us"))
    setting.directory.replace([replace(PARENT, ilp_address=address("test.signalbox.mum"))], {})
    await setting.parent.step()
    assert setting.names == ["test.dad"]

    await setting.seconds(int(CHANGE_SECONDS) - 1)
    assert setting.asked == 1, "that it is called otherwise is no reason to ask again at once"
    setting.link.reply = told("test.far.dad.us")
    await setting.seconds(int(AGAIN_SECONDS))

    assert setting.adopted == ["test.dad.us", "test.far.dad.us"]
    assert setting.names == ["test.dad", "test.far.dad"]
    assert setting.parent.problem == ""


@pytest.mark.parametrize(
    ("theirs", "given"),
    [("test.mum", "test.mum.kids.us"), ("test.signalbox.mum", "test.us")],
    ids=["it has one", "there is none above"],
)
async def test_a_parent_keeps_its_address_where_it_has_one_or_that_would_be_none(
    theirs: str, given: str
) -> None:
    setting = Setting(told(given))
    setting.directory.replace([replace(PARENT, ilp_address=address(theirs))], {})

    await setting.parent.step()

    assert setting.adopted == [given]
    assert setting.names == []


async def test_a_node_whose_operator_gave_it_an_address_asks_nobody() -> None:
    setting = Setting(is_given=True)

    await setting.seconds(5)

    assert setting.asked == 0
    assert setting.parent.next_at_ms is None


@pytest.mark.parametrize(
    "accounts",
    [
        [],
        [account("mum", routing_relation=RoutingRelation.PARENT, enabled=False)],
        [PARENT, account("dad", routing_relation=RoutingRelation.PARENT)],
    ],
    ids=["none", "paused", "two"],
)
async def test_without_one_parent_nobody_is_asked(accounts: list[Account]) -> None:
    setting = Setting()
    setting.directory.replace(accounts, {})

    await setting.seconds(5)

    assert setting.asked == 0


@pytest.mark.logs_warning
async def test_a_parent_that_cannot_be_reached_is_asked_less_and_less_often() -> None:
    setting = Setting(refused(ErrorCode.PEER_UNREACHABLE, by="test.signalbox"))

    await setting.seconds(300)

    assert setting.asked == len([0, 1, 3, 7, 15, 31, 63, 123, 183, 243])
    assert "was asked for our address and gave none" in setting.parent.problem
    setting.link.reply = told()
    await setting.seconds(int(RETRY_SECONDS_MAX))
    assert setting.adopted == [GIVEN]


@pytest.mark.parametrize("code", [ErrorCode.UNREACHABLE, ErrorCode.BAD_REQUEST])
async def test_a_parent_that_gives_no_addresses_is_left_in_peace_and_that_is_no_fault(
    code: ErrorCode,
) -> None:
    """Rafiki's F02 to whatever is under `peer.`: no warning is logged, and nobody is asked hot."""
    setting = Setting(refused(code))

    await setting.seconds(int(QUIET_SECONDS) - 1)

    assert setting.asked == 1
    assert "gives no addresses" in setting.parent.problem
    assert "--ilp-address" in setting.parent.problem


@pytest.mark.logs_warning
async def test_a_parent_that_answers_with_errors_of_its_own_is_soon_asked_hardly_ever() -> None:
    setting = Setting(refused(ErrorCode.INTERNAL_ERROR))

    await setting.seconds(int(QUIET_SECONDS))

    assert setting.asked == len([0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047])


@pytest.mark.logs_warning
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (told("peer.us"), "for one link or machine only"),
        (told("self.us"), "for one link or machine only"),
        (Fulfill.build(FULFILLMENT, b"\x04test\x09\x03USD"), "no ILP address"),
        (Fulfill.build(FULFILLMENT), "the packet ends where a length is due"),
        (Fulfill.build(bytes(31) + b"x", told().data), "not that of an IL-DCP packet"),
    ],
)
async def test_an_answer_that_cannot_be_changes_nothing_and_is_said(
    reply: Reply, words: str
) -> None:
    setting = Setting(reply)

    await setting.seconds(60)

    assert setting.adopted == []
    assert setting.asked == 1
    assert words in setting.parent.problem


@pytest.mark.logs_warning
async def test_a_parent_that_counts_otherwise_is_a_warning_beside_the_address() -> None:
    setting = Setting(told(asset=Asset("USD", 9)))

    await setting.parent.step()

    assert setting.adopted == [GIVEN]
    assert "counts USD@9 with us, and its account here counts USD@2" in setting.parent.problem


async def test_an_address_that_the_store_cannot_keep_is_asked_for_again_soon() -> None:
    setting = Setting()
    setting.store_fails = True
    with pytest.raises(StoreUnavailable):
        await setting.parent.step()
    setting.store_fails = False

    await setting.seconds(2)

    assert setting.adopted == [GIVEN]
