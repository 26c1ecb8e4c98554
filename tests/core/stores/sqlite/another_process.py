"""Another node's process on the same file: it leaves transfers open, spends all that it can, or pays invoices."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from dataclasses import replace
from itertools import count

from core.clock import WallClock
from core.errors import InsufficientBalance, MoreThanAskedFor
from core.ledger.books import Books
from core.service import Received
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


async def pay(books: Books, node: int) -> None:
    """Pay requests for money from several tasks at once, in an order of its own, as receivers book it."""
    say(node=node)
    asked = json.loads(await asyncio.to_thread(sys.stdin.readline))
    chance = random.Random(asked["seed"])
    booked = dict.fromkeys(asked["invoices"], 0)
    refused: dict[str, list[int]] = {invoice: [] for invoice in booked}
    numbers = count()

    async def one(invoice: str, amount: int) -> None:
        to = f"test.node.bob.{os.getpid()}-{next(numbers)}"
        number = await books.prepare(replace(transfer(amount), destination=to, ends_here=True))
        paying = Received(connection=f"{os.getpid()}", sequence=1, invoice=invoice)
        try:
            await books.fulfill(number, FULFILLMENT, paying)
        except MoreThanAskedFor:
            refused[invoice].append(amount)
        else:
            booked[invoice] += amount

    packets = [
        (invoice, chance.randint(1, asked["most"]))
        for invoice in booked
        for _ in range(asked["packets"])
    ]
    chance.shuffle(packets)
    for at in range(0, len(packets), SPENDERS):
        await asyncio.gather(*(one(*packet) for packet in packets[at : at + SPENDERS]))
    say(booked=booked, refused=refused)


WAYS = {"hold": hold, "spend": spend, "pay": pay}


async def main(url: str, what: str) -> None:
    stores = await open_stores(url, WallClock())
    lease = await stores.leases.sign_on(what)
    await WAYS[what](stores.books, lease.number)
    await stores.leases.sign_off()
    await stores.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
