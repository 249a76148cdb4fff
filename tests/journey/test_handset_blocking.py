"""Decline and block: what the person says on the phone, and what the shop can do afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from handset_client.adapters.history_file import HistoryFile
from handset_client.effects import End, HowDeclined
from handset_client.ports import Answer
from merchant_terminal.errors import ProblemError
from tests.journey.parties import parties
from tests.journey.person import Person


async def test_a_blocked_shop_calls_this_phone_no_more_until_the_issuer_unblocks_it(tmp_path: Path) -> None:
    person = Person(approves=None)
    async with parties(tmp_path, person=person) as world:
        payment_id = await world.ask()
        request = await person.phone.asked.until(lambda _: True)
        person.phone.answer(Answer(request.payment_id, False, HowDeclined.AND_BLOCKED))
        assert (await world.outcome(payment_id)).reason == "declined"
        ending = await person.phone.endings.until(lambda _: True)
        assert (ending.end, ending.reason) == (End.NOT_SETTLED, HowDeclined.AND_BLOCKED)

        storage, owner = world.issuer.running.storage, world.seeded.cardholders[0].cardholder.id
        with pytest.raises(ProblemError) as refused:
            await world.ask()
        assert refused.value.code == "unknown_phone"
        assert [each.id for each in await storage.blocked_merchants(owner)] == [world.seeded.merchant.id]
        await storage.unblock_merchant(owner, world.seeded.merchant.id)
        again = await world.ask()
        await person.phone.asked.until(lambda asked: asked.payment_id == again)

        [past] = await HistoryFile(tmp_path / "handset").past_payments()
        assert past.ending.reason == HowDeclined.AND_BLOCKED


async def test_declining_alone_blocks_nobody(tmp_path: Path) -> None:
    person = Person(approves=False)
    async with parties(tmp_path, person=person) as world:
        assert (await world.pay()).reason == "declined"
        owner = world.seeded.cardholders[0].cardholder.id
        assert await world.issuer.running.storage.blocked_merchants(owner) == []
