from __future__ import annotations

from collections.abc import Sequence

from core.control.payment_views import ReceiveAddress
from core.errors import NotFound
from desktop.models.node_names import NodeName
from desktop.presenters.node_names import NodeNamesPresenter
from desktop.presenters.watch import NodeWatch
from tests.desktop.fake_operator import FakeOperator


async def test_the_address_is_known_at_once_and_the_pointer_of_who_is_paid_when_it_was_asked_for() -> (
    None
):
    operator = FakeOperator()
    watch = NodeWatch(operator, operator.clock)
    presenter = NodeNamesPresenter(watch, "bob")
    told: list[Sequence[NodeName]] = []
    presenter.changed.connect(told.append)
    assert len(presenter.names) == 0

    await watch.update_and_report()
    assert [each.text for each in presenter.names] == ["test.signalbox.alice"]
    presenter.ask()
    await watch.tasks.finish()

    assert [each.title for each in told[-1]] == ["ILP address", "Payment pointer"]
    assert told[-1][1].text == "$node.example/bob"
    assert told[-1][1].hint == "Whoever pays it pays bob."
    times = len(told)
    await watch.update_and_report()
    assert len(told) == times
    operator.ilp_address = "test.other"
    await watch.update_and_report()
    assert told[-1][0].text == "test.other"
    await watch.close()


async def _gone(username: str) -> ReceiveAddress:
    raise NotFound(f"there is no account {username}")


async def test_without_an_account_that_is_paid_at_the_host_there_is_no_pointer() -> None:
    operator = FakeOperator()
    operator.receive_address = _gone  # type: ignore[method-assign] # its accounts are gone
    watch = NodeWatch(operator, operator.clock)
    await watch.update_and_report()

    nobody = NodeNamesPresenter(watch)
    nobody.ask()
    gone = NodeNamesPresenter(watch, "gone")
    failures: list[str] = []
    watch.failed.connect(failures.append)
    gone.ask()
    await watch.tasks.finish()

    assert len(nobody.names) == len(gone.names) == 1
    assert failures == []
    await watch.close()
