"""A hostile phone at the issuer: what it forges is dropped and counted, and the honest payment goes on."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from issuer_server.payment import PaymentState
from protocol.identifiers import PhoneNumber
from protocol.messages import RefusalReason
from tests.unit.issuer_bench import (
    Bench,
    BusPhone,
    Reader,
    add_cardholder,
    b64,
    bench,
    enrol_handset,
    enrol_reader,
    unb64,
)


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


def flips(signed: bytes) -> list[bytes]:
    """The message with one bit flipped, at some ninety places from its first byte to its last."""
    places = sorted({*range(0, len(signed) * 8, max(1, len(signed) * 8 // 90)), len(signed) * 8 - 1})
    return [
        signed[: place // 8] + bytes([signed[place // 8] ^ (1 << place % 8)]) + signed[place // 8 + 1 :]
        for place in places
    ]


async def test_one_flipped_bit_in_an_envelope_is_refused_with_no_state_lost(issuer: Bench) -> None:
    payment_id = await issuer.offered()
    card = issuer.reader.swipe()
    for forged in flips(card):
        reply = await issuer.from_reader(payment_id, "card_envelope", forged)
        assert reply is not None
        assert (reply["type"], reply["code"]) == ("error", "envelope_refused")
        assert (await issuer.shown(payment_id)).state is PaymentState.KEY_OFFERED
    assert await issuer.from_reader(payment_id, "card_envelope", card) is None
    request = unb64((await issuer.phone.heard("pin_request", payment_id))["data"])
    pin = issuer.reader.type_pin(request)
    for forged in flips(pin):
        reply = await issuer.from_reader(payment_id, "pin_envelope", forged)
        assert reply is not None
        assert reply["code"] == "envelope_refused"
    live = issuer.application._payments.get(payment_id)
    assert live is not None
    assert live.dropped_messages == len(flips(card)) + len(flips(pin))
    assert await issuer.from_reader(payment_id, "pin_envelope", pin) is None
    assert (await issuer.ended(payment_id)).state is PaymentState.COMPLETED


async def test_a_flipped_bit_in_a_refusal_ends_nothing(issuer: Bench) -> None:
    payment_id = await issuer.offered()
    for forged in flips(issuer.reader.refuse(RefusalReason.USER_CANCELLED)):
        assert await issuer.from_reader(payment_id, "refusal", forged) is not None
    assert (await issuer.shown(payment_id)).state is PaymentState.KEY_OFFERED


async def test_0046_an_old_envelope_is_useless_at_the_next_payment(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    old_card = issuer.reader.last_sent
    old_pin = issuer.reader.type_pin(request)
    await issuer.from_reader(payment_id, "pin_envelope", old_pin)
    await issuer.ended(payment_id)
    payment_id = await issuer.offered()
    for kind, old in (("card_envelope", old_card), ("pin_envelope", old_pin), ("refusal", old_pin)):
        reply = await issuer.from_reader(payment_id, kind, old)
        assert reply is not None
        assert reply["type"] == "error"
    assert await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe()) is None
    request = unb64((await issuer.phone.heard("pin_request", payment_id))["data"])
    reply = await issuer.from_reader(payment_id, "pin_envelope", old_pin)
    assert reply is not None
    assert await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request)) is None
    assert (await issuer.ended(payment_id)).state is PaymentState.COMPLETED
    assert (await issuer.balances())["merchant"] == 2400


async def test_another_enrolled_reader_cannot_sign_a_stolen_ciphertext_as_its_own(issuer: Bench) -> None:
    from protocol.messages import CardEnvelope
    from protocol.signing import open_message, sign_message

    thief = Reader(issuer.reader.issuer_key)
    await enrol_reader(issuer.storage, issuer.cardholder, thief.key)
    payment_id = await issuer.offered()
    stolen = open_message(issuer.reader.key.public_key, issuer.reader.swipe(), CardEnvelope)
    reply = await issuer.from_reader(payment_id, "card_envelope", sign_message(thief.key, stolen))
    assert reply is not None
    assert reply["code"] == "envelope_refused"


async def test_a_wrong_pin_cannot_be_replayed_until_the_card_locks(tmp_path: Path) -> None:
    async with bench(tmp_path, pin_attempts=3) as issuer:
        payment_id, request = await issuer.pin_asked()
        wrong = issuer.reader.type_pin(request, "9999")
        await issuer.from_reader(payment_id, "pin_envelope", wrong)
        await issuer.phone.heard("pin_request", payment_id, 2)
        for _ in range(5):
            reply = await issuer.from_reader(payment_id, "pin_envelope", wrong)
            assert reply is not None
            assert reply["code"] == "envelope_refused"
        assert await issuer.storage.claim_pin_try(issuer.card) == 1  # one try went, not six


async def test_a_second_swipe_on_one_offer_is_not_taken(issuer: Bench) -> None:
    payment_id, _ = await issuer.pin_asked()
    reply = await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe("4000009999999999"))
    assert reply is not None
    assert (reply["type"], reply["code"]) == ("error", "unexpected_message")
    assert (await issuer.shown(payment_id)).state is PaymentState.PIN_REQUESTED


@pytest.mark.parametrize("size", [0, 1, 64, 1400, 4096])
async def test_noise_in_place_of_an_envelope(issuer: Bench, size: int) -> None:
    payment_id = await issuer.offered()
    for kind in ("card_envelope", "refusal"):
        reply = await issuer.from_reader(payment_id, kind, os.urandom(size))
        assert reply is not None
        assert reply["code"] == "envelope_refused"
    assert (await issuer.shown(payment_id)).state is PaymentState.KEY_OFFERED


async def test_noise_in_place_of_a_hello(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    for noise in (b"", b"\xff" * 40, issuer.reader.hello()[:-1], issuer.reader.hello() + b"\0"):
        reply = await issuer.phone.say("approve", payment_id, reader_hello=b64(noise))
        assert reply is not None
        assert reply["code"] == "reader_hello_refused"
    assert await issuer.approve(payment_id) is None
    await issuer.phone.heard("key_offer", payment_id)


async def test_words_out_of_turn_change_nothing(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    early = await issuer.from_reader(payment_id, "card_envelope", b"x")
    assert early is not None
    assert early["code"] == "unexpected_message"
    await issuer.approve(payment_id)
    again = await issuer.approve(payment_id)
    assert again is not None
    assert again["code"] == "unexpected_message"
    no_response = await issuer.phone.say("decline", payment_id, reason="no_response")
    assert no_response is not None
    assert no_response["code"] == "unexpected_message"
    assert (await issuer.shown(payment_id)).state is PaymentState.KEY_OFFERED


async def test_another_cardholders_phone_has_no_say(issuer: Bench) -> None:
    other = await add_cardholder(issuer.storage, PhoneNumber("+818000000000"), "Mallory")
    phone = BusPhone(issuer.parts, await enrol_handset(issuer.storage, other, "brt_other"))
    await phone.connect()
    payment_id = await issuer.ringing()
    for say in ("decline", "reader_unavailable", "outcome_wanted"):
        assert await phone.say(say, payment_id, reason="declined") == {
            "type": "payment_over",
            "payment_id": payment_id,
            "reason": "unknown_payment",
        }
    assert (await issuer.shown(payment_id)).state is PaymentState.CALLING
    await issuer.application.cancel(issuer.merchant.id, payment_id)
    over = await phone.say("outcome_wanted", payment_id)
    assert over is not None
    assert over["reason"] == "unknown_payment"


async def test_another_phone_of_the_cardholder_does_not_answer_this_ones_call(issuer: Bench) -> None:
    second = BusPhone(issuer.parts, await enrol_handset(issuer.storage, issuer.cardholder, "brt_2"))
    payment_id = await issuer.ringing()
    await second.connect()
    reply = await second.say("decline", payment_id, reason="declined")
    assert reply is not None
    assert reply["reason"] == "unknown_payment"
    assert (await issuer.shown(payment_id)).state is PaymentState.CALLING
