from __future__ import annotations

import dataclasses

import pytest

from desktop.presenters.names import Names
from tests.desktop.fake_operator import FakeOperator


@pytest.fixture
def names() -> Names:
    operator = FakeOperator()
    labels = {"bob": "Bank of B", "carol": "Carol"}
    for username, label in labels.items():
        view = operator.views[username]
        operator.replace_view(username, account=dataclasses.replace(view.account, label=label))
    made = Names()
    made.learn(operator.views.values())
    return made


def test_a_sentence_of_the_nodes_calls_accounts_as_the_screen_does(names: Names) -> None:
    sentence = (
        "bob may send carol, test.bob.carol says, and not bobby; 100 ms are kept for bob."
    )

    assert names.in_words(sentence, "bob", "carol", "") == (
        "Bank of B (bob) may send Carol, test.bob.carol says, and not bobby; "
        "100 ms are kept for Bank of B (bob)."
    )


def test_accounts_that_the_sentence_is_not_about_are_words_like_others(names: Names) -> None:
    assert names.in_words("carol is not meant", "bob") == "carol is not meant"
    assert names.in_words("nobody is named") == "nobody is named"
