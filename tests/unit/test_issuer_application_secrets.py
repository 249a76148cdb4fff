"""Envelopes that do not open, faulted computations, and what stays of a payment in memory: nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.errors import ResealMismatch
from protocol.messages import NotSettled
from protocol.sealing import PaymentKey
from protocol.signing import digest
from tests.unit.issuer_bench import (
    Bench,
    bench,
)
from tests.unit.issuer_endings import not_settled


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


async def test_s13_a_signed_envelope_that_does_not_open(issuer: Bench) -> None:
    payment_id = await issuer.offered()
    other = PaymentKey.from_seed(bytes(96))
    assert issuer.reader.offer is not None
    from protocol.messages import CardEnvelope
    from protocol.sealing import card_info, seal_card
    from protocol.signing import sign_message

    offer_digest = digest(issuer.reader.signed_offer)
    info = card_info(issuer.reader.offer, offer_digest, issuer.reader.key.public_key)
    envelope = CardEnvelope(offer_digest, seal_card(other.public_key, bytes(128), info))
    issuer.reader.last_sent = sign_message(issuer.reader.key, envelope)
    await issuer.from_reader(payment_id, "card_envelope", issuer.reader.last_sent)
    await not_settled(issuer, payment_id, NotSettled.ENVELOPE_INVALID, phone_told=True)


async def test_an_envelope_that_opens_to_no_card(issuer: Bench) -> None:
    payment_id = await issuer.offered()
    await issuer.from_reader(payment_id, "card_envelope", issuer.reader.seal_card(b"\xff" * 128))
    await not_settled(issuer, payment_id, NotSettled.ENVELOPE_INVALID, phone_told=True)


async def test_an_envelope_that_opens_to_no_pin(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.seal_pin(request, b"\xff" * 16))
    await not_settled(issuer, payment_id, NotSettled.ENVELOPE_INVALID, phone_told=True)


class FaultyKey(PaymentKey):
    """A key whose computation went wrong in one kind of opening."""

    def open_pin(self, sealed: bytes, info: bytes) -> bytearray:
        raise ResealMismatch


class FaultyCardKey(PaymentKey):
    """The same for cards."""

    def open_card(self, sealed: bytes, info: bytes) -> bytearray:
        raise ResealMismatch


async def test_s13_a_card_envelope_that_reseals_differently(tmp_path: Path) -> None:
    async with bench(tmp_path, make_key=FaultyCardKey.from_seed) as issuer:
        payment_id = await issuer.offered()
        await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe())
        await not_settled(issuer, payment_id, NotSettled.RESEAL_MISMATCH, phone_told=True)


async def test_s20_a_pin_envelope_that_reseals_differently(tmp_path: Path) -> None:
    async with bench(tmp_path, make_key=FaultyKey.from_seed) as issuer:
        payment_id, request = await issuer.pin_asked()
        await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
        await not_settled(issuer, payment_id, NotSettled.RESEAL_MISMATCH, phone_told=True)


async def test_s26_nothing_of_a_payment_stays_in_memory(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    live = issuer.application._payments.get(payment_id)
    assert live is not None
    secrets = live.secrets
    key, plaintext = secrets.key, secrets.card_plaintext
    assert key is not None
    assert plaintext is not None
    assert any(plaintext)
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    await issuer.ended(payment_id)
    assert issuer.application.in_flight == 0
    assert not any(plaintext)
    assert "dropped" in repr(key)
    held = (secrets.key, secrets.card, secrets.card_plaintext, secrets.pin, secrets.card_envelope)
    assert held == (None,) * 5
    assert repr(live).count("…") == 1


@pytest.mark.parametrize("ending", ["timeout", "decline", "cancel"])
async def test_s26_the_key_goes_with_an_abandoned_payment_too(issuer: Bench, ending: str) -> None:
    payment_id = await issuer.offered()
    live = issuer.application._payments.get(payment_id)
    assert live is not None
    key = live.secrets.key
    match ending:
        case "timeout":
            issuer.timers.advance(60)
        case "decline":
            await issuer.phone.say("decline", payment_id, reason="declined")
        case "cancel":
            await issuer.application.cancel(issuer.merchant.id, payment_id)
    await issuer.ended(payment_id)
    assert "dropped" in repr(key)
