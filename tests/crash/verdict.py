"""What must be true after each death of the issuer, and when everybody has gone home."""

from __future__ import annotations

import asyncio
import time

from tests.crash.town import Books, Town

SETTLED_WITHIN = 10.0
"""Seconds after a restart in which nothing that was in flight before may still be."""
HEARD_WITHIN = 60.0
"""Seconds in which fewer webhooks must wait than before; the retry of a refused one takes some."""


def problems_of(here: Town, books: Books) -> list[str]:
    """Whatever contradicts the books, at any moment."""
    found = [*books.problems, *here.seen.wrong, *here.ear.wrong]
    completed = {key for key, state in books.states.items() if state == "completed"}
    if set(books.transfers) != completed:
        found.append(f"completed is not transferred: {set(books.transfers) ^ completed}")
    found += [f"{key} was transferred {count} times" for key, count in books.transfers.items() if count != 1]
    for payment_id, status in here.seen.endings.items():
        if books.states.get(payment_id) != status:
            found.append(f"{payment_id}: told {status}, stored {books.states.get(payment_id)}")
    for message_id, (what, status) in here.ear.told.items():
        if books.states.get(what, status) != status:
            found.append(f"{message_id}: told {status}, stored {books.states.get(what)}")
    for key, payment_id in here.seen.keys.items():
        if books.keys.get(key) != payment_id:
            found.append(f"{key}: answered {payment_id}, stored {books.keys.get(key)}")
    found += [
        f"refund {ref} was answered, not stored" for ref in set(here.seen.refunds.values()) - books.refunds
    ]
    return found


def check(here: Town) -> Books:
    """The books and every word that was said agree."""
    books = here.books()
    found = problems_of(here, books)
    assert not found, found
    return books


async def check_swept(here: Town, died_at: float) -> float:
    """Nothing from before the death is in flight any more; the seconds that it took."""
    began = time.monotonic()
    while True:
        books = here.books()
        if not {key for key in books.in_flight if books.created[key] < died_at}:
            return time.monotonic() - began
        assert time.monotonic() - began < SETTLED_WITHIN, "a payment of an earlier run is still in flight"
        await asyncio.sleep(0.05)


async def check_all_told(here: Town) -> Books:
    """When the shops have closed: every key has its one payment, every end its one message, heard."""
    waiting, since = None, time.monotonic()
    while (now := here.outbox()) > 0:
        if waiting is None or now < waiting:
            waiting, since = now, time.monotonic()
        assert time.monotonic() - since < HEARD_WITHIN, f"{waiting} webhooks wait, and none goes out"
        await asyncio.sleep(0.1)
    books = check(here)
    assert not books.in_flight
    assert (books.held, books.holds) == (0, set())
    assert set(books.keys) == set(here.seen.keys)
    heard = [what for what, _ in here.ear.told.values()]
    assert len(heard) == len(set(heard)), "two messages for one end"
    assert set(heard) == set(books.states) | books.refunds
    return books
