"""Another node's process on the same file: it prepares some transfers and waits, or spends all that it can."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from itertools import count

from core.clock import WallClock
from core.errors import InsufficientBalance
from core.ledger.books import Books
from core.stores import open_stores
from core.testing.builders import FULFILLMENT
from tests.core.stores.people import transfer

SPENDERS = 8


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def hold(books: Books, node: int) -> None:
    """Leave one of each: pending, expired, fulfilled."""
    ids = [await books.prepare(transfer(amount)) for amount in (100, 10, 1)]
    await books.expire(ids[1])
    await books.fulfill(ids[2], FULFILLMENT)
    say(node=node, ids=ids)
    await asyncio.Event().wait()


async def spend(books: Books, node: int) -> None:
    """Spend at one account's limit from several tasks until nothing is left."""
    say(node=node)
    await asyncio.to_thread(sys.stdin.readline)
    spent = 0
    numbers = count()

    async def one() -> None:
        nonlocal spent
        for amount in (5, 3, 1) * 1000:
            # The same packet of another process would be a copy.
            to = f"test.node.bob.{os.getpid()}-{next(numbers)}"
            try:
                number = await books.prepare(replace(transfer(amount), destination=to))
            except InsufficientBalance:
                if amount == 1:
                    return
            else:
                await books.fulfill(number, FULFILLMENT)
                spent += amount

    await asyncio.gather(*(one() for _ in range(SPENDERS)))
    say(spent=spent)


async def main(url: str, what: str) -> None:
    stores = await open_stores(url, WallClock())
    lease = await stores.leases.sign_on(what)
    await (hold if what == "hold" else spend)(stores.books, lease.number)
    await stores.leases.sign_off()
    await stores.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
