"""Everything that the node raises on purpose.

* InterledgerError
  - PacketError             octets that are not the packet they claim to be
    · StreamError           encrypted for another STREAM connection, or changed on the way
  - QuoteFailed             a payment's path does not answer, or not usefully
  - SettingError            a value that an operator gave and that cannot be
    · SettingErrors         several of them
  - StoreError              what a store cannot do for us
    · UnknownAccount
    · AccountExists
    · AccountInUse
    · UnknownRoute
    · InsufficientBalance
    · AmountTooLarge
    · TransferDecided       it has another end already, or there is none of this id
    · PaymentOver           the payment may send nothing more
    · PacketKnown           this very packet was prepared before
    · MoreThanAskedFor      the request for money that a packet pays takes less
    · StoreUnavailable      locked, full, read-only, closed: try again or mend it
    · SchemaTooNew
    · NodeFenced            another node has declared this one dead
  - ControlError            what the operator asked for and cannot have
    · NotAuthorized
    · NotFound
    · Conflict
    · PaymentImpossible     the receiver or the way to it does not answer, or not usefully
    · SlowReader            it was told more than it took
  - SpspError               a payment's receiver cannot be found, or does not answer as one
  - SettlementError         what a settlement engine cannot do for us
    · LedgerUnreachable
    · LedgerRefused
    · EngineRunning         another process runs this engine
    · EngineFenced          another process has taken this engine over
    · EngineStopped         going on could lose money: a person has to look

A Reject is no error: it is a reply, and a service returns it. What is raised is either one of
these, or a bug.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Sequence


class InterledgerError(Exception):
    """The base of every error that the node raises on purpose."""


class PacketError(InterledgerError):
    """The octets are not the packet they claim to be."""

    def __init__(self, problem: str, *, octet: int) -> None:
        super().__init__(f"{problem}, at octet {octet}")
        self.problem = problem
        self.octet = octet


class StreamError(PacketError):
    """The octets were encrypted for another STREAM connection, or were changed on the way."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, octet=0)


class QuoteFailed(InterledgerError):
    """No payment can be made over this path now; says who answered what."""

    def __init__(
        self,
        reason: str,
        *,
        reject_code: str = "",
        triggered_by: str = "",
        counted_in: tuple[str, int] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reject_code = reject_code
        self.triggered_by = triggered_by
        self.counted_in = counted_in
        """The receiver's asset code and scale, where they are known all the same."""


class SettingError(InterledgerError):
    """A value that an operator gave cannot be; says what was found and what was needed."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class SettingErrors(SettingError):
    """Several values cannot be; the first stands where one error is shown, and `faults` has all, by field."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__(*faults[0])
        self.args = ("; ".join(f"{field}: {problem}" for field, problem in faults),)
        self.faults = tuple(faults)


class StoreError(InterledgerError):
    """A store could not do what it was asked."""


class UnknownAccount(StoreError):
    """No account has this id or username."""

    def __init__(self, account: str) -> None:
        super().__init__(f"there is no account {account!r}")
        self.account = account


class AccountExists(StoreError):
    """Another account already has this username, address or token."""

    def __init__(self, field: str, value: str | None, *, owner: str | None = None) -> None:
        """Say what is taken, and by whom where that is known; None is for a token, which no error repeats."""
        what = f"this {field}" if value is None else f"the {field} {value!r}"
        who = "another account" if owner is None else f"account {owner!r}"
        super().__init__(f"{who} already has {what}")
        self.field = field
        self.value = value


class AccountInUse(StoreError):
    """The account still has a balance, packets in flight or routes, and was not deleted."""

    def __init__(self, account: str, why: str) -> None:
        super().__init__(f"account {account!r} was not deleted: {why}")
        self.account = account
        self.why = why


class UnknownRoute(StoreError):
    """There is no static route for this prefix."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"there is no static route for {prefix!r}")
        self.prefix = prefix


class InsufficientBalance(StoreError):
    """The balance would fall below what the account's operator allows."""

    def __init__(self, account: str, *, needed: int, available: int) -> None:
        super().__init__(f"account {account!r} needs {needed} and has {available} left")
        self.account = account
        self.needed = needed
        self.available = available


class AmountTooLarge(StoreError):
    """The amount, or the sum it would make, does not fit the books' 64-bit columns."""

    def __init__(self, amount: int, *, maximum: int) -> None:
        super().__init__(f"the amount {amount} is more than the books carry, {maximum}")
        self.amount = amount
        self.maximum = maximum


class TransferDecided(StoreError):
    """The transfer is not in a state in which this could be decided; nothing was changed."""

    def __init__(self, transfer: int, found: str, *, state: str | None = None) -> None:
        super().__init__(f"transfer {transfer} {found}")
        self.transfer = transfer
        self.found = found
        self.state = state
        """The name of the state that it is in; None where there is none of this id."""


class PaymentOver(StoreError):
    """A packet of a payment of ours came too late, or is more than the payment may send."""

    def __init__(self, payment: int, why: str) -> None:
        super().__init__(f"payment {payment} sends nothing more: {why}")
        self.payment = payment
        self.why = why


class PacketKnown(StoreError):
    """This very packet was prepared before, by this or another process on the store; it is not sent twice."""

    def __init__(self, first: int, *, fulfillment: bytes | None, is_open: bool) -> None:
        super().__init__(f"this very packet was prepared before, as transfer {first}")
        self.first = first
        self.fulfillment = fulfillment
        """With what the first was fulfilled, and its sender charged."""
        self.is_open = is_open
        """Whether the first may yet be fulfilled or rejected."""


class MoreThanAskedFor(StoreError):
    """A packet would have brought more than its request for money still takes; it was not received."""

    def __init__(self, left: int) -> None:
        super().__init__(f"no more than {left} is still asked for")
        self.left = left
        """How much more it takes: nothing where it is paid, over, cancelled or not there."""


class StoreUnavailable(StoreError):
    """The store is locked, full, read-only or closed: nothing was changed."""


class SchemaTooNew(StoreError):
    """The database was written by a newer version of this program."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"the database has schema {found}, and this version of Signalbox knows {known}: "
            "install the newer version, or restore a backup made before the upgrade"
        )
        self.found = found
        self.known = known


class NodeFenced(StoreError):
    """This node's lease ran out and another process has settled what it left pending."""


class ControlError(InterledgerError):
    """What an operator asked for cannot be done; nothing was changed."""


class NotAuthorized(ControlError):
    """The token is missing or wrong."""


class NotFound(ControlError):
    """There is no such thing."""


class Conflict(ControlError):
    """It is already there, or in the way of something that is."""


class PaymentImpossible(ControlError):
    """The receiver cannot be found, or cannot be paid this way; no money was moved."""


class SlowReader(ControlError):
    """Whoever listens took less than there was to tell, and is told nothing more."""


class SpspError(InterledgerError):
    """A payment's receiver cannot be found, or does not answer as one; says who and why."""


class RateSourceError(InterledgerError):
    """A source of rates does not answer, or not with prices; says why."""


class SettlementError(InterledgerError):
    """A settlement engine could not do what it was asked."""


class LedgerUnreachable(SettlementError):
    """The ledger's node does not answer: try again later, nothing is decided."""


class LedgerRefused(SettlementError):
    """The ledger said no; decide only from receipts, never from this text."""


class EngineRunning(SettlementError):
    """A living process runs this engine already; two would pay twice."""


class EngineFenced(SettlementError):
    """Another process has taken this engine's lease: this one may write nothing any more."""


class EngineStopped(SettlementError):
    """The engine found something that it must not go on with; says what a person has to do."""


def connect_problem(error: Exception) -> str:
    """Return why no connection could be made, for people: whichever library says it, in the same words."""
    # aiohttp's errors have that of the connection within; TLS's have a number of their own, not the system's.
    within = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    if isinstance(within, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {within.verify_message or within.reason}"
    if isinstance(within, ssl.SSLError):
        return f"no secure connection could be agreed on: {within.reason or within}"
    number = getattr(error, "errno", None) or 0
    if number == errno.ECONNREFUSED or isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if number == errno.ECONNRESET or isinstance(error, ConnectionResetError):
        return "it closed the connection at once"
    # The system's words, and those of looking a name up, are for people as they are.
    text = os.strerror(number) if number > 0 else getattr(error, "strerror", None)
    text = text or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


def shown_url(url: str) -> str:
    """Return a URL as an error may quote it: without what may be a password or a key, and not endless."""
    head, at, tail = url.rpartition("@")
    shown = f"…@{tail}" if at and head else url
    shown = shown.partition("?")[0]
    return repr(shown if len(shown) <= 200 else f"{shown[:200]}…")
