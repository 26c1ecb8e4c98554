"""What the command line says of ETH before anything is signed.

Apart from the ledger: the libraries that sign take seconds to load, and a mistyped option is told at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

KIND: Final = "ethereum"
ASSET_CODE: Final = "ETH"
SCALE: Final = 18
GWEI: Final = 10**9


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EthereumOptions:
    """What an operator decides about a wallet."""

    confirmations: int = 12
    """How many blocks deep a transaction must be, its own block counted, before we count on it."""
    fee_limit: int = 200 * GWEI
    """The most that we offer for a unit of gas, in wei."""
    tip: int = 1 * GWEI
    """What the block's maker gets for a unit of gas at least, in wei."""
    reserve: int = 21_000 * 50 * GWEI
    """What stays in the wallet, in wei, so that a later transaction can still be paid for."""
