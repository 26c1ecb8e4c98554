"""What a reject code means here, and what its reader can do: it depends on who said no.

RFC-0027 says what a code is for. An operator wants to know whether it is theirs to mend, their
peer's, or somebody's further on; so each code has a sentence for each of the three.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from core.packet import ErrorCode, covers, error_words


class Origin(enum.Enum):
    """Who said no."""

    US = "us"
    NEXT_HOP = "next hop"
    FURTHER_ON = "further on"


@final
@dataclass(frozen=True, slots=True)
class Reason:
    """A code's meaning, and what to do about it."""

    meaning: str
    us: str
    next_hop: str
    further_on: str


def origin_of(triggered_by: str, *, ours: str, next_hop: str | None) -> Origin:
    """Return who said no, from the address that the Reject names."""
    if triggered_by == ours:
        return Origin.US
    if next_hop is not None and (not triggered_by or covers(next_hop, triggered_by)):
        return Origin.NEXT_HOP
    return Origin.FURTHER_ON


def advice(code: str, origin: Origin, *, next_hop: str | None = None) -> str:
    """Return two sentences for the operator: what the code means, and what to do.

    `next_hop` is what that account is called on the screen. Codes that no RFC knows are advised
    on by their first letter, as RFC-0027 asks.
    """
    reason = REASONS.get(code) or _BY_LETTER.get(code[:1]) or _STRANGE
    name = next_hop or "the next node"
    if origin is Origin.US:
        what = reason.us
    elif origin is Origin.NEXT_HOP:
        what = reason.next_hop
    else:
        what = reason.further_on
    return f"{error_words(code)}: {reason.meaning} {what.replace('{peer}', name)}".strip()


_ASK_SENDER: Final = "Nothing is wrong here; the sender has to mend it."
_THEIRS: Final = "It comes from beyond {peer}; there is nothing to mend here."
_SENDER_RETRIES: Final = "Senders try again by themselves; look closer only if it lasts."

REASONS: Final[Mapping[str, Reason]] = {
    ErrorCode.BAD_REQUEST.decode(): Reason(
        "the packet, or the request that carried it, was not acceptable.",
        "Read the message: this node says there what it missed.",
        "{peer} refused it as it was: compare the URL and the token with what {peer} gave you.",
        _THEIRS,
    ),
    ErrorCode.INVALID_PACKET.decode(): Reason(
        "the packet could not be read, or its protocol is not spoken.",
        _ASK_SENDER,
        "{peer} does not understand this kind of packet.",
        _THEIRS,
    ),
    ErrorCode.UNREACHABLE.decode(): Reason(
        "there is no way to the destination.",
        "Add a route or a default route for it, or resume the account it leads to.",
        "{peer} has no route to it: ask whether the address is right, or route it elsewhere.",
        "A node beyond {peer} has no route to it; another next hop may have one.",
    ),
    ErrorCode.INVALID_AMOUNT.decode(): Reason(
        "the amount cannot be what was meant.", _ASK_SENDER, _ASK_SENDER, _ASK_SENDER
    ),
    ErrorCode.INSUFFICIENT_DESTINATION_AMOUNT.decode(): Reason(
        "less arrived than the receiver was promised.",
        "Compare this node's rates and spread with what the sender counts on.",
        "{peer} got less than the sender promised: compare your rates and spread with the market.",
        "Somebody on the way converts worse than the sender counts on.",
    ),
    ErrorCode.WRONG_CONDITION.decode(): Reason(
        "the fulfillment does not belong to the packet.",
        "{peer} sent a false proof, and is paid nothing for it: tell them, and pause if it lasts.",
        "{peer} cannot fulfill this packet; sender and receiver disagree.",
        "Sender and receiver disagree, or somebody on the way sent a false proof.",
    ),
    ErrorCode.UNEXPECTED_PAYMENT.decode(): Reason(
        "the receiver does not know this payment.", _ASK_SENDER, _ASK_SENDER, _ASK_SENDER
    ),
    ErrorCode.CANNOT_RECEIVE.decode(): Reason(
        "the receiver cannot take it.",
        _ASK_SENDER,
        "{peer} cannot take it; some nodes say so where they lack an exchange rate.",
        "The receiver, or a node that lacks an exchange rate, cannot take it.",
    ),
    ErrorCode.AMOUNT_TOO_LARGE.decode(): Reason(
        "the packet is larger than is allowed.",
        "Senders cut their packets smaller by themselves; raise the account's largest packet if"
        " it is too small.",
        "{peer} takes smaller packets only; senders cut them by themselves.",
        "A node beyond {peer} takes smaller packets only; senders cut them by themselves.",
    ),
    ErrorCode.INVALID_PEER_RESPONSE.decode(): Reason(
        "the next node's answer was not valid.",
        "{peer} answers with something that is no valid reply: tell them.",
        "{peer} got no valid answer from the node behind it.",
        _THEIRS,
    ),
    ErrorCode.FINAL_APPLICATION_ERROR.decode(): Reason(
        "the receiver's program refuses it; what it means is between sender and receiver.",
        _ASK_SENDER,
        _ASK_SENDER,
        _ASK_SENDER,
    ),
    ErrorCode.INTERNAL_ERROR.decode(): Reason(
        "something failed inside a node.",
        "Read the message, and the log's line at the same moment, which say what failed; a rate that is"
        " missing or too old is one cause (see Rates).",
        "{peer}'s node failed: tell them the time and the message.",
        "A node beyond {peer} failed; it is theirs to mend.",
    ),
    ErrorCode.PEER_UNREACHABLE.decode(): Reason(
        "the link to the next node does not work.",
        "Ping {peer}: check its URL, and whether its node runs.",
        "{peer} cannot reach the node behind it.",
        "A link beyond {peer} is down; senders try again by themselves.",
    ),
    ErrorCode.PEER_BUSY.decode(): Reason(
        "the next node is too busy.", _SENDER_RETRIES, _SENDER_RETRIES, _SENDER_RETRIES
    ),
    ErrorCode.CONNECTOR_BUSY.decode(): Reason(
        "a node is too busy.", _SENDER_RETRIES, _SENDER_RETRIES, _SENDER_RETRIES
    ),
    ErrorCode.INSUFFICIENT_LIQUIDITY.decode(): Reason(
        "there is not enough credit or money for it.",
        "The sending account is at a limit, and the message says which: it settles with you, or you"
        " give it more credit (min_balance), or more a minute or in flight.",
        "You are at the limit that {peer} gave you: settle with {peer}, or ask for more credit;"
        " your settle threshold must be below that limit.",
        "An account beyond {peer} is at its limit; that is for its operators to settle.",
    ),
    ErrorCode.RATE_LIMITED.decode(): Reason(
        "packets come faster than was agreed.",
        "The account sends more a minute than you allow: raise its limit if that is too low.",
        "You send {peer} more than it allows: agree on a higher limit.",
        "A node beyond {peer} slows its own peer down; senders do so by themselves.",
    ),
    ErrorCode.TEMPORARY_APPLICATION_ERROR.decode(): Reason(
        "the receiver's program refuses it for now.",
        _SENDER_RETRIES,
        _SENDER_RETRIES,
        _SENDER_RETRIES,
    ),
    ErrorCode.TRANSFER_TIMED_OUT.decode(): Reason(
        "no answer came before the packet expired.",
        "{peer} did not answer in time: ping it, and compare both clocks.",
        "{peer} waited in vain for the node behind it, or its clock differs from yours.",
        "A node beyond {peer} did not answer in time.",
    ),
    ErrorCode.INSUFFICIENT_SOURCE_AMOUNT.decode(): Reason(
        "too little was sent: after conversion nothing is left.",
        "The packet is worth less than the next account's smallest unit; the sender has to send"
        " larger packets.",
        "The packet is too small for {peer}'s conversion; the sender has to send larger packets.",
        "The packet is too small for a conversion beyond {peer}.",
    ),
    ErrorCode.INSUFFICIENT_TIMEOUT.decode(): Reason(
        "too little time was left for the rest of the way.",
        "The packet came late, or the account's round_trip_time takes too much: lower it if so.",
        "{peer} had too little time: lower the account's round_trip_time, and compare both clocks.",
        "A node beyond {peer} had too little time left; a shorter way may help.",
    ),
    ErrorCode.RELATIVE_APPLICATION_ERROR.decode(): Reason(
        "the receiver's program refuses it as it is.", _ASK_SENDER, _ASK_SENDER, _ASK_SENDER
    ),
}

_BY_LETTER: Final[Mapping[str, Reason]] = {
    "F": Reason("a final no, by a code that no RFC knows.", _ASK_SENDER, _ASK_SENDER, _THEIRS),
    "T": Reason(
        "a no for now, by a code that no RFC knows.",
        _SENDER_RETRIES,
        _SENDER_RETRIES,
        _SENDER_RETRIES,
    ),
    "R": Reason(
        "a no to this amount or time, by a code that no RFC knows.",
        _ASK_SENDER,
        _ASK_SENDER,
        _THEIRS,
    ),
}
_STRANGE: Final = Reason("a code that no RFC knows.", _ASK_SENDER, _ASK_SENDER, _THEIRS)
