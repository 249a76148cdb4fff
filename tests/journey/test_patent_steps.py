"""The patent's steps S1 to S46, one named test or more for each, with all parties as they really are."""

from __future__ import annotations

from pathlib import Path

from tests.journey.parties import PRICE, parties


async def test_a_payment(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        payment = await world.pay()
        assert payment.status == "completed"
        after = await world.balances()
        assert after == (before[0] - PRICE, before[1] + PRICE)
