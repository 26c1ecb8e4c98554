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
LINK_HTTP: Final = "http"
LINK_BTP: Final = "btp"
LINK_BOTH: Final = "both"
LINK_CHOICES: Final = (
    (LINK_HTTP, "ILP over HTTP: each side posts packets to the other"),
    (LINK_BTP, "BTP: one WebSocket carries both ways, and either side opens it"),
    (LINK_BOTH, "Both: HTTP is used while the WebSocket is down"),
)
HTTP_FIELDS: Final = (
    "ilp_over_http_url",
    "ilp_over_http_outgoing_token",
    "ilp_over_http_incoming_token",
)
BTP_FIELDS: Final = (
    "ilp_over_btp_url",
    "ilp_over_btp_outgoing_token",
    "ilp_over_btp_incoming_token",
)
LINK_UNUSED: Final = {LINK_HTTP: BTP_FIELDS, LINK_BTP: HTTP_FIELDS, LINK_BOTH: ()}
"""The fields that are out of use, and empty, with each kind of link."""
BY_RELATION_CHOICES: Final = (
    ("", "As their relation has it: parents and peers, not children"),
    ("yes", "Yes"),
    ("no", "No"),
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
            FormField("link", "Kind of link", Kind.CHOICE, "", LINK_CHOICES),
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
            FormField(
                "ilp_over_btp_url",
                "Their BTP URL",
                Kind.URL,
                "btp+wss://peer.example/accounts/us/ilp/btp — empty where they open the connection",
            ),
            FormField(
                "ilp_over_btp_outgoing_token",
                "BTP token we send",
                Kind.SECRET,
                "they tell you; it is stored encrypted",
            ),
            FormField(
                "ilp_over_btp_incoming_token",
                "BTP token they send",
                Kind.SECRET,
                "you tell them; only its hash is stored",
                generates=True,
            ),
        ),
    ),
    FormSection(
        "Asset and credit",
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
        ),
    ),
    FormSection(
        "Limits",
        "How much of this node they may have at once; empty is no limit of yours.",
        (
            FormField("packets_per_minute_limit", "Packets a minute", Kind.NUMBER),
            FormField(
                "packet_burst_limit",
                "… and at once",
                Kind.NUMBER,
                "empty is as many as a minute allows",
            ),
            FormField("amount_per_minute_limit", "Amount a minute", Kind.AMOUNT),
            FormField(
                "amount_burst_limit",
                "… and at once",
                Kind.AMOUNT,
                "empty is as much as a minute allows",
            ),
            FormField(
                "packets_in_flight_limit",
                "Packets in flight",
                Kind.NUMBER,
                "those of theirs that wait for an answer",
            ),
            FormField(
                "amount_in_flight_limit",
                "Amount in flight",
                Kind.AMOUNT,
                "what those packets carry together",
            ),
            FormField(
                "outgoing_amount_per_minute_limit",
                "Sent to them a minute",
                Kind.AMOUNT,
                "packets beyond it are turned away before they leave",
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
                "the process that pays them, and sees what they pay",
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
        "Routing and rates",
        "Where they stand in the network, what each side learns of it, and what you keep.",
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
            FormField("send_routes", "Tell them routes", Kind.CHOICE, "", BY_RELATION_CHOICES),
            FormField(
                "receive_routes", "Take their routes", Kind.CHOICE, "", BY_RELATION_CHOICES
            ),
            FormField(
                "import_prefixes",
                "Taken under",
                Kind.TEXT,
                "prefixes with a space between: only routes under these are taken; empty takes all",
            ),
            FormField(
                "export_prefixes",
                "Told under",
                Kind.TEXT,
                "prefixes with a space between: only routes under these are told; empty tells all",
            ),
            FormField(
                "routes_max", "Most routes", Kind.NUMBER, "empty is the node's own bound"
            ),
            FormField(
                "route_weight",
                "Weight",
                Kind.NUMBER,
                "of equal routes, the heavier peer's wins before all other rules; 0 unless you say otherwise",
            ),
            FormField(
                "spread",
                "Your share",
                Kind.TEXT,
                "of what goes to them, as 0.5% or 1/200; empty is the pair's, or the node's",
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
    "link": LINK_HTTP,
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
