from __future__ import annotations

import pytest

from desktop.models.gauge import Gauge
from desktop.theme import DARK, LIGHT, Colours
from desktop.views.gauge import fill_colour


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_the_fill_says_who_owes_also_near_the_limit(look: Colours) -> None:
    owed = {amount: fill_colour(Gauge(owed=amount, limit=100), look) for amount in (-5, 5, 87)}

    assert owed == {-5: look.owed_by_us, 5: look.owed_to_us, 87: look.owed_to_us}
    assert fill_colour(Gauge(owed=99, limit=100), look) == look.bad
