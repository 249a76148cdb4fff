"""Steps S6 to S15, S27 and S34 to S37: the payment's key, the offer, the card and what becomes of it."""

# ruff: noqa: N802 - the steps are named as the patent writes them

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import protocol.reseal
from handset_client.issuer_frames import FromReader, PaymentRequest, ToReader
from handset_client.ports import ReaderSaid
from issuer_server.payment import Deadlines
from issuer_server.seed import MERCHANT_NAME, UNKNOWN_CARD, SampleCard
from protocol import sealing
from protocol.identifiers import PaymentId
from protocol.messages import SEALED_CARD_SIZE, CardEnvelope, KeyOffer, MessageType, NotSettled
from protocol.money import Money
from protocol.sealing import PaymentKey
from protocol.signing import digest, open_message
from reader_peripheral.screens import Bill, Offer
from reader_peripheral.screens import NotSettled as NotSettledScreen
from reader_peripheral.settings import Limits
from tests.journey.parties import JPY, PRICE, Parties, Times, parties
from tests.journey.person import (
    OTHERS_CARD,
    OWN_BLOCKED_CARD,
    OWN_CARD,
    OWN_EXPIRED_CARD,
    Person,
)
from tests.journey.taps import Way
from tests.journey.told import assert_all_are_told, assert_merchant_alone_is_told


async def offer_of(world: Parties, payment_id: PaymentId) -> tuple[bytes, KeyOffer]:
    """The offer as it reached the phone: the bytes, and what the issuer signed."""
    _, frame = await world.phone.wire.until(
        lambda passed: (
            isinstance(passed[1], ToReader)
            and (passed[1].payment_id, passed[1].kind) == (payment_id, MessageType.KEY_OFFER)
        )
    )
    assert isinstance(frame, ToReader)
    return frame.data, open_message(world.issuer.keys.signing.public_key, frame.data, KeyOffer)


async def envelope_of(world: Parties, payment_id: PaymentId) -> bytes:
    """The card envelope as the phone sent it on."""
    _, frame = await world.phone.wire.until(
        lambda passed: (
            isinstance(passed[1], FromReader)
            and (passed[1].payment_id, passed[1].kind) == (payment_id, MessageType.CARD_ENVELOPE)
        )
    )
    assert isinstance(frame, FromReader)
    return frame.data


async def test_203_S6_a_key_pair_for_each_payment_that_is_never_stored(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        first, second = await world.ask(), await world.ask(order="1 cake")
        _, one = await offer_of(world, first)
        _, other = await offer_of(world, second)
        assert one.public_key != other.public_key
        assert {PaymentKey.from_seed(seed).public_key for seed in world.issuer.seeds} == {
            one.public_key,
            other.public_key,
        }
        await world.outcome(second)
        stored = world.stored_bytes()
        for seed in world.issuer.seeds:
            assert seed[:32] not in stored
            assert seed[32:64] not in stored
            assert seed[64:] not in stored
        assert one.public_key[:64] not in stored


async def test_204_S7_S34_the_signed_offer_reaches_the_reader_unread(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(card=None)) as world:
        payment_id = await world.ask(order="2 tickets, row 5")
        data, offer = await offer_of(world, payment_id)
        await world.person.display.shown.until(lambda screen: isinstance(screen, Offer))
        [handed] = world.phone.brought(MessageType.KEY_OFFER, payment_id)
        assert handed.data == data
        assert (offer.payment_id, offer.reader_id) == (payment_id, world.reader.id)
        assert (offer.issuer_id, offer.order) == (world.issuer.settings.issuer_id, "2 tickets, row 5")
        assert offer.merchant_id == world.seeded.merchant.id


async def test_S35_205_the_reader_shows_the_signed_merchant_and_amount_and_waits(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(card=None)) as world:
        # The phone may believe what it likes: the reader shows what the issuer signed.
        world.phone.issuer_link.incoming = lambda event: (
            (replace(event, merchant_name="Another shop", order="nothing"),)
            if isinstance(event, PaymentRequest)
            else (event,)
        )
        await world.ask(order="2 coffees")
        shown = await world.person.display.shown.until(lambda screen: isinstance(screen, Offer))
        assert isinstance(shown, Offer)
        assert shown.bill == Bill(MERCHANT_NAME, Money(PRICE, JPY), "2 coffees")
        assert world.person.phone.asked.entries[0].merchant_name == "Another shop"
        assert world.person.swiper.armed


async def test_S36_206_the_card_is_sealed_at_one_size_and_signed(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(pin=None)) as world:
        payment_id = await world.ask()
        signed = await envelope_of(world, payment_id)
        envelope = open_message(world.reader.public_key, signed, CardEnvelope)
        assert len(envelope.sealed) == SEALED_CARD_SIZE
        assert OWN_CARD.pan.encode() not in signed
        # Whoever holds the payment's key, and nobody else, opens it, with everything it is bound to.
        data, offer = await offer_of(world, payment_id)
        assert envelope.offer == digest(data)
        info = sealing.card_info(offer, envelope.offer, world.reader.public_key)
        opened = PaymentKey.from_seed(world.issuer.seeds[0]).open_card(envelope.sealed, info)
        assert OWN_CARD.pan.encode() in opened


async def test_207_S37_the_phone_sends_the_envelope_on_unchanged(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(pin=None)) as world:
        payment_id = await world.ask()
        sent_on = await envelope_of(world, payment_id)
        said = [
            event.data
            for way, event in world.phone.wire.entries
            if way is Way.FROM_READER
            and isinstance(event, ReaderSaid)
            and event.kind is MessageType.CARD_ENVELOPE
        ]
        assert said == [sent_on]


async def test_S8_S9_no_card_in_time_tells_the_merchant_alone(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(issuer=Deadlines(card=0.4)), Person(card=None)) as world:
        payment_id = await world.ask()
        await assert_merchant_alone_is_told(world, payment_id, NotSettled.CARD_TIMEOUT)
        # The reader keeps its own time (the offer's), refuses, and so the phone learns that it is over.
        await world.person.phone.endings.until(lambda end: end.request.payment_id == payment_id)
        assert not world.person.swiper.armed


async def test_S10_208_the_issuer_keeps_a_copy_and_decrypts(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(pin=None)) as world:
        payment_id = await world.ask()
        await world.status(payment_id, "pin_requested")
        live = world.live(payment_id)
        envelope = open_message(world.reader.public_key, await envelope_of(world, payment_id), CardEnvelope)
        assert live.secrets.card_envelope == envelope
        assert live.secrets.card is not None
        assert bytes(live.secrets.card.pan()) == OWN_CARD.pan.encode()
        assert live.secrets in world.secrets_alive()  # what the tests of S26 look for is there to be found


async def test_S11_S12_S13_a_resealed_card_that_differs_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        real = protocol.reseal.shared_secret
        # A computation fault: one bit of the second derivation.
        monkeypatch.setattr(
            protocol.reseal,
            "shared_secret",
            lambda key, encapsulation: (
                bytes([real(key, encapsulation)[0] ^ 1]) + real(key, encapsulation)[1:]
            ),
        )
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, NotSettled.RESEAL_MISMATCH)
        assert await world.balances() == before


async def test_S13_an_envelope_that_does_not_open_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with parties(tmp_path) as world:
        real = sealing.seal_card
        monkeypatch.setattr(
            sealing, "seal_card", lambda key, plaintext, info: real(key, plaintext, info + b"other")
        )
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, NotSettled.ENVELOPE_INVALID)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        pytest.param(UNKNOWN_CARD, NotSettled.UNKNOWN_CARD, id="unknown"),
        pytest.param(OWN_EXPIRED_CARD, NotSettled.EXPIRED_CARD, id="expired"),
        pytest.param(OWN_BLOCKED_CARD, NotSettled.BLOCKED_CARD, id="blocked"),
        pytest.param(OTHERS_CARD, NotSettled.CARD_NOT_CARDHOLDERS, id="another-persons"),
    ],
)
async def test_S14_S15_S27_a_card_that_is_not_in_table_32_ends_it(
    tmp_path: Path, card: SampleCard, reason: NotSettled
) -> None:
    async with parties(tmp_path, person=Person(card=card)) as world:
        before = await world.balances()
        payment_id = await world.ask()
        payment = await assert_all_are_told(world, payment_id, reason)
        assert not world.phone.brought(MessageType.PIN_REQUEST, payment_id)
        known_and_own = reason in (NotSettled.EXPIRED_CARD, NotSettled.BLOCKED_CARD)
        assert payment.card_last_four == (card.pan[-4:] if known_and_own else None)
        assert await world.balances() == before


async def test_S35_a_card_that_cannot_be_read_is_refused_by_the_reader(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(reader=Limits(swipes=2)), Person(card=None)) as world:
        payment_id = await world.ask()
        for swipe in range(2):
            await world.person.swiper.arming.until(lambda _: True, since=swipe)
            world.person.swiper.misread()
        await assert_all_are_told(world, payment_id, NotSettled.REFUSED_UNREADABLE_CARD)


async def test_S35_the_person_cancels_on_the_reader(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(card=None)) as world:
        payment_id = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        world.person.keypad.cancel()
        await assert_all_are_told(world, payment_id, NotSettled.REFUSED_USER_CANCELLED)
        shown = world.person.display.shown.all(lambda screen: isinstance(screen, NotSettledScreen))
        assert len(shown) == 1
