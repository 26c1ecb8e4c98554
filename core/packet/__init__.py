"""ILPv4 packets and addresses (RFC-0027, RFC-0015, RFC-0030): octets in, octets out, no I/O."""

from core.packet.address import (
    Address,
    address,
    child_address,
    covers,
    is_prefix,
    prefixes,
    scheme,
)
from core.packet.prepare import AMOUNT_MAX, DATA_OCTETS_MAX, Prepare
from core.packet.reply import (
    ErrorCode,
    Fulfill,
    Reject,
    Reply,
    error_words,
    max_packet_amount_data,
    parse_reply,
    read_max_packet_amount_data,
)

__all__ = [
    "AMOUNT_MAX",
    "DATA_OCTETS_MAX",
    "Address",
    "ErrorCode",
    "Fulfill",
    "Prepare",
    "Reject",
    "Reply",
    "address",
    "child_address",
    "covers",
    "error_words",
    "is_prefix",
    "max_packet_amount_data",
    "parse_reply",
    "prefixes",
    "read_max_packet_amount_data",
    "scheme",
]
