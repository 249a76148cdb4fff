"""What any storage promises of payments: idempotency, compare and set, settlement, sweep."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from issuer_server.ledger import check_trial_balance
from issuer_server.payment import PaymentState
from issuer_server.storage.port import (
    CallsLimited,
    IdempotencyMismatch,
    MerchantRefused,
    NotFound,
    StorageError,
)
from issuer_server.storage.records import NO_CHANGES, Created, PaymentChanges, Replayed, SettleResult
from protocol.identifiers import CardholderId, CardId, Digest, MerchantId, mint
from protocol.messages import NotSettled
from protocol.money import Money, currency

S = PaymentState


async def test_a_payment_is_stored_as_asked_for_under_the_merchants_registered_name(world):
    new = world.new_payment(Money(1250, currency("USD")))
    made = await world.storage.create_payment(new, world.claim("k"))
    assert isinstance(made, Created)
    stored = await world.storage.payment(new.id)
    assert stored == made.payment
    assert stored.merchant_name == "Cafe Relay"
    assert (stored.money, stored.order, stored.phone) == (new.money, new.order, new.phone)
    assert (stored.state, stored.reason, stored.created_at) == (S.REQUESTED, None, world.now)


async def test_an_unknown_payment_is_none(world):
    assert await world.storage.payment(world.new_payment().id) is None


async def test_a_payment_of_an_unknown_merchant_or_cardholder_is_refused(world):
    stranger = MerchantId(mint("mer", os.urandom(16)))
    with pytest.raises(StorageError):
        await world.create(merchant=stranger)
    nobody = replace(world.new_payment(), cardholder_id=CardholderId(mint("chd", os.urandom(16))))
    with pytest.raises(StorageError):
        await world.storage.create_payment(nobody, world.claim("k"))


async def test_fifty_concurrent_creates_with_one_key_make_one_payment(world):
    answers = await asyncio.gather(
        *(world.storage.create_payment(world.new_payment(), world.claim("one key")) for _ in range(50))
    )
    assert sum(isinstance(answer, Created) for answer in answers) == 1
    assert len({answer.payment.id for answer in answers}) == 1
    assert len(await world.storage.payments(world.merchant, None, 100)) == 1


async def test_a_replay_gives_the_first_answer_again_whatever_happened_since(world):
    made = await world.storage.create_payment(world.new_payment(), world.claim("k"))
    ended = await world.advance(made.payment, S.NOT_SETTLED, PaymentChanges(reason=NotSettled.DECLINED))
    again = await world.storage.create_payment(world.new_payment(), world.claim("k"))
    assert isinstance(again, Replayed)
    assert again.payment == ended
    assert again.first_answer == made.payment


async def test_a_key_is_looked_up_without_making_anything(world):
    assert await world.storage.replay(world.merchant, world.claim("k", "a")) is None
    made = await world.storage.create_payment(world.new_payment(), world.claim("k", "a"))
    assert await world.storage.replay(world.merchant, world.claim("k", "a")) == Replayed(made.payment)
    assert await world.storage.replay(await world.add_merchant(), world.claim("k", "a")) is None
    with pytest.raises(IdempotencyMismatch):
        await world.storage.replay(world.merchant, world.claim("k", "b"))
    assert len(await world.storage.payments(world.merchant, None, 100)) == 1


async def test_one_key_with_another_payload_is_refused_and_makes_nothing(world):
    await world.storage.create_payment(world.new_payment(), world.claim("k", "a"))
    with pytest.raises(IdempotencyMismatch):
        await world.storage.create_payment(world.new_payment(), world.claim("k", "b"))
    assert len(await world.storage.payments(world.merchant, None, 100)) == 1


async def test_a_failing_create_leaves_the_others_of_its_batch(world):
    """Good and bad ones are queued together, so that they meet in one transaction."""
    await world.storage.create_payment(world.new_payment(), world.claim("taken", "a"))
    good = [world.new_payment() for _ in range(20)]
    outcomes = await asyncio.gather(
        *(world.storage.create_payment(new, world.claim(new.id)) for new in good),
        *(world.storage.create_payment(world.new_payment(), world.claim("taken", "b")) for _ in range(20)),
        return_exceptions=True,
    )
    assert all(isinstance(outcome, Created) for outcome in outcomes[:20])
    assert all(isinstance(outcome, IdempotencyMismatch) for outcome in outcomes[20:])
    assert len(await world.storage.payments(world.merchant, None, 100)) == 21


async def test_keys_of_two_merchants_do_not_meet(world):
    other_merchant = await world.add_merchant()
    first = await world.storage.create_payment(world.new_payment(), world.claim("k"))
    second = await world.storage.create_payment(world.new_payment(merchant=other_merchant), world.claim("k"))
    assert isinstance(second, Created)
    assert first.payment.id != second.payment.id


async def test_advance_compares_and_sets(world):
    payment = await world.create()
    assert await world.storage.advance(payment.id, S.REQUESTED, S.CALLING, NO_CHANGES, world.now + 1)
    assert not await world.storage.advance(payment.id, S.REQUESTED, S.CALLING, NO_CHANGES, world.now + 2)
    stored = await world.storage.payment(payment.id)
    assert (stored.state, stored.updated_at) == (S.CALLING, world.now + 1)


async def test_of_many_parallel_advances_one_wins(world):
    payment = await world.create()
    won = await asyncio.gather(
        *(world.storage.advance(payment.id, S.REQUESTED, S.CALLING, NO_CHANGES, world.now) for _ in range(20))
    )
    assert sum(won) == 1


async def test_advance_keeps_what_it_does_not_change(world):
    enrolled_reader = await world.add_reader()
    payment = await world.create()
    offer, last = Digest(os.urandom(32)), Digest(os.urandom(32))
    payment = await world.advance(
        payment, S.KEY_OFFERED, PaymentChanges(reader_id=enrolled_reader, offer_digest=offer)
    )
    payment = await world.advance(
        payment, S.PIN_REQUESTED, PaymentChanges(card_last_four="1111", last_message_digest=last)
    )
    payment = await world.advance(payment, S.NOT_SETTLED, PaymentChanges(reason=NotSettled.WRONG_PIN))
    assert (payment.reader_id, payment.offer_digest) == (enrolled_reader, offer)
    assert (payment.card_last_four, payment.last_message_digest) == ("1111", last)
    assert payment.reason is NotSettled.WRONG_PIN


async def test_not_settled_needs_its_reason_and_nothing_else_has_one(world):
    payment = await world.create()
    for state, changes in (
        (S.NOT_SETTLED, NO_CHANGES),
        (S.CALLING, PaymentChanges(reason=NotSettled.DECLINED)),
    ):
        with pytest.raises(StorageError):
            await world.storage.advance(payment.id, S.REQUESTED, state, changes, world.now)
    assert (await world.storage.payment(payment.id)).state is S.REQUESTED


async def test_completed_comes_from_settle_only(world):
    payment = await world.create()
    with pytest.raises(StorageError):
        await world.storage.advance(payment.id, S.REQUESTED, S.COMPLETED, NO_CHANGES, world.now)


async def test_settle_moves_money_and_state_together(world):
    payment = await world.create(world.yen(1_200))
    last = Digest(os.urandom(32))
    result = await world.storage.settle(
        payment.id, S.REQUESTED, world.card, world.now + 5, PaymentChanges(last_message_digest=last)
    )
    assert result is SettleResult.SETTLED
    stored = await world.storage.payment(payment.id)
    assert (stored.state, stored.last_message_digest, stored.updated_at) == (S.COMPLETED, last, world.now + 5)
    assert await world.balance(world.cardholder) == 8_800
    assert await world.balance(world.merchant) == 1_200
    check_trial_balance(await world.storage.balances())


async def test_a_payment_settles_once_however_often_it_is_asked(world):
    payment = await world.create()
    results = await asyncio.gather(
        *(world.storage.settle(payment.id, S.REQUESTED, world.card, world.now) for _ in range(20))
    )
    assert sorted(result.value for result in results) == ["settled"] + ["stale"] * 19
    assert await world.balance(world.merchant) == 1_200


async def test_settle_in_another_state_is_stale(world):
    payment = await world.create()
    assert (
        await world.storage.settle(payment.id, S.PIN_REQUESTED, world.card, world.now) is SettleResult.STALE
    )
    assert await world.balance(world.merchant) == 0


async def test_too_little_money_changes_nothing(world):
    payment = await world.create(world.yen(10_001))
    result = await world.storage.settle(payment.id, S.REQUESTED, world.card, world.now)
    assert result is SettleResult.INSUFFICIENT_FUNDS
    assert await world.storage.payment(payment.id) == payment
    assert await world.balance(world.cardholder) == 10_000


async def test_the_last_yen_can_be_spent_and_no_more(world):
    payments = [await world.create(world.yen(2_500)) for _ in range(6)]
    results = await asyncio.gather(
        *(world.storage.settle(payment.id, S.REQUESTED, world.card, world.now) for payment in payments)
    )
    assert sorted(result.value for result in results) == ["insufficient_funds"] * 2 + ["settled"] * 4
    assert await world.balance(world.cardholder) == 0
    check_trial_balance(await world.storage.balances())


async def test_money_of_another_currency_does_not_help(world):
    payment = await world.create(Money(1, currency("USD")))
    result = await world.storage.settle(payment.id, S.REQUESTED, world.card, world.now)
    assert result is SettleResult.INSUFFICIENT_FUNDS


async def test_a_merchant_has_an_account_a_currency_opened_on_demand(world):
    await world.storage.fund(world.cardholder, Money(5_000, currency("KWD")), world.now)
    for money in (world.yen(100), Money(1_500, currency("KWD")), world.yen(50)):
        payment = await world.create(money)
        settled = await world.storage.settle(payment.id, S.REQUESTED, world.card, world.now)
        assert settled is SettleResult.SETTLED
    accounts = {each.currency.code: each.minor for each in await world.storage.balances(world.merchant)}
    assert accounts == {"JPY": 150, "KWD": 1_500}


async def test_a_card_blocked_meanwhile_does_not_settle(world):
    payment = await world.create()
    await world.storage.set_card_blocked(world.card, True)
    result = await world.storage.settle(payment.id, S.REQUESTED, world.card, world.now)
    assert result is SettleResult.CARD_REFUSED
    await world.storage.set_card_blocked(world.card, False)
    await world.storage.set_cardholder_blocked(world.cardholder, True)
    result = await world.storage.settle(payment.id, S.REQUESTED, world.card, world.now)
    assert result is SettleResult.CARD_REFUSED


async def test_a_reader_blocked_meanwhile_does_not_settle(world):
    reader = await world.add_reader()
    payment = await world.create()
    offered = PaymentChanges(reader_id=reader, offer_digest=Digest(bytes(32)))
    assert await world.advance(payment, S.KEY_OFFERED, offered)
    await world.storage.set_reader_blocked(reader, True)
    result = await world.storage.settle(payment.id, S.KEY_OFFERED, world.card, world.now)
    assert result is SettleResult.READER_REFUSED
    assert (await world.storage.payment(payment.id)).state is S.KEY_OFFERED
    await world.storage.set_reader_blocked(reader, False)
    result = await world.storage.settle(payment.id, S.KEY_OFFERED, world.card, world.now)
    assert result is SettleResult.SETTLED


async def test_another_cardholders_card_does_not_settle(world):
    other_cardholder = await world.add_cardholder("+819000000000")
    card = CardId(mint("crd", os.urandom(16)))
    await world.add_card(card, other_cardholder, "their pan")
    payment = await world.create()
    result = await world.storage.settle(payment.id, S.REQUESTED, card, world.now)
    assert result is SettleResult.CARD_REFUSED


async def test_an_end_is_final(world):
    payment = await world.create()
    ended = await world.advance(payment, S.NOT_SETTLED, PaymentChanges(reason=NotSettled.DECLINED))
    for state, changes in ((S.CALLING, NO_CHANGES), (S.NOT_SETTLED, PaymentChanges(NotSettled.CARD_TIMEOUT))):
        with pytest.raises(StorageError):
            await world.storage.advance(payment.id, S.NOT_SETTLED, state, changes, world.now)
    with pytest.raises(StorageError):
        await world.storage.settle(payment.id, S.NOT_SETTLED, world.card, world.now)
    assert await world.storage.payment(payment.id) == ended
    assert await world.balance(world.merchant) == 0


async def test_a_merchants_payments_come_newest_first_and_page_by_page(world):
    other_merchant = await world.add_merchant()
    made = []
    for second in (0, 0, 0, 1, 2):
        world.now += second
        made.append(await world.create())
    await world.create(merchant=other_merchant)
    expected = sorted(made, key=lambda payment: (payment.created_at, payment.id), reverse=True)
    pages, before = [], None
    while page := await world.storage.payments(world.merchant, before, 2):
        pages += page
        before = page[-1].id
    assert pages == expected
    assert await world.storage.payments(other_merchant, made[-1].id, 10) == []


async def test_sweep_ends_what_is_in_flight_and_tells_which(world):
    flying = [await world.create() for _ in range(len(S) - 2)]
    states = [state for state in S if state not in (S.COMPLETED, S.NOT_SETTLED)]
    for payment, state in zip(flying, states, strict=True):
        if state is not S.REQUESTED:
            await world.advance(payment, state)
    done = await world.create()
    await world.storage.settle(done.id, S.REQUESTED, world.card, world.now)
    declined = await world.create()
    await world.advance(declined, S.NOT_SETTLED, PaymentChanges(reason=NotSettled.DECLINED))

    swept = await world.storage.sweep(world.now + 60)

    assert {payment.id for payment in swept} == {payment.id for payment in flying}
    for payment in swept:
        assert (payment.state, payment.reason) == (S.NOT_SETTLED, NotSettled.ISSUER_RESTARTED)
        assert payment.updated_at == world.now + 60
        assert await world.storage.payment(payment.id) == payment
    assert (await world.storage.payment(done.id)).state is S.COMPLETED
    assert (await world.storage.payment(declined.id)).reason is NotSettled.DECLINED
    assert await world.storage.sweep(world.now + 61) == []


async def test_so_many_payments_of_a_cardholder_run_at_once_and_no_more(world):
    outcomes = await asyncio.gather(
        *(world.storage.create_payment(world.new_payment(), world.claim(f"k{n}"), 3) for n in range(20)),
        return_exceptions=True,
    )
    made = [outcome.payment for outcome in outcomes if isinstance(outcome, Created)]
    assert len(made) == 3
    assert sum(isinstance(outcome, CallsLimited) for outcome in outcomes) == 17
    await world.advance(made[0], S.NOT_SETTLED, PaymentChanges(reason=NotSettled.DECLINED))
    assert isinstance(
        await world.storage.create_payment(world.new_payment(), world.claim("then"), 3), Created
    )
    again = await world.storage.create_payment(world.new_payment(), world.claim("then"), 0)
    assert isinstance(again, Replayed)


async def test_a_merchant_whom_the_cardholder_blocked_makes_no_payment(world):
    made = await world.storage.create_payment(world.new_payment(), world.claim("before"))
    for _ in range(2):
        await world.storage.block_merchant(world.cardholder, world.merchant, world.now)
    with pytest.raises(MerchantRefused):
        await world.create()
    again = await world.storage.create_payment(world.new_payment(), world.claim("before"))
    assert again.first_answer == made.payment
    assert isinstance(await world.create(merchant=await world.add_merchant()), type(made.payment))
    assert [each.name for each in await world.storage.blocked_merchants(world.cardholder)] == ["Cafe Relay"]
    await world.storage.unblock_merchant(world.cardholder, world.merchant)
    await world.create()
    with pytest.raises(NotFound):
        await world.storage.unblock_merchant(world.cardholder, world.merchant)
