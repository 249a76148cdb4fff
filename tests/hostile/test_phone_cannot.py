"""What a hostile phone cannot do: alter, replay, redirect, invent. What is honest still goes through."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from handset_client.issuer_frames import Approve, FromReader, PhoneFrame
from issuer_server.payment import Deadlines
from protocol.encoding import decode, encode
from protocol.identifiers import PaymentId, ReaderId
from protocol.messages import (
    PROTOCOL_VERSION,
    MessageType,
    NotSettled,
    Outcome,
    ReaderHello,
    Verdict,
)
from protocol.signing import SigningKey, digest, open_message, sign_message
from reader_peripheral import screens
from reader_peripheral.ports import Key
from reader_peripheral.settings import Limits
from tests.hostile.tricks import (
    FlipsFirst,
    assert_it_cost_nothing,
    complaints,
    flipped,
    shown,
    without_refusals,
)
from tests.journey.parties import Parties, Times, parties
from tests.journey.person import OWN_CARD, Person
from tests.journey.taps import Handed
from tests.journey.told import assert_all_are_told, assert_phone_and_merchant_are_told

# In the COSE header, in the message, in the middle of it, in the signature.
PLACES = pytest.mark.parametrize("place", [3, 40, -200, -1], ids=["header", "message", "middle", "signature"])


@PLACES
async def test_change_one_bit_on_the_way_to_the_reader(tmp_path: Path, place: int) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        world.phone.reader_link.outgoing = flips = FlipsFirst(place)
        world.phone.reader_link.incoming = without_refusals
        payment_id = await world.ask()
        await assert_it_cost_nothing(world, before, payment_id)
        assert flips.flipped == [MessageType.KEY_OFFER, MessageType.PIN_REQUEST, MessageType.OUTCOME]


@PLACES
async def test_change_one_bit_on_the_way_to_the_issuer(tmp_path: Path, place: int) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()

        def flip_first(frame: PhoneFrame) -> Iterable[PhoneFrame]:
            if isinstance(frame, FromReader):
                yield replace(frame, data=flipped(frame.data, place))
            yield frame

        world.phone.issuer_link.outgoing = flip_first
        payment_id = await world.ask()
        await assert_it_cost_nothing(world, before, payment_id)
        assert complaints(world) == ["envelope_refused"] * 2
        assert await world.pin_tries_left() == 3


async def test_say_everything_twice_and_be_paid_for_twice(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        world.phone.issuer_link.outgoing = lambda frame: (frame, frame)
        world.phone.reader_link.outgoing = lambda handed: (handed, handed)
        world.phone.reader_link.incoming = without_refusals
        payment_id = await world.ask()
        await assert_it_cost_nothing(world, before, payment_id)


async def test_use_a_recorded_outcome_for_another_payment(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        first = await world.ask()
        await assert_all_are_told(world, first, None)
        [old] = world.phone.brought(MessageType.OUTCOME, first)
        world.person.pin = "9999"
        # Instead of 'wrong PIN' the phone brings the 'approved' of the payment before.
        world.phone.reader_link.outgoing = lambda handed: (
            (replace(handed, data=old.data), handed) if handed.kind is MessageType.OUTCOME else (handed,)
        )
        second = await world.ask()
        await assert_all_are_told(world, second, NotSettled.WRONG_PIN)
        assert shown(world, screens.Approved) == 1


async def test_invent_an_outcome(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(pin="9999")) as world:
        issuer_key = world.issuer.keys.signing.public_key
        own_key = SigningKey.from_seed(os.urandom(32))

        def invent(handed: Handed) -> Iterable[Handed]:
            if handed.kind is MessageType.OUTCOME:
                genuine = open_message(issuer_key, handed.data, Outcome)
                approved = Outcome(genuine.offer, genuine.last_message, Verdict.APPROVED, None)
                yield replace(handed, data=sign_message(own_key, approved))
                match decode(handed.data[1:], "COSE_Sign1"):
                    case [protected, unprotected, _, signature]:
                        swapped = encode([protected, unprotected, approved.encode(), signature])
                        yield replace(handed, data=handed.data[:1] + swapped)
            yield handed

        world.phone.reader_link.outgoing = invent
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, NotSettled.WRONG_PIN)
        assert len(world.phone.brought(MessageType.OUTCOME, payment_id)) == 3
        assert shown(world, screens.Approved) == 0


async def test_hide_an_outcome_for_good(tmp_path: Path) -> None:
    """The reader says 'unknown: do not pay again', and takes the outcome whenever the phone brings it."""
    async with parties(tmp_path, Times(reader=Limits(answer_seconds=0.5))) as world:
        hidden: list[Handed] = []

        def hide(handed: Handed) -> Iterable[Handed]:
            if handed.kind is MessageType.OUTCOME:
                hidden.append(handed)
            else:
                yield handed

        world.phone.reader_link.outgoing = hide
        payment_id = await world.ask()
        assert (await world.outcome(payment_id)).status == "completed"
        await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Unknown))
        assert shown(world, screens.Approved) == 0
        assert [owed.bill.order for owed in world.reader.session.owed] == ["2 coffees"]
        world.phone.reader_link.inject(hidden[0])
        await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Approved))
        world.person.keypad.press(Key.ENTER)
        assert world.reader.session.owed == ()


async def test_keep_the_next_program_on_the_phone_from_bringing_a_hidden_outcome(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(reader=Limits(answer_seconds=0.5))) as world:
        world.phone.reader_link.outgoing = lambda handed: (
            () if handed.kind is MessageType.OUTCOME else (handed,)
        )
        assert (await world.pay()).status == "completed"
        await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Unknown))
        await world.phone.stop()
        honest = world.another_phone()
        await honest.start()
        try:
            await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Approved))
            world.person.keypad.press(Key.ENTER)
            assert world.reader.session.owed == ()
        finally:
            await honest.stop()


async def claim(world: Parties, claimed: ReaderId) -> PaymentId:
    """Ask for a payment in which the phone says that another reader greeted it, with this one's nonce."""

    def other(frame: PhoneFrame) -> Iterable[PhoneFrame]:
        if isinstance(frame, Approve):
            hello = ReaderHello.decode(frame.reader_hello)
            invented = ReaderHello(claimed, hello.nonce, (PROTOCOL_VERSION,))
            yield replace(frame, reader_hello=invented.encode())
        else:
            yield frame

    world.phone.issuer_link.outgoing = other
    return await world.ask()


async def test_bring_a_reader_the_offer_for_another(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(issuer=Deadlines(card=1.0))) as world:
        second = await world.enrol_another_reader(cardholder=0)
        payment_id = await claim(world, second)
        payment = await world.outcome(payment_id)
        # The refusal is signed by a reader that the offer is not for: the issuer drops it, the time runs out.
        assert payment.reason == NotSettled.CARD_TIMEOUT
        assert complaints(world) == ["envelope_refused"]
        assert shown(world, screens.Offer) == 0
        assert not world.person.swiper.armed


async def test_pay_with_another_persons_reader(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        others = await world.enrol_another_reader(cardholder=1)
        payment_id = await claim(world, others)
        await assert_phone_and_merchant_are_told(world, payment_id, NotSettled.READER_NOT_CARDHOLDERS)
        assert not world.phone.brought(MessageType.KEY_OFFER, payment_id)


async def test_pay_with_a_reader_that_nobody_enrolled(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        payment_id = await claim(world, ReaderId(os.urandom(8)))
        await assert_phone_and_merchant_are_told(world, payment_id, NotSettled.READER_UNKNOWN)


async def test_pay_with_a_blocked_reader(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        await world.issuer.running.storage.set_reader_blocked(world.reader.id, True)
        payment_id = await world.ask()
        await assert_phone_and_merchant_are_told(world, payment_id, NotSettled.READER_BLOCKED)


async def test_approve_by_itself_and_be_paid(tmp_path: Path) -> None:
    async with parties(
        tmp_path, Times(issuer=Deadlines(card=0.5)), Person(approves=True, card=None)
    ) as world:
        before = await world.balances()
        payment_id = await world.ask()
        assert (await world.outcome(payment_id)).reason == NotSettled.CARD_TIMEOUT
        assert await world.balances() == before


async def test_weigh_or_tie_up_a_balance_with_a_shop_in_league(tmp_path: Path) -> None:
    """The shop asks for one price after the other, the phone approves each by itself, and nobody swipes."""
    nobody_near = Person(approves=True, card=None)
    async with parties(tmp_path, Times(issuer=Deadlines(card=0.5)), nobody_near) as world:
        balance, _ = await world.balances()
        for price in (balance, balance + 1):
            seen = len(world.person.swiper.arming)
            payment_id = await world.ask(price=price)
            await world.person.swiper.arming.until(lambda _: True, since=seen)
            held = {account.held for account in await world.issuer.running.storage.balances()}
            assert held == {0}
            assert (await world.outcome(payment_id)).reason == NotSettled.CARD_TIMEOUT


async def test_end_a_payment_with_a_refusal_of_an_offer_that_was_taken(tmp_path: Path) -> None:
    """An offer handed over twice must not get a signed refusal of itself, which would end the payment."""
    async with parties(tmp_path, person=Person(card=None)) as world:
        payment_id = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        [offer] = world.phone.brought(MessageType.KEY_OFFER, payment_id)
        world.phone.reader_link.inject(offer)
        world.person.swiper.swipe(OWN_CARD)
        await assert_all_are_told(world, payment_id, None)
        assert [frame.kind for frame in world.phone.carried(payment_id)] == [
            MessageType.CARD_ENVELOPE,
            MessageType.PIN_ENVELOPE,
        ]
        world.person.keypad.press(Key.ENTER)
        assert digest(offer.data) not in [owed.offer for owed in world.reader.session.owed]
