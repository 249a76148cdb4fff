"""Payments through the real application and a real database: every way to end, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from issuer_server.payment import Deadlines, PaymentState
from protocol.identifiers import PhoneNumber
from protocol.messages import NotSettled, RefusalReason, Verdict
from protocol.signing import digest
from tests.unit.issuer_bench import (
    NOON,
    PAN,
    PIN,
    Bench,
    Reader,
    add_card,
    add_cardholder,
    bench,
    enrol_reader,
    unb64,
)
from tests.unit.issuer_endings import not_settled


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


async def test_s1_to_s25_a_payment_settles(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    assert await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request)) is None
    payment = await issuer.ended(payment_id)
    assert (payment.state, payment.reason, payment.card_last_four) == (PaymentState.COMPLETED, None, PAN[-4:])
    outcome = await issuer.outcome(payment_id)
    assert (outcome.verdict, outcome.reason) == (Verdict.APPROVED, None)
    assert outcome.last_message == digest(issuer.reader.last_sent)
    assert await issuer.phone.heard("result", payment_id) == {
        "type": "result",
        "payment_id": payment_id,
        "outcome": "completed",
        "reason": None,
        "last_four": PAN[-4:],
    }
    assert issuer.phone.heard_kinds(payment_id) == [
        "payment_request",
        "key_offer",
        "pin_request",
        "outcome",
        "result",
    ]
    balances = await issuer.balances()
    assert (balances["cardholder"], balances["merchant"]) == (100_000 - 1200, 1200)


async def test_202_the_phone_hears_merchant_amount_and_order(issuer: Bench) -> None:
    payment_id = await issuer.charge()
    assert await issuer.phone.heard("payment_request", payment_id) == {
        "type": "payment_request",
        "payment_id": payment_id,
        "merchant_name": "Cafe Relay",
        "amount": {"minor": 1200, "currency": "JPY", "exponent": 0},
        "order": "2 coffees",
        "approve_within_seconds": 60,
    }
    assert (await issuer.shown(payment_id)).state is PaymentState.CALLING


async def test_s6_each_payment_has_its_own_key(issuer: Bench) -> None:
    first = await issuer.offered()
    offer = issuer.reader.offer
    assert offer is not None
    await issuer.from_reader(first, "refusal", issuer.reader.refuse(RefusalReason.USER_CANCELLED))
    await issuer.offered()
    assert issuer.reader.offer is not None
    assert issuer.reader.offer.public_key != offer.public_key


async def advance(issuer: Bench, seconds: float) -> None:
    issuer.timers.advance(seconds)


async def test_s4_a_phone_that_is_not_there_is_waited_for_and_then_unreachable(tmp_path: Path) -> None:
    async with bench(tmp_path, connect=False) as issuer:
        payment_id = await issuer.charge()
        await asyncio.sleep(0)
        issuer.timers.advance(9.9)
        assert (await issuer.shown(payment_id)).state is PaymentState.REQUESTED
        issuer.timers.advance(0.2)
        await not_settled(issuer, payment_id, NotSettled.HANDSET_UNREACHABLE, phone_told=False)


async def test_s4_a_phone_that_arrives_in_time_is_called(tmp_path: Path) -> None:
    async with bench(tmp_path, connect=False) as issuer:
        payment_id = await issuer.charge()
        issuer.timers.advance(9)
        await issuer.phone.connect()
        await issuer.phone.heard("payment_request", payment_id)
        issuer.timers.advance(5)  # the first deadline is gone
        assert (await issuer.shown(payment_id)).state is PaymentState.CALLING


@pytest.mark.parametrize(
    ("word", "reason"), [("declined", NotSettled.DECLINED), ("no_response", NotSettled.NO_RESPONSE)]
)
async def test_s32_s46_a_refusal_at_the_phone_is_told_to_the_merchant(
    issuer: Bench, word: str, reason: NotSettled
) -> None:
    payment_id = await issuer.ringing()
    await issuer.phone.say("decline", payment_id, reason=word)
    await not_settled(issuer, payment_id, reason, phone_told=False)


async def test_s5_s9_no_approval_in_time_is_told_to_the_merchant_only(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    issuer.timers.advance(60)
    await not_settled(issuer, payment_id, NotSettled.APPROVAL_TIMEOUT, phone_told=False)
    late = await issuer.approve(payment_id)
    assert late == {"type": "payment_over", "payment_id": payment_id, "reason": "approval_timeout"}


async def test_s8_s9_no_card_in_time_is_told_to_the_merchant_only(issuer: Bench) -> None:
    payment_id = await issuer.offered()
    issuer.timers.advance(59)
    assert (await issuer.shown(payment_id)).state is PaymentState.KEY_OFFERED
    issuer.timers.advance(1)
    await not_settled(issuer, payment_id, NotSettled.CARD_TIMEOUT, phone_told=False)
    late = await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe())
    assert late == {"type": "payment_over", "payment_id": payment_id, "reason": "card_timeout"}


async def test_s17_no_pin_in_time_is_told_to_phone_and_merchant(issuer: Bench) -> None:
    payment_id, _ = await issuer.pin_asked()
    issuer.timers.advance(60)
    await not_settled(issuer, payment_id, NotSettled.PIN_TIMEOUT, phone_told=True)


async def test_each_state_has_its_own_deadline(tmp_path: Path) -> None:
    async with bench(tmp_path, deadlines=Deadlines(call=1, approval=2, card=3, pin=4)) as issuer:
        payment_id = await issuer.ringing()
        issuer.timers.advance(1.9)
        await issuer.approve(payment_id)
        offer = issuer.reader.take_offer(unb64((await issuer.phone.heard("key_offer", payment_id))["data"]))
        assert offer.seconds_to_live == 3
        issuer.timers.advance(2.9)
        await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe())
        assert (await issuer.phone.heard("pin_request", payment_id))["seconds_left"] == 4
        issuer.timers.advance(3.9)
        assert (await issuer.shown(payment_id)).state is PaymentState.PIN_REQUESTED
        issuer.timers.advance(0.2)
        await not_settled(issuer, payment_id, NotSettled.PIN_TIMEOUT, phone_told=True)


async def test_a_reader_nobody_enrolled(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    await issuer.approve(payment_id, Reader(issuer.reader.issuer_key))
    await not_settled(issuer, payment_id, NotSettled.READER_UNKNOWN, phone_told=True)


async def test_a_blocked_reader(issuer: Bench) -> None:
    await issuer.storage.set_reader_blocked(issuer.reader.id, True)
    payment_id = await issuer.ringing()
    await issuer.approve(payment_id)
    await not_settled(issuer, payment_id, NotSettled.READER_BLOCKED, phone_told=True)


async def test_another_cardholders_reader(issuer: Bench) -> None:
    other = await add_cardholder(issuer.storage, PhoneNumber("+818000000000"), "Mallory")
    reader = Reader(issuer.reader.issuer_key)
    await enrol_reader(issuer.storage, other, reader.key)
    payment_id = await issuer.ringing()
    await issuer.approve(payment_id, reader)
    await not_settled(issuer, payment_id, NotSettled.READER_NOT_CARDHOLDERS, phone_told=True)


@pytest.mark.parametrize("at", ["ringing", "offered", "pin_asked"])
async def test_a_reader_that_the_phone_cannot_reach(issuer: Bench, at: str) -> None:
    made = await getattr(issuer, at)()
    payment_id = made[0] if isinstance(made, tuple) else made
    await issuer.phone.say("reader_unavailable", payment_id)
    await not_settled(issuer, payment_id, NotSettled.READER_UNAVAILABLE, phone_told=True)


async def test_a_reader_of_another_protocol_version_is_not_available(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    hello = issuer.reader.hello(versions=(2, 3))
    from tests.unit.issuer_bench import b64

    await issuer.phone.say("approve", payment_id, reader_hello=b64(hello))
    await not_settled(issuer, payment_id, NotSettled.READER_UNAVAILABLE, phone_told=True)


@pytest.mark.parametrize("reason", RefusalReason)
@pytest.mark.parametrize("at", ["offered", "pin_asked"])
async def test_the_readers_signed_refusal(issuer: Bench, reason: RefusalReason, at: str) -> None:
    made = await getattr(issuer, at)()
    payment_id = made[0] if isinstance(made, tuple) else made
    await issuer.from_reader(payment_id, "refusal", issuer.reader.refuse(reason))
    await not_settled(issuer, payment_id, NotSettled(f"refused_{reason}"), phone_told=True)


async def test_declining_after_approval_tells_the_reader(issuer: Bench) -> None:
    payment_id = await issuer.offered()
    await issuer.phone.say("decline", payment_id, reason="declined")
    await not_settled(issuer, payment_id, NotSettled.DECLINED, phone_told=True)


async def test_s15_s27_an_unknown_card(issuer: Bench) -> None:
    payment_id = await issuer.offered()
    await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe("4000009999999999"))
    await not_settled(issuer, payment_id, NotSettled.UNKNOWN_CARD, phone_told=True)
    assert (await issuer.shown(payment_id)).card_last_four is None


async def test_a_blocked_card(issuer: Bench) -> None:
    await issuer.storage.set_card_blocked(issuer.card, True)
    payment_id = await issuer.offered()
    await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe())
    await not_settled(issuer, payment_id, NotSettled.BLOCKED_CARD, phone_told=True)


async def test_a_card_blocked_between_pin_and_settlement(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    await issuer.storage.set_card_blocked(issuer.card, True)
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    await not_settled(issuer, payment_id, NotSettled.BLOCKED_CARD, phone_told=True)


async def test_a_reader_blocked_between_approval_and_settlement(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    await issuer.storage.set_reader_blocked(issuer.reader.id, True)
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    await not_settled(issuer, payment_id, NotSettled.READER_BLOCKED, phone_told=True)
    assert (await issuer.balances())["cardholder"] == 100_000


@pytest.mark.parametrize(
    ("in_table", "on_stripe", "good"),
    [("2611", "2611", True), ("2610", "2610", False), ("2912", "2511", False), ("2510", "2912", False)],
)
async def test_a_card_is_good_to_the_end_of_its_month(
    issuer: Bench, in_table: str, on_stripe: str, good: bool
) -> None:
    pan = "4000001111111111"
    await add_card(issuer.storage, issuer.parts.keys.cards, issuer.cardholder, pan, expiry=in_table)
    payment_id = await issuer.offered()
    await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe(pan, on_stripe))
    if good:
        await issuer.phone.heard("pin_request", payment_id)
    else:
        await not_settled(issuer, payment_id, NotSettled.EXPIRED_CARD, phone_told=True)


async def test_another_cardholders_card_tells_nothing_about_it(issuer: Bench) -> None:
    other = await add_cardholder(issuer.storage, PhoneNumber("+818000000000"), "Victim")
    card = await add_card(issuer.storage, issuer.parts.keys.cards, other, "4000002222222222")
    await issuer.storage.set_card_blocked(card, True)
    payment_id = await issuer.offered()
    await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe("4000002222222222"))
    await not_settled(issuer, payment_id, NotSettled.CARD_NOT_CARDHOLDERS, phone_told=True)
    assert (await issuer.shown(payment_id)).card_last_four is None


async def test_s22_one_wrong_pin_ends_the_payment(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request, "9999"))
    await not_settled(issuer, payment_id, NotSettled.WRONG_PIN, phone_told=True)
    assert (await issuer.shown(payment_id)).card_last_four == PAN[-4:]


async def test_wrong_pins_add_up_over_payments_and_a_right_one_gives_them_back(issuer: Bench) -> None:
    for pin in ("9999", "9999", PIN, "9999", "9999"):
        payment_id, request = await issuer.pin_asked()
        await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request, pin))
        assert (await issuer.ended(payment_id)).reason is (None if pin == PIN else NotSettled.WRONG_PIN)
    payment_id, request = await issuer.pin_asked()
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request, "9999"))
    assert (await issuer.ended(payment_id)).reason is NotSettled.WRONG_PIN
    payment_id = await issuer.offered()
    await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe())
    assert (await issuer.ended(payment_id)).reason is NotSettled.PIN_BLOCKED


async def test_pin_tries_that_ran_out_meanwhile(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    while await issuer.storage.claim_pin_try(issuer.card) is not None:
        pass
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    await not_settled(issuer, payment_id, NotSettled.PIN_BLOCKED, phone_told=True)


async def test_three_attempts_in_one_payment_each_bound_to_the_last(tmp_path: Path) -> None:
    from protocol.messages import PinRequest
    from protocol.signing import open_message

    async with bench(tmp_path, pin_attempts=3) as issuer:
        payment_id, request = await issuer.pin_asked()
        previous, left = None, 3
        for attempt, pin in enumerate(("1111", "2222", PIN), start=1):
            frame = await issuer.phone.heard("pin_request", payment_id, attempt)
            request = unb64(frame["data"])
            read = open_message(issuer.reader.issuer_key, request, PinRequest)
            assert (read.previous_pin_envelope, read.tries_left) == (previous, left)
            signed = issuer.reader.type_pin(request, pin)
            assert await issuer.from_reader(payment_id, "pin_envelope", signed) is None
            previous, left = digest(signed), left - 1
        assert (await issuer.ended(payment_id)).state is PaymentState.COMPLETED


async def test_attempts_end_where_the_tries_of_the_card_end(tmp_path: Path) -> None:
    async with bench(tmp_path, pin_attempts=3) as issuer:
        await issuer.storage.claim_pin_try(issuer.card)
        payment_id, _ = await issuer.pin_asked()
        for attempt in (1, 2):
            frame = await issuer.phone.heard("pin_request", payment_id, attempt)
            signed = issuer.reader.type_pin(unb64(frame["data"]), "9999")
            await issuer.from_reader(payment_id, "pin_envelope", signed)
        await not_settled(issuer, payment_id, NotSettled.WRONG_PIN, phone_told=True)


async def test_the_pin_deadline_begins_anew_with_each_attempt(tmp_path: Path) -> None:
    async with bench(tmp_path, pin_attempts=2) as issuer:
        payment_id, request = await issuer.pin_asked()
        issuer.timers.advance(50)
        await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request, "9999"))
        await issuer.phone.heard("pin_request", payment_id, 2)
        issuer.timers.advance(50)
        assert (await issuer.shown(payment_id)).state is PaymentState.PIN_REQUESTED
        issuer.timers.advance(10)
        await not_settled(issuer, payment_id, NotSettled.PIN_TIMEOUT, phone_told=True)


async def test_s23_a_balance_that_does_not_reach(issuer: Bench) -> None:
    payment_id = await issuer.offered(minor=100_001)  # a phone that approves learns nothing of the balance
    await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe())
    await not_settled(issuer, payment_id, NotSettled.INSUFFICIENT_FUNDS, phone_told=True)
    assert "pin_request" not in issuer.phone.heard_kinds(payment_id)  # no PIN is asked for in vain


async def test_an_approval_holds_no_money(issuer: Bench) -> None:
    """Or a stolen phone and a shop could tie up a balance, and weigh it, with no card and no reader."""
    await issuer.offered(minor=100_000)
    assert [each.held for each in await issuer.storage.balances(issuer.cardholder)] == [0]
    await issuer.pin_asked()
    assert [each.held for each in await issuer.storage.balances(issuer.cardholder)] != [0]


async def test_two_payments_for_one_phone_do_not_touch_each_other(issuer: Bench) -> None:
    second_reader = Reader(issuer.reader.issuer_key)
    await enrol_reader(issuer.storage, issuer.cardholder, second_reader.key)
    first, request = await issuer.pin_asked()
    second = await issuer.ringing(minor=500, order="tea")
    await issuer.approve(second, second_reader)
    second_reader.take_offer(unb64((await issuer.phone.heard("key_offer", second))["data"]))
    crossed = await issuer.from_reader(second, "card_envelope", issuer.reader.swipe())
    assert crossed is not None
    assert crossed["type"] == "error"
    await issuer.from_reader(second, "refusal", second_reader.refuse(RefusalReason.USER_CANCELLED))
    assert (await issuer.ended(second)).reason is NotSettled.REFUSED_USER_CANCELLED
    await issuer.from_reader(first, "pin_envelope", issuer.reader.type_pin(request))
    assert (await issuer.ended(first)).state is PaymentState.COMPLETED


async def test_the_clock_stamps_what_is_stored(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    payment = await issuer.shown(payment_id)
    assert (payment.created_at, payment.updated_at) == (NOON, NOON)
