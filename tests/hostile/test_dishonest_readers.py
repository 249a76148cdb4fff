"""A crook with an enrolled reader of their own: what it signs is true to its key and to nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from issuer_server.payment import PaymentState
from protocol.identifiers import Digest, PhoneNumber
from protocol.messages import CardEnvelope, NotSettled, PinRequest, RefusalReason
from protocol.sealing import card_info, seal_card
from protocol.signing import digest, open_message, sign_message
from protocol.track_data import parse_swipe
from tests.unit.issuer_bench import (
    EXPIRY,
    PAN,
    Bench,
    Reader,
    add_card,
    add_cardholder,
    bench,
    enrol_reader,
    unb64,
)

VICTIMS_PAN = "4000002222222222"


@pytest.fixture
async def crooks(tmp_path: Path) -> AsyncIterator[Bench]:
    """The payer, the phone and the reader are the crook's."""
    async with bench(tmp_path) as made:
        yield made


async def ends(crooks: Bench, payment_id: str, reason: NotSettled) -> None:
    payment = await crooks.ended(payment_id)  # type: ignore[arg-type]
    assert (payment.state, payment.reason) == (PaymentState.NOT_SETTLED, reason)
    assert (await crooks.balances()).get("merchant", 0) == 0


async def test_pay_with_a_skimmed_card_through_an_enrolled_reader(crooks: Bench) -> None:
    victim = await add_cardholder(crooks.storage, PhoneNumber("+818000000000"), "Victim")
    card = await add_card(crooks.storage, crooks.parts.keys.cards, victim, VICTIMS_PAN)
    payment_id = await crooks.offered()
    await crooks.from_reader(payment_id, "card_envelope", crooks.reader.swipe(VICTIMS_PAN))
    await ends(crooks, payment_id, NotSettled.CARD_NOT_CARDHOLDERS)
    # No PIN was asked for, so none can be guessed.
    assert "pin_request" not in crooks.phone.heard_kinds(payment_id)
    assert await crooks.storage.claim_pin_try(card) == 2


async def test_seal_in_one_readers_name_what_another_signs(crooks: Bench) -> None:
    """The victim's ciphertext is bound to the victim's reader, even if that one did not look at its offer."""
    victims = Reader(crooks.reader.issuer_key)
    payment_id = await crooks.offered()
    offer, signed = crooks.reader.offer, crooks.reader.signed_offer
    assert offer is not None
    # What the victim's reader seals to, but for the name of the reader in the offer, which it would refuse.
    mine = replace(offer, reader_id=victims.id)
    info = card_info(mine, digest(signed), victims.key.public_key).replace(victims.id, offer.reader_id)
    swipe = parse_swipe(bytearray(f";{PAN}={EXPIRY}1010000000000000?".encode()), luhn=False)
    plaintext = bytes(swipe.card_plaintext())
    stolen = CardEnvelope(digest(signed), seal_card(offer.public_key, plaintext, info))
    await crooks.from_reader(payment_id, "card_envelope", sign_message(crooks.reader.key, stolen))
    await ends(crooks, payment_id, NotSettled.ENVELOPE_INVALID)


@pytest.mark.parametrize(
    "plaintext",
    [bytes(128), b"\xff" * 128, os.urandom(128), b";".ljust(128, b"\0"), b"%B" + b"9" * 126],
    ids=["zeros", "ones", "noise", "no track", "endless number"],
)
async def test_seal_something_that_is_no_card(crooks: Bench, plaintext: bytes) -> None:
    payment_id = await crooks.offered()
    await crooks.from_reader(payment_id, "card_envelope", crooks.reader.seal_card(plaintext))
    await ends(crooks, payment_id, NotSettled.ENVELOPE_INVALID)


@pytest.mark.parametrize(
    "plaintext",
    [
        bytes(16),
        b"\xff" * 16,
        b"\x031234".ljust(16, b"\0"),
        b"\x04123x".ljust(16, b"\0"),
        b"\x041234" + b"5" * 11,
    ],
    ids=["zeros", "ones", "three digits", "no digit", "digits in the padding"],
)
async def test_seal_something_that_is_no_pin(crooks: Bench, plaintext: bytes) -> None:
    payment_id, request = await crooks.pin_asked()
    await crooks.from_reader(payment_id, "pin_envelope", crooks.reader.seal_pin(request, plaintext))
    await ends(crooks, payment_id, NotSettled.ENVELOPE_INVALID)
    assert await crooks.storage.claim_pin_try(crooks.card) == 2  # a try is used up by a PIN alone


async def test_answer_a_pin_request_with_two_pins(crooks: Bench) -> None:
    payment_id, request = await crooks.pin_asked()
    guesses = [crooks.reader.type_pin(request, pin) for pin in ("0000", "1111", "1234")]
    for guess in guesses:
        await crooks.from_reader(payment_id, "pin_envelope", guess)
    await ends(crooks, payment_id, NotSettled.WRONG_PIN)
    assert await crooks.storage.claim_pin_try(crooks.card) == 1


async def test_refuse_after_the_pin_to_get_the_goods_for_nothing(crooks: Bench) -> None:
    """Settled is settled: what the reader says afterwards changes neither books nor outcome."""
    payment_id, request = await crooks.pin_asked()
    await crooks.from_reader(payment_id, "pin_envelope", crooks.reader.type_pin(request))
    assert (await crooks.ended(payment_id)).state is PaymentState.COMPLETED
    reply = await crooks.from_reader(
        payment_id, "refusal", crooks.reader.refuse(RefusalReason.USER_CANCELLED)
    )
    assert reply is not None
    assert (reply["type"], reply["reason"]) == ("payment_over", "completed")
    assert (await crooks.balances())["merchant"] == 1200


async def test_answer_the_payment_of_another_reader(crooks: Bench) -> None:
    """Two readers of one owner: an offer is for one of them, and the other's signature is worth nothing."""
    other = Reader(crooks.reader.issuer_key)
    await enrol_reader(crooks.storage, crooks.cardholder, other.key)
    payment_id = await crooks.offered()
    card = open_message(crooks.reader.key.public_key, crooks.reader.swipe(), CardEnvelope)
    reply = await crooks.from_reader(payment_id, "card_envelope", sign_message(other.key, card))
    assert reply is not None
    assert reply["code"] == "envelope_refused"
    assert (await crooks.shown(payment_id)).state is PaymentState.KEY_OFFERED


async def test_bind_an_envelope_to_an_offer_that_nobody_made(crooks: Bench) -> None:
    payment_id = await crooks.offered()
    envelope = open_message(crooks.reader.key.public_key, crooks.reader.swipe(), CardEnvelope)
    forged = sign_message(crooks.reader.key, CardEnvelope(Digest(bytes(32)), envelope.sealed))
    reply = await crooks.from_reader(payment_id, "card_envelope", forged)
    assert reply is not None
    assert reply["code"] == "envelope_refused"
    assert await crooks.from_reader(payment_id, "card_envelope", crooks.reader.swipe()) is None
    request = unb64((await crooks.phone.heard("pin_request", payment_id))["data"])
    assert open_message(crooks.reader.issuer_key, request, PinRequest).last_four == "7899"
