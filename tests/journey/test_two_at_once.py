"""Two payments at the same moment on one phone: the second waits its turn, nothing is mixed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from handset_client.effects import Notice, NoticeKind
from reader_peripheral import screens
from tests.journey.parties import PRICE, parties
from tests.journey.person import Person
from tests.journey.phone import payment_of
from tests.journey.taps import Way


async def test_two_payments_at_once_are_queued_and_not_mixed(tmp_path: Path) -> None:
    person = Person(approves=None)
    async with parties(tmp_path, person=person) as world:
        before = await world.balances()
        first, second = await asyncio.gather(
            world.ask(PRICE, "2 coffees"), world.ask(PRICE + 1, "the whole cake")
        )
        shown_first = await person.phone.asked.until(lambda request: True)
        waiting = await person.phone.told.until(
            lambda told: isinstance(told, Notice) and told.kind is NoticeKind.PAYMENT_WAITING
        )
        assert isinstance(waiting, Notice)
        assert len(person.phone.asked) == 1
        person.approves = True
        person.phone.press(shown_first, True)

        payments = {p.id: p for p in await asyncio.gather(world.outcome(first), world.outcome(second))}
        assert all(payment.completed for payment in payments.values())
        assert await world.balances() == (before[0] - 2 * PRICE - 1, before[1] + 2 * PRICE + 1)

        # The phone: asked about one after the other, each with its own words, each ended before the next.
        asked = person.phone.asked.entries
        assert [request.payment_id for request in asked] == [
            shown_first.payment_id,
            second if shown_first.payment_id == first else first,
        ]
        for request in asked:
            payment = payments[request.payment_id]
            assert (request.order, request.amount) == (payment.order, payment.amount)
        await person.phone.endings.until(lambda end: end.request.payment_id == asked[1].payment_id)
        assert [end.request.payment_id for end in person.phone.endings.entries] == [
            request.payment_id for request in asked
        ]

        # The wire: what went to the reader for the first, all of it before anything for the second.
        carried = [payment_of(item) for way, item in world.phone.wire.entries if way is Way.TO_READER]
        assert carried == sorted(carried, key=[request.payment_id for request in asked].index)

        # The reader: each bill with its own amount, never one's amount with the other's order.
        await person.display.shown.until(
            lambda screen: isinstance(screen, screens.Approved) and screen.bill.order == asked[1].order
        )
        bills = {(s.bill.order, s.bill.amount) for s in person.display.shown.entries if hasattr(s, "bill")}
        assert bills == {(request.order, request.amount) for request in asked}
        approved = person.display.shown.all(lambda screen: isinstance(screen, screens.Approved))
        assert len(approved) == 2


async def test_a_waiting_payment_that_the_shop_cancels_never_comes_up(tmp_path: Path) -> None:
    person = Person(approves=None)
    async with parties(tmp_path, person=person) as world:
        await world.ask(PRICE, "2 coffees")
        shown = await person.phone.asked.until(lambda request: True)
        second = await world.ask(PRICE, "the whole cake")
        await person.phone.told.until(
            lambda told: isinstance(told, Notice) and told.kind is NoticeKind.PAYMENT_WAITING
        )
        await world.merchant.cancel(second)
        assert (await world.outcome(second)).reason == "cancelled_by_merchant"
        await person.phone.told.until(
            lambda told: isinstance(told, Notice) and told.kind is NoticeKind.PAYMENT_WITHDRAWN
        )
        person.phone.press(shown, True)
        assert (await world.outcome(shown.payment_id)).completed
        assert [request.payment_id for request in person.phone.asked.entries] == [shown.payment_id]
