"""What an account's settings mean, in plain sentences: read before anything is saved."""

from __future__ import annotations

from collections.abc import Iterator

from core.account import AMOUNT_MAX_BOOKED, Account, format_amount


def terms(account: Account, engine_url: str | None) -> tuple[str, ...]:
    """Return the sentences; `engine_url` is the engine that would serve it, its own or its asset's."""
    return (
        *_credit(account),
        *_limits(account),
        *_settlement(account, engine_url),
        *_link(account),
    )


def _credit(account: Account) -> Iterator[str]:
    name, asset, least = account.name, account.asset, account.min_balance
    if least is None:
        yield f"{name} may owe you without limit."
    elif least < 0:
        yield f"{name} may owe you up to {format_amount(-least, asset)}."
    elif least == 0:
        yield f"{name} must pay in advance, and may owe you nothing."
    else:
        yield f"{name} must always keep {format_amount(least, asset)} with you in advance."


def _limits(account: Account) -> Iterator[str]:
    name, asset = account.name, account.asset
    if account.max_packet_amount < AMOUNT_MAX_BOOKED:
        most = format_amount(account.max_packet_amount, asset)
        yield f"Packets from {name} of more than {most} are refused."
    if account.packets_per_minute_limit is not None:
        yield f"{name} may send up to {account.packets_per_minute_limit} packets a minute."
    if account.amount_per_minute_limit is not None:
        most = format_amount(account.amount_per_minute_limit, asset)
        yield f"{name} may send up to {most} a minute."


def _settlement(account: Account, engine_url: str | None) -> Iterator[str]:
    name, asset = account.name, account.asset
    threshold, settle_to = account.settle_threshold, account.settle_to or 0
    if threshold is None:
        yield f"What you owe {name} is settled only when you say so."
        return
    when = f"When you owe {name} {format_amount(threshold, asset)} or more"
    if settle_to >= 0:
        yield f"{when}, you pay until you owe {format_amount(settle_to, asset)}."
    else:
        ahead = format_amount(-settle_to, asset)
        yield f"{when}, you pay until {name} holds {ahead} of yours in advance."
    if threshold > 0:
        yield (
            f"{name} must let you owe more than {format_amount(threshold, asset)}, "
            "or packets are refused before anything is settled."
        )
    if engine_url is None:
        yield f"No engine settles {asset.code} yet, so that nothing is paid."


def _link(account: Account) -> Iterator[str]:
    name = account.name
    if not account.enabled:
        yield f"{name} is paused: nothing is taken from it and nothing sent to it."
    if account.ilp_over_http_url is not None:
        yield f"Packets for {name} go to {account.ilp_over_http_url}."
    elif account.ilp_over_btp_url is None:
        yield f"{name} has no address to send packets to, and can only send."
