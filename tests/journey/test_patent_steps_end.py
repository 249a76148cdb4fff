"""Steps S24 to S26, S38, S43 to S45, 210 to 213 and 0046: who hears the end, and what is destroyed by it."""

# ruff: noqa: N802 - the steps are named as the patent writes them

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handset_client.issuer_frames import Approve, FromReader, IssuerComplaint
from issuer_server.payment import Deadlines
from issuer_server.seed import UNKNOWN_CARD
from protocol.identifiers import PaymentId
from protocol.messages import MessageType, NotSettled
from reader_peripheral import screens
from reader_peripheral.ports import Key
from reader_peripheral.settings import Limits
from tests.journey.parties import Parties, Times, parties
from tests.journey.person import OWN_CARD, Person
from tests.journey.taps import Way
from tests.journey.told import assert_all_are_told


async def test_S24_S25_210_211_completion_reaches_phone_and_merchant_and_they_hang_up(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        payment_id = await world.ask()
        payment = await assert_all_are_told(world, payment_id, None)
        assert payment.card_last_four == OWN_CARD.pan[-4:]
        ending = world.person.phone.endings.entries[0]
        assert ending.last_four == OWN_CARD.pan[-4:]
        assert world.issuer.running.application.in_flight == 0
        # The phone hangs up on the reader, which waits for the next one.
        await world.until(lambda: not world.phone_radio.connections)


async def test_S38_S43_S44_the_phone_hands_the_readers_outcome_over_unread(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, None)
        [handed] = world.phone.brought(MessageType.OUTCOME, payment_id)
        [frame] = [
            frame
            for frame in world.phone.heard(object, payment_id)
            if getattr(frame, "kind", None) is MessageType.OUTCOME
        ]
        assert handed.data == frame.data
        world.person.keypad.press(Key.ENTER)
        assert world.reader.session.owed == ()


@dataclass(frozen=True, slots=True)
class Ending:
    """One way for a payment to end: who behaves how, which wait is short, what is done meanwhile."""

    reason: NotSettled | None
    person: Callable[[], Person] = Person
    times: Times = field(default_factory=Times)
    meanwhile: Callable[[Parties, PaymentId], Awaitable[None]] | None = None


async def _cancel_at_the_card(world: Parties, payment_id: PaymentId) -> None:
    await world.person.swiper.arming.until(lambda _: True)
    await world.merchant.cancel(payment_id)


async def _cancel_at_the_pin(world: Parties, payment_id: PaymentId) -> None:
    await world.person.keypad.wanted.until(lambda wanted: wanted)
    await world.merchant.cancel(payment_id)


async def _leave_the_reader(world: Parties, payment_id: PaymentId) -> None:
    await world.person.keypad.wanted.until(lambda wanted: wanted)
    world.ether.part()


async def _stop_the_issuer(world: Parties, payment_id: PaymentId) -> None:
    await world.person.keypad.wanted.until(lambda wanted: wanted)
    await world.issuer.stop()
    await world.issuer.start()


def _person(**habits: object) -> Callable[[], Person]:
    return lambda: Person(**habits)  # type: ignore[arg-type]


ENDINGS = {
    "completed": Ending(None),
    "declined": Ending(NotSettled.DECLINED, _person(approves=False)),
    "approval-timeout": Ending(
        NotSettled.APPROVAL_TIMEOUT, _person(approves=None), Times(issuer=Deadlines(approval=0.3))
    ),
    "card-timeout": Ending(
        NotSettled.CARD_TIMEOUT,
        _person(card=None),
        Times(issuer=Deadlines(card=0.3), reader=Limits(answer_seconds=1)),
    ),
    "pin-timeout": Ending(NotSettled.PIN_TIMEOUT, _person(pin=None), Times(issuer=Deadlines(pin=0.3))),
    "unknown-card": Ending(NotSettled.UNKNOWN_CARD, _person(card=UNKNOWN_CARD)),
    "wrong-pin": Ending(NotSettled.WRONG_PIN, _person(pin="9999")),
    "cancelled-at-the-card": Ending(
        NotSettled.CANCELLED_BY_MERCHANT, _person(card=None), meanwhile=_cancel_at_the_card
    ),
    "cancelled-at-the-pin": Ending(
        NotSettled.CANCELLED_BY_MERCHANT, _person(pin=None), meanwhile=_cancel_at_the_pin
    ),
    "reader-out-of-range": Ending(
        NotSettled.PIN_TIMEOUT,
        _person(pin=None),
        Times(issuer=Deadlines(pin=0.3), reader=Limits(resume_seconds=0.3)),
        meanwhile=_leave_the_reader,
    ),
    "issuer-stopped": Ending(NotSettled.ISSUER_RESTARTED, _person(pin=None), meanwhile=_stop_the_issuer),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
async def test_S26_S45_212_213_everything_secret_is_destroyed(tmp_path: Path, ending: Ending) -> None:
    async with parties(tmp_path, ending.times, ending.person()) as world:
        payment_id = await world.ask()
        if ending.meanwhile is not None:
            await ending.meanwhile(world, payment_id)
        payment = await world.outcome(payment_id)
        assert payment.reason == ending.reason
        await world.until(lambda: not world.secrets_alive())
        assert world.issuer.running.application.in_flight == 0
        stored = world.stored_bytes()
        for secret in (OWN_CARD.pan, UNKNOWN_CARD.pan, OWN_CARD.stripe):
            assert secret.encode() not in stored
        for seed in world.issuer.seeds:
            assert not any(part in stored for part in (seed[:32], seed[32:64], seed[64:]))
        for frame in world.phone.carried(payment_id):
            assert frame.data not in stored
            assert frame.data[-80:-64] not in stored  # nor the sealed part alone


async def test_S45_after_the_resume_window_the_reader_has_forgotten_the_key(tmp_path: Path) -> None:
    times = Times(reader=Limits(resume_seconds=0.3))
    async with parties(tmp_path, times, Person(card=None)) as world:
        await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        world.ether.part()
        shown = await world.person.display.shown.until(lambda screen: isinstance(screen, screens.NotSettled))
        assert isinstance(shown, screens.NotSettled)
        assert shown.reason is screens.EndedHere.CONNECTION_LOST
        assert not world.person.swiper.armed
        assert world.reader_payments_alive() == []


async def test_0046_an_old_ciphertext_is_useless_in_the_next_payment(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        first = await world.ask()
        await assert_all_are_told(world, first, None)
        recorded = world.phone.carried(first)
        assert [frame.kind for frame in recorded] == [MessageType.CARD_ENVELOPE, MessageType.PIN_ENVELOPE]
        before = await world.balances()

        world.person.card = world.person.pin = None
        second = await world.ask()
        await world.status(second, "key_offered")
        await world.person.swiper.arming.until(lambda _: True, since=1)
        for frame in recorded:
            world.phone.issuer_link.inject(FromReader(second, frame.kind, frame.data))
        await world.phone.caught_up()
        complaints = [
            event
            for way, event in world.phone.wire.entries
            if way is Way.FROM_ISSUER and isinstance(event, IssuerComplaint)
        ]
        assert [complaint.code for complaint in complaints] == ["envelope_refused", "unexpected_message"]
        assert (await world.merchant.payment(second)).status == "key_offered"
        assert await world.balances() == before

        # The replay cost the payment nothing: the real card still goes through.
        world.person.pin = OWN_CARD.pin
        world.person.swiper.swipe(OWN_CARD)
        await assert_all_are_told(world, second, None)


async def test_0046_an_old_approval_brings_no_offer_that_the_reader_takes(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        first = await world.ask()
        await assert_all_are_told(world, first, None)
        _, old = await world.phone.wire.until(lambda passed: isinstance(passed[1], Approve))
        assert isinstance(old, Approve)
        # The phone approves the next payment with the hello of the one before: its nonce is used up.
        world.phone.issuer_link.outgoing = lambda frame: (
            (Approve(frame.payment_id, old.reader_hello),) if isinstance(frame, Approve) else (frame,)
        )
        second = await world.ask()
        await assert_all_are_told_by_refusal(world, second)


async def assert_all_are_told_by_refusal(world: Parties, payment_id: PaymentId) -> None:
    """The reader refuses the offer with its signature, and shows no amount for it."""
    offers = len(world.person.display.shown.all(lambda screen: isinstance(screen, screens.Offer)))
    payment = await world.outcome(payment_id)
    assert payment.reason == NotSettled.REFUSED_OFFER_REJECTED
    shown = world.person.display.shown.all(lambda screen: isinstance(screen, screens.Offer))
    assert len(shown) == offers
