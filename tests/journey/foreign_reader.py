"""A reader that is good in every way, and belongs to another issuer."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from pathlib import Path

from issuer_server.seed import seed
from protocol.identifiers import IssuerId
from tests.journey.parties import Issuer, Parties, Reader, Times, make_reader


async def reader_of_another_issuer(world: Parties, folder: Path) -> Reader:
    """Enrolled with its own issuer, which is then of no more use to anybody here; not yet on the air."""
    other = Issuer(folder / "other issuer", Times())
    other.settings = replace(other.settings, issuer_id=IssuerId("other.test"))
    address = replace(other.address(), issuer_id=other.settings.issuer_id)
    await other.start()
    try:
        seeded = await seed(
            other.running.storage, other.keys.cards, address, secrets.token_bytes, time.time()
        )
        code = seeded.cardholders[0].reader_code
        return await make_reader(code, folder / "foreign", world.ether, world.person, Times().reader)
    finally:
        await other.stop()
