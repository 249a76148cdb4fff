"""Steps S16 to S23, S27 and S39 to S42: the PIN is asked for, sealed, opened, compared; then settled."""

# ruff: noqa: N802 - the steps are named as the patent writes them

from __future__ import annotations

from pathlib import Path

import pytest

import protocol.reseal
from handset_client.issuer_frames import FromReader, ToReader
from issuer_server.payment import Deadlines
from issuer_server.seed import SAMPLE_CARDHOLDERS
from protocol import sealing
from protocol.errors import SealError
from protocol.identifiers import PaymentId
from protocol.messages import (
    SEALED_PIN_SIZE,
    CardEnvelope,
    KeyOffer,
    MessageType,
    NotSettled,
    PinEnvelope,
    PinRequest,
)
from protocol.sealing import PaymentKey
from protocol.signing import digest, open_message
from reader_peripheral.screens import EnterPin
from tests.journey.parties import PRICE, Parties, Times, parties
from tests.journey.person import OWN_CARD, Person
from tests.journey.told import assert_all_are_told

WRONG = "9999"


async def from_issuer(world: Parties, payment_id: PaymentId, kind: MessageType) -> bytes:
    """What of a kind the issuer sent to the reader, as it reached the phone."""
    _, frame = await world.phone.wire.until(
        lambda passed: (
            isinstance(passed[1], ToReader) and (passed[1].payment_id, passed[1].kind) == (payment_id, kind)
        )
    )
    assert isinstance(frame, ToReader)
    return frame.data


async def from_reader(world: Parties, payment_id: PaymentId, kind: MessageType) -> bytes:
    """What of a kind the reader sent to the issuer, as the phone sent it on."""
    _, frame = await world.phone.wire.until(
        lambda passed: (
            isinstance(passed[1], FromReader) and (passed[1].payment_id, passed[1].kind) == (payment_id, kind)
        )
    )
    assert isinstance(frame, FromReader)
    return frame.data


async def test_S16_S39_the_signed_request_reaches_the_reader_unread(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(pin=None)) as world:
        payment_id = await world.ask()
        data = await from_issuer(world, payment_id, MessageType.PIN_REQUEST)
        await world.person.display.shown.until(lambda screen: isinstance(screen, EnterPin))
        [handed] = world.phone.brought(MessageType.PIN_REQUEST, payment_id)
        assert handed.data == data
        request = open_message(world.issuer.keys.signing.public_key, data, PinRequest)
        offer = await from_issuer(world, payment_id, MessageType.KEY_OFFER)
        card = await from_reader(world, payment_id, MessageType.CARD_ENVELOPE)
        assert (request.offer, request.card_envelope) == (digest(offer), digest(card))
        assert (request.last_four, request.tries_left) == (OWN_CARD.pan[-4:], 3)
        assert request.previous_pin_envelope is None


async def test_S40_S41_S42_the_pin_is_sealed_with_the_same_key_and_relayed(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        payment_id = await world.ask()
        await world.outcome(payment_id)
        asked = world.person.display.shown.all(lambda screen: isinstance(screen, EnterPin))
        assert [screen.stars for screen in asked if isinstance(screen, EnterPin)] == [0, 1, 2, 3, 4]
        signed = await from_reader(world, payment_id, MessageType.PIN_ENVELOPE)
        envelope = open_message(world.reader.public_key, signed, PinEnvelope)
        assert len(envelope.sealed) == SEALED_PIN_SIZE
        offered = await from_issuer(world, payment_id, MessageType.KEY_OFFER)
        asked_with = await from_issuer(world, payment_id, MessageType.PIN_REQUEST)
        offer = open_message(world.issuer.keys.signing.public_key, offered, KeyOffer)
        key = PaymentKey.from_seed(world.issuer.seeds[0])
        assert key.public_key == offer.public_key
        info = sealing.pin_info(offer, digest(offered), world.reader.public_key, digest(asked_with))
        assert key.open_pin(envelope.sealed, info) == sealing.pad_pin(OWN_CARD.pin.encode())
        # Its own domain: nothing that was sealed as a card opens as a PIN.
        card = open_message(
            world.reader.public_key,
            await from_reader(world, payment_id, MessageType.CARD_ENVELOPE),
            CardEnvelope,
        )
        with pytest.raises(SealError):
            key.open_pin(card.sealed, info + b"again")


async def test_S17_S27_no_pin_in_time_is_told_to_both(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(issuer=Deadlines(pin=0.4)), Person(pin=None)) as world:
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, NotSettled.PIN_TIMEOUT)
        assert world.person.keypad.wanted.entries[-1] is False


async def test_S18_S19_S20_S27_a_resealed_pin_that_differs_is_told_to_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with parties(tmp_path, person=Person(pin=None)) as world:
        before = await world.balances()
        payment_id = await world.ask()
        await world.status(payment_id, "pin_requested")
        # The request is still on its way to the reader then: a key pressed before it is there is lost.
        await world.person.keypad.wanted.until(lambda wanted: wanted)
        real = protocol.reseal.key_schedule
        # A computation fault in the second derivation, after the card went through without one.
        monkeypatch.setattr(
            protocol.reseal, "key_schedule", lambda secret, info: real(secret, info + b"\x00")
        )
        world.person.keypad.type(OWN_CARD.pin)
        await assert_all_are_told(world, payment_id, NotSettled.RESEAL_MISMATCH)
        assert await world.balances() == before


async def test_S18_S27_a_pin_envelope_that_does_not_open_is_told_to_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with parties(tmp_path) as world:
        real = sealing.seal_pin
        monkeypatch.setattr(
            sealing, "seal_pin", lambda key, plaintext, info: real(key, plaintext, info + b"other")
        )
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, NotSettled.ENVELOPE_INVALID)


async def test_S21_S22_S27_a_wrong_pin_ends_the_payment_and_uses_up_a_try(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(pin=WRONG)) as world:
        before = await world.balances()
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, NotSettled.WRONG_PIN)
        assert await world.balances() == before
        assert await world.pin_tries_left() == 2
        # The right PIN in the next payment gives the tries back.
        world.person.pin = OWN_CARD.pin
        assert (await world.pay()).status == "completed"
        assert await world.pin_tries_left() == 3


async def test_S22_the_try_limit_counts_across_payments(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(pin=WRONG)) as world:
        for _ in range(3):
            assert (await world.pay()).reason == NotSettled.WRONG_PIN
        world.person.pin = OWN_CARD.pin
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, NotSettled.PIN_BLOCKED)
        assert not world.phone.brought(MessageType.PIN_REQUEST, payment_id)


async def test_S22_a_setting_allows_another_try_in_the_same_payment(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(pin_attempts=3), Person(pin=None)) as world:
        payment_id = await world.ask()
        await world.person.keypad.wanted.until(lambda wanted: wanted)
        world.person.keypad.type(WRONG)
        again = await world.person.display.shown.until(
            lambda screen: isinstance(screen, EnterPin) and screen.again
        )
        assert isinstance(again, EnterPin)
        assert again.tries_left == 2
        world.person.keypad.type(OWN_CARD.pin)
        await assert_all_are_told(world, payment_id, None)
        assert await world.pin_tries_left() == 3


async def test_S23_209_posting_and_state_are_one(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, None)
        assert await world.balances() == (before[0] - PRICE, before[1] + PRICE)
        stored = await world.issuer.running.storage.payment(payment_id)
        assert stored is not None
        assert stored.state.value == "completed"


async def test_S23_S27_without_money_nothing_is_posted(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        [(_, jpy), *_] = SAMPLE_CARDHOLDERS[0].funds
        payment_id = await world.ask(price=int(jpy) + 1)
        await assert_all_are_told(world, payment_id, NotSettled.INSUFFICIENT_FUNDS)
        assert True not in world.person.keypad.wanted.entries  # no PIN is asked for in vain
        assert await world.balances() == before
