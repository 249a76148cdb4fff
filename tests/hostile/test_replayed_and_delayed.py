"""A phone that keeps, repeats, swaps and delays: what the person sees, the issuer records, the ledger has."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from handset_client.issuer_frames import FromReader, PaymentOver, PhoneFrame
from issuer_server.payment import Deadlines
from protocol import gatt
from protocol.messages import PROTOCOL_VERSION, MessageType, NotSettled
from reader_peripheral import screens
from reader_peripheral.adapters.bless_link import BlessLink
from reader_peripheral.adapters.simulated_radio import VirtualRadio
from reader_peripheral.service import ReaderService
from reader_peripheral.session import Session
from reader_peripheral.settings import FIRMWARE, MODEL_CODE, Limits
from tests.hostile.tricks import Hands, Sends, complaints, refused_codes, shown, without_refusals
from tests.journey.parties import ISSUER_ID, PRICE, Parties, Times, parties
from tests.journey.person import OWN_CARD, Person
from tests.journey.taps import Handed
from tests.journey.told import assert_all_are_told


async def switch_off_and_on(world: Parties) -> None:
    """The same reader, started again with nothing but its key, its issuer and what it is owed."""
    before = world.reader.session
    await world.reader.service.stop()
    session = Session(before._key, ISSUER_ID, world.issuer.keys.signing.public_key, Limits(), before.owed)
    info = gatt.ReaderInfo((PROTOCOL_VERSION,), world.reader.id, MODEL_CODE, FIRMWARE)
    link = BlessLink(VirtualRadio(await world.ether.add_device("reader again")), info)
    person = world.person
    world.reader.session = session
    world.reader.service = ReaderService(
        session, link, person.swiper, person.keypad, person.display, secrets.token_bytes
    )
    await world.reader.service.start()


@pytest.mark.parametrize("boot", [False, True], ids=["same boot", "next boot"])
async def test_replay_an_offer_at_the_next_payment(tmp_path: Path, boot: bool) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        first = await world.ask(order="1 tea")
        await assert_all_are_told(world, first, None)
        [old] = world.phone.brought(MessageType.KEY_OFFER, first)
        if boot:
            await switch_off_and_on(world)
        world.phone.reader_link.incoming = without_refusals
        world.phone.reader_link.outgoing = Hands(
            MessageType.KEY_OFFER, lambda handed: (replace(handed, data=old.data), handed)
        )
        try:
            second = await world.ask(order="2 coffees")
            await assert_all_are_told(world, second, None)
        finally:
            if boot:
                await world.reader.service.stop()
        assert await world.balances() == (before[0] - 2 * PRICE, before[1] + 2 * PRICE)
        offers = world.person.display.shown.all(lambda screen: isinstance(screen, screens.Offer))
        assert [screen.bill.order for screen in offers if isinstance(screen, screens.Offer)] == [
            "1 tea",
            "2 coffees",
        ]


async def test_replay_an_envelope_at_the_next_payment(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        first = await world.ask()
        await assert_all_are_told(world, first, None)
        old = {frame.kind: frame.data for frame in world.phone.carried(first)}

        def old_one_first(frame: PhoneFrame) -> Iterable[PhoneFrame]:
            if isinstance(frame, FromReader):
                yield replace(frame, data=old[frame.kind])
            yield frame

        world.phone.issuer_link.outgoing = old_one_first
        second = await world.ask()
        await assert_all_are_told(world, second, None)
        assert await refused_codes(world, 2) == ["envelope_refused"] * 2
        assert await world.balances() == (before[0] - 2 * PRICE, before[1] + 2 * PRICE)
        assert await world.pin_tries_left() == 3


async def test_swap_card_and_pin_envelope(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        envelopes = (MessageType.CARD_ENVELOPE, MessageType.PIN_ENVELOPE)

        def as_the_other_too(frame: PhoneFrame) -> Iterable[PhoneFrame]:
            if isinstance(frame, FromReader):
                yield replace(frame, kind=next(kind for kind in envelopes if kind is not frame.kind))
                cards = [sent for sent in world.phone.carried(frame.payment_id) if sent.kind is envelopes[0]]
                yield from (replace(sent, kind=envelopes[1]) for sent in cards)
            yield frame

        world.phone.issuer_link.outgoing = as_the_other_too
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, None)
        assert set(await refused_codes(world, 2)) == {"unexpected_message", "envelope_refused"}
        assert await world.balances() == (before[0] - PRICE, before[1] + PRICE)
        assert await world.pin_tries_left() == 3


async def test_repeat_a_wrong_pin_until_the_card_locks(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(pin_attempts=3), Person(pin=None)) as world:
        before = await world.balances()
        world.phone.issuer_link.outgoing = Sends(MessageType.PIN_ENVELOPE, lambda frame: [frame] * 4)
        payment_id = await world.ask()
        await world.person.keypad.wanted.until(lambda wanted: wanted)
        world.person.keypad.type("9999")
        await world.person.display.shown.until(
            lambda screen: isinstance(screen, screens.EnterPin) and screen.again
        )
        # Three more copies came: the one PIN that was typed has cost one try.
        assert await refused_codes(world, 3) == ["envelope_refused"] * 3
        assert await world.pin_tries_left() == 2
        world.person.keypad.type(OWN_CARD.pin)
        await assert_all_are_told(world, payment_id, None)
        assert await world.pin_tries_left() == 3
        assert await world.balances() == (before[0] - PRICE, before[1] + PRICE)


async def test_guess_the_pin_through_many_payments(tmp_path: Path) -> None:
    """A thief with card, reader and phone has no more guesses than the card has tries."""
    async with parties(tmp_path) as world:
        before = await world.balances()
        for guess in ("0000", "0001", "0002"):
            world.person.pin = guess
            assert (await world.pay()).reason == NotSettled.WRONG_PIN
        world.person.pin = OWN_CARD.pin
        for _ in range(2):
            payment_id = await world.ask()
            await assert_all_are_told(world, payment_id, NotSettled.PIN_BLOCKED)
            assert not world.phone.brought(MessageType.PIN_REQUEST, payment_id)
        assert await world.balances() == before
        assert shown(world, screens.Approved) == 0


@pytest.mark.parametrize(
    ("kept", "deadlines", "reason"),
    [
        (MessageType.CARD_ENVELOPE, Deadlines(card=1.0), NotSettled.CARD_TIMEOUT),
        (MessageType.PIN_ENVELOPE, Deadlines(pin=1.5), NotSettled.PIN_TIMEOUT),
    ],
    ids=["card", "pin"],
)
async def test_hold_an_envelope_back_beyond_its_deadline(
    tmp_path: Path, kept: MessageType, deadlines: Deadlines, reason: NotSettled
) -> None:
    async with parties(tmp_path, Times(issuer=deadlines)) as world:
        before = await world.balances()
        held: list[FromReader] = []

        def hold(frame: FromReader) -> Iterable[FromReader]:
            held.append(frame)
            return ()

        world.phone.issuer_link.outgoing = Sends(kept, hold)
        payment_id = await world.ask()
        await world.until(lambda: held)
        assert (await world.outcome(payment_id)).reason == reason
        world.phone.issuer_link.inject(held[0])
        over = await world.phone.wire.until(
            lambda passed: isinstance(passed[1], PaymentOver) and passed[1].payment_id == payment_id
        )
        assert isinstance(over[1], PaymentOver)
        assert over[1].reason == reason
        # The reader heard nothing that it could believe but 'not settled', and the books agree.
        assert shown(world, screens.Approved) == 0
        assert await world.balances() == before
        assert await world.pin_tries_left() == 3
        assert complaints(world) == []


async def test_hold_an_offer_back_beyond_its_deadline(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(issuer=Deadlines(card=1.0)), Person(card=None)) as world:
        before = await world.balances()
        held: list[Handed] = []

        def hold(handed: Handed) -> Iterable[Handed]:
            held.append(handed)
            return ()

        world.phone.reader_link.outgoing = Hands(MessageType.KEY_OFFER, hold)
        payment_id = await world.ask()
        assert (await world.outcome(payment_id)).reason == NotSettled.CARD_TIMEOUT
        assert shown(world, screens.Offer) == 0
        # Brought late, the reader may take it, and the swipe is worth nothing any more.
        world.phone.reader_link.inject(held[0])
        await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Offer))
        world.person.swiper.swipe(OWN_CARD)
        await world.phone.wire.until(lambda passed: isinstance(passed[1], PaymentOver))
        assert (await world.merchant.payment(payment_id)).reason == NotSettled.CARD_TIMEOUT
        assert shown(world, screens.Approved) == shown(world, screens.EnterPin) == 0
        assert await world.balances() == before
