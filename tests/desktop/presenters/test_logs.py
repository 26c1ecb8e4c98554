from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.errors import SettingError
from desktop.models.logs import LogFilter
from desktop.presenters.logs import LogsPresenter
from tests.desktop.fake_operator import FakeOperator


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def logs(operator: FakeOperator) -> AsyncIterator[LogsPresenter]:
    presenter = LogsPresenter(operator, operator.clock)
    await presenter.update_and_report()
    yield presenter
    await presenter.close()


async def test_new_lines_come_at_the_end(operator: FakeOperator, logs: LogsPresenter) -> None:
    operator.add_log("INFO", "core.node", "one more")

    await logs.update_and_report()

    assert logs.model.row(logs.model.shown - 1).text == "one more"
    assert [call[1] for call in operator.calls if call[0] == "logs"] == [0, 60]


async def test_levels_are_told_apart_as_the_node_writes_them(
    operator: FakeOperator, logs: LogsPresenter
) -> None:
    logs.filter(LogFilter(level="WARNING"))
    before = logs.model.shown
    operator.add_log("info", "core.node", "quiet")
    operator.add_log("warning", "core.node", "loud")

    await logs.update_and_report()

    assert logs.model.shown == before + 1
    assert logs.model.row(before).level == "WARNING"


async def test_a_filter_holds_for_what_comes(
    operator: FakeOperator, logs: LogsPresenter
) -> None:
    logs.filter(LogFilter(level="ERROR"))
    operator.add_log("INFO", "core.node", "quiet")
    operator.add_log("ERROR", "core.node", "loud")

    await logs.update_and_report()

    assert {row.level for row in logs.model.visible_rows} == {"ERROR"}
    assert logs.model.row(logs.model.shown - 1).text == "loud"


async def test_the_level_that_is_in_force_is_shown(
    operator: FakeOperator, logs: LogsPresenter
) -> None:
    levels: list[str] = []
    logs.level_changed.connect(levels.append)

    logs.set_level("info,core.links=debug")
    await logs.tasks.finish()

    assert levels == ["info,core.links=debug"]


async def test_a_level_that_there_is_not_is_refused_with_a_sentence(
    operator: FakeOperator, logs: LogsPresenter
) -> None:
    failures: list[str] = []
    logs.failed.connect(failures.append)
    operator.errors["set_log_level"] = SettingError("level", "is 'loud'; use debug or info")

    logs.set_level("loud")
    await logs.tasks.finish()

    assert "use debug or info" in failures[0]
