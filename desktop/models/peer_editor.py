"""The peer editor's form: its sections and fields, and what stands in them, as text."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

CREDIT_LIMITED: Final = "limited"
CREDIT_PREPAID: Final = "prepaid"
CREDIT_UNLIMITED: Final = "unlimited"
CREDIT_DEPOSIT: Final = "deposit"
CREDIT_WITH_AMOUNT: Final = (CREDIT_LIMITED, CREDIT_DEPOSIT)

CREDIT_CHOICES: Final = (
    (CREDIT_PREPAID, "None: they pay in advance"),
    (CREDIT_LIMITED, "Up to an amount"),
    (CREDIT_UNLIMITED, "Unlimited: they may owe you any amount"),
    (CREDIT_DEPOSIT, "Less than none: they keep a deposit with you"),
)
RELATION_CHOICES: Final = (
    ("Peer", "Peer: an equal, packets go both ways"),
    ("Child", "Child: it gets its address from us"),
    ("Parent", "Parent: we get our address from it"),
    ("NonRoutingAccount", "Sender or receiver: it routes nothing"),
)


class Kind(enum.Enum):
    """Which widget a field needs."""

    TEXT = "text"
    NOTES = "notes"
    URL = "url"
    SECRET = "secret"  # noqa: S105 # a kind of field
    AMOUNT = "amount"
    NUMBER = "number"
    CHOICE = "choice"
    ENGINE = "engine"
    SWITCH = "switch"


@final
@dataclass(frozen=True, slots=True)
class FormField:
    """One field: `name` is the account's own name for it, so that a problem finds its place."""

    name: str
    label: str
    kind: Kind
    hint: str = ""
    """What to type, shown while the field is empty or beside it."""
    choices: Sequence[tuple[str, str]] = ()
    required: bool = False
    generates: bool = False
    """A secret that we may make up: the other side is told it."""


@final
@dataclass(frozen=True, slots=True)
class FormSection:
    """Fields that belong together, and a sentence on what they decide."""

    title: str
    explanation: str
    fields: Sequence[FormField]


SECTIONS: Final[Sequence[FormSection]] = (
    FormSection(
        "General",
        "Who the other side is.",
        (
            FormField(
                "username",
                "Username",
                Kind.TEXT,
                "2 to 32 of a–z 0–9 _ ~ - ; it is part of URLs and addresses",
                required=True,
            ),
            FormField(
                "label", "Name on screen", Kind.TEXT, "the username, unless you say otherwise"
            ),
            FormField(
                "enabled", "Forward packets", Kind.SWITCH, "Packets to and from this peer pass"
            ),
            FormField("notes", "Notes", Kind.NOTES, "for you only"),
        ),
    ),
    FormSection(
        "Link",
        "How packets travel, and how each side proves who it is.",
        (
            FormField(
                "ilp_over_http_url",
                "Their URL",
                Kind.URL,
                "https://peer.example/accounts/us/ilp — where we send packets",
            ),
            FormField(
                "ilp_over_http_outgoing_token",
                "Token we send",
                Kind.SECRET,
                "they tell you; it is stored encrypted",
            ),
            FormField(
                "ilp_over_http_incoming_token",
                "Token they send",
                Kind.SECRET,
                "you tell them; only its hash is stored",
                generates=True,
            ),
        ),
    ),
    FormSection(
        "Asset and limits",
        "What is counted, and how much you are ready to lose if they never pay.",
        (
            FormField("asset_code", "Asset", Kind.TEXT, "USD, EUR, XRP, ETH …", required=True),
            FormField(
                "asset_scale",
                "Decimals",
                Kind.NUMBER,
                "2 counts cents; it cannot change once packets went through",
                required=True,
            ),
            FormField("credit", "Credit you give", Kind.CHOICE, "", CREDIT_CHOICES),
            FormField(
                "credit_amount",
                "Credit or deposit",
                Kind.AMOUNT,
                "their packets stop when it is used up",
            ),
            FormField(
                "max_packet_amount",
                "Largest packet",
                Kind.AMOUNT,
                "larger ones are turned away; empty is no limit of yours",
            ),
            FormField(
                "packets_per_minute_limit", "Packets a minute", Kind.NUMBER, "empty is no limit"
            ),
            FormField(
                "amount_per_minute_limit", "Amount a minute", Kind.AMOUNT, "empty is no limit"
            ),
        ),
    ),
    FormSection(
        "Settlement",
        "When and how you pay what you owe.",
        (
            FormField(
                "settlement_engine_url",
                "Engine",
                Kind.ENGINE,
                "empty is the default engine of the asset",
            ),
            FormField(
                "settlement_address", "Their ledger address", Kind.TEXT, "where they are paid"
            ),
            FormField(
                "settle_threshold", "Settle when you owe", Kind.AMOUNT, "empty: never by itself"
            ),
            FormField("settle_to", "… down to", Kind.AMOUNT, "what you still owe afterwards"),
        ),
    ),
    FormSection(
        "Routing",
        "Where they stand in the network.",
        (
            FormField("routing_relation", "They are your", Kind.CHOICE, "", RELATION_CHOICES),
            FormField(
                "ilp_address",
                "ILP address",
                Kind.TEXT,
                "your address and the username, unless you say otherwise",
            ),
            FormField(
                "round_trip_time",
                "Time for their answer",
                Kind.NUMBER,
                "milliseconds taken off a packet's expiry; 500 unless you say otherwise",
            ),
        ),
    ),
    FormSection(
        "Advanced",
        "The second kind of link: ILP over BTP.",
        (
            FormField("ilp_over_btp_url", "BTP URL", Kind.URL, "btp+wss://peer.example/…"),
            FormField("ilp_over_btp_outgoing_token", "BTP token we send", Kind.SECRET),
            FormField(
                "ilp_over_btp_incoming_token",
                "BTP token they send",
                Kind.SECRET,
                generates=True,
            ),
        ),
    ),
)

FIELDS: Final[Mapping[str, FormField]] = {
    form_field.name: form_field for section in SECTIONS for form_field in section.fields
}

NEW_PEER: Final[Mapping[str, str]] = {
    "enabled": "yes",
    "asset_scale": "2",
    "credit": CREDIT_LIMITED,
    "routing_relation": "Peer",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FormCheck:
    """What is wrong with the form and what it would mean, in sentences, by field."""

    problems: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)
    summary: Sequence[str] = ()
    checking: bool = False

    @property
    def reasons(self) -> Sequence[str]:
        """Why it cannot be saved, with the label of the field that each is about."""
        return [
            f"{FIELDS[name].label}: {problem}" if name in FIELDS else problem
            for name, problem in self.problems.items()
        ]


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that saving would change."""

    label: str
    before: str
    after: str
