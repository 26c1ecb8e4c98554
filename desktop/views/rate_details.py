"""What the inspector of the rates page says of each kind of row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from desktop import formatting
from desktop.models.rate_history import RateChangeRow
from desktop.models.rates import PriceRow, SourceRow, SpreadRow
from desktop.views.detail import DetailPanel
from desktop.views.widgets import Tone

STATE_TONES: Final[Mapping[str, Tone]] = {
    "in force": Tone.OK,
    "set by you": Tone.OK,
    "too old": Tone.BAD,
    "jump held": Tone.WARN,
    "works": Tone.OK,
    "fails": Tone.BAD,
    "paused": Tone.PAUSED,
    "not asked yet": Tone.PLAIN,
}


def show_rate_row(panel: DetailPanel, row: object, reference: str) -> None:
    """Show what is selected on the page, or that nothing is; prices are in the reference asset."""
    if isinstance(row, PriceRow):
        _show_price(panel, row, reference)
    elif isinstance(row, SourceRow):
        _show_source(panel, row)
    elif isinstance(row, SpreadRow):
        panel.show_details(
            f"{row.source} into {row.target}",
            ("Of its own", Tone.PLAIN),
            [("The node keeps", row.share)],
            advice="This pair has a spread of its own: the node's does not hold for it.",
        )
    elif isinstance(row, RateChangeRow):
        _show_change(panel, row)
    else:
        panel.show_nothing()


def _state(state: str) -> tuple[str, Tone]:
    return state.capitalize(), STATE_TONES.get(state, Tone.PLAIN)


def _show_price(panel: DetailPanel, row: PriceRow, reference: str) -> None:
    facts = [
        ("Price", f"{row.price} {reference}".strip()),
        ("Age", row.age),
        ("From", row.said_by),
    ]
    panel.show_details(
        row.code, _state(row.state), facts, advice=row.sentence, advice_title="How it stands"
    )


def _show_source(panel: DetailPanel, row: SourceRow) -> None:
    facts = [
        ("Kind", row.kind),
        ("URL", row.url or formatting.NOTHING),
        ("Prices", formatting.count(row.prices_count)),
        ("Its data is", row.age),
        ("Answered", row.answered),
        ("Asked every", formatting.duration(row.poll_seconds)),
        ("Failures in a row", formatting.count(row.failures)),
        ("Key", "set" if row.has_api_key else "none"),
    ]
    if row.problem and row.problem not in row.sentence:
        facts.append(("Problem", row.problem))
    panel.show_details(
        row.name,
        _state(row.state),
        facts,
        advice=row.sentence,
        advice_title="How it does",
    )


def _show_change(panel: DetailPanel, row: RateChangeRow) -> None:
    facts = [
        ("From", formatting.moment(row.at_ms)),
        ("Change", row.change or "the oldest that is known"),
        ("Said by", row.sources),
        ("Prices", f"no. {row.id}"),
    ]
    panel.show_details(row.rate, ("As it was", Tone.PLAIN), facts)
