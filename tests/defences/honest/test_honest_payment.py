"""One payment of honest people, from the shop's request to the receipt; run without each defence, too."""

from __future__ import annotations

from pathlib import Path

from tests.journey.parties import PRICE, parties
from tests.journey.told import assert_all_are_told


async def test_an_honest_payment(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, None)
        assert await world.balances() == (before[0] - PRICE, before[1] + PRICE)
        assert await world.pin_tries_left() == 3
