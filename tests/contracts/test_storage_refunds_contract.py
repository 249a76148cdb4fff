"""What any storage promises of refunds: never more than was paid, once a key, the books balanced."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from issuer_server.ledger import check_trial_balance
from issuer_server.payment import PaymentState
from issuer_server.storage.port import IdempotencyMismatch, NotFound, RefundRefused
from issuer_server.storage.records import PaymentChanges, RefundRecord
from protocol.identifiers import PaymentId, mint
from protocol.messages import NotSettled
from protocol.money import Money, currency


async def left(world, payment):
    stored = await world.storage.payment(payment.id)
    return stored.money.minor - stored.refunded


async def test_a_refund_moves_money_back_and_shows_on_the_payment(world):
    payment = await world.settled()
    world.now += 5
    refund = await world.refund(payment, 200)
    assert refund.money == world.yen(200)
    assert (refund.payment_id, refund.created_at) == (payment.id, world.now)
    stored = await world.storage.payment(payment.id)
    assert stored == replace(payment, refunded=200, updated_at=world.now)
    assert await world.balance(world.cardholder) == 10_000 - 1_000
    assert await world.balance(world.merchant) == 1_000
    check_trial_balance(await world.storage.balances())


async def test_without_an_amount_all_that_is_left_goes_back(world):
    payment = await world.settled(Money(1_200, currency("JPY")))
    await world.refund(payment, 500)
    assert (await world.refund(payment, None)).money == world.yen(700)
    assert await world.balance(world.merchant) == 0
    for amount in (None, 1):
        with pytest.raises(RefundRefused) as refused:
            await world.refund(payment, amount)
        assert refused.value.code == "refund_too_large"


async def test_more_than_is_left_changes_nothing(world):
    payment = await world.settled()
    await world.refund(payment, 1_000)
    with pytest.raises(RefundRefused, match="JPY 200 is left"):
        await world.refund(payment, 201)
    assert await left(world, payment) == 200
    assert await world.balance(world.merchant) == 200


async def test_of_fifty_parallel_refunds_as_many_succeed_as_there_is_money(world):
    payment = await world.settled()
    outcomes = await asyncio.gather(*(world.refund(payment, 100) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(outcome, RefundRecord) for outcome in outcomes) == 12
    assert sum(isinstance(outcome, RefundRefused) for outcome in outcomes) == 38
    assert await left(world, payment) == 0
    assert await world.balance(world.cardholder) == 10_000
    assert len(await world.storage.refunds(payment.id, None, 100)) == 12
    check_trial_balance(await world.storage.balances())


async def test_one_key_makes_one_refund_however_often_it_is_sent(world):
    payment = await world.settled()
    answers = await asyncio.gather(*(world.refund(payment, 100, "one key") for _ in range(50)))
    assert len(set(answers)) == 1
    assert await left(world, payment) == 1_100
    await world.refund(payment, None)
    assert await world.refund(payment, 100, "one key") == answers[0], "also when nothing is left"


async def test_one_key_with_another_request_is_refused(world):
    payment = await world.settled()
    await world.refund(payment, 100, "k")
    for amount in (101, None):
        with pytest.raises(IdempotencyMismatch):
            await world.refund(payment, amount, "k")
    with pytest.raises(IdempotencyMismatch):
        await world.refund(await world.settled(), 100, "k")
    assert await left(world, payment) == 1_100


async def test_only_a_completed_payment_of_this_merchant_can_be_refunded(world):
    running = await world.create()
    ended = await world.create()
    ended = await world.advance(ended, PaymentState.NOT_SETTLED, PaymentChanges(reason=NotSettled.DECLINED))
    for payment in (running, ended):
        with pytest.raises(RefundRefused) as refused:
            await world.refund(payment, 1)
        assert refused.value.code == "payment_not_refundable"
    theirs = replace(await world.settled(), merchant_id=await world.add_merchant())
    unknown = replace(theirs, id=PaymentId(mint("pay", os.urandom(16))))
    for payment in (theirs, unknown):
        with pytest.raises(NotFound):
            await world.refund(payment, 1)


async def test_refunds_are_listed_newest_first_in_pages(world):
    payment, other = await world.settled(), await world.settled()
    await world.refund(other, 7)
    made = []
    for amount in (1, 2, 3):
        world.now += 1
        made.insert(0, await world.refund(payment, amount))
    assert await world.storage.refunds(payment.id, None, 2) == made[:2]
    assert await world.storage.refunds(payment.id, made[1].id, 2) == made[2:]
    assert await world.storage.refunds(other.id, made[1].id, 2) == []


async def test_a_blocked_card_still_gets_its_money_back(world):
    payment = await world.settled()
    await world.storage.set_card_blocked(world.card, True)
    await world.storage.set_cardholder_blocked(world.cardholder, True)
    assert (await world.refund(payment, None)).money == payment.money
