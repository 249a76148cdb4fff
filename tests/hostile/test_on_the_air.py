"""Over the real radio and the real socket: what is altered, cut, stale, doubled, dropped, or nonsense."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from handset_client.issuer_frames import Approve, FromReader, PhoneFrame, ToReader
from handset_client.ports import IssuerEvent, ReaderEvent, ReaderReady, ReaderSaid
from issuer_server.payment import Deadlines
from protocol.frames import VERSION, Hello, Start
from protocol.framing import Channel, Role
from protocol.messages import KeyOffer, MessageType, NotSettled, PinRequest
from protocol.signing import SigningKey, open_message, sign_message
from reader_peripheral import screens
from reader_peripheral.settings import Limits
from tests.hostile.test_cut_and_mixed import CHANGED, with_payload
from tests.hostile.tricks import (
    Hands,
    assert_it_cost_nothing,
    refused_codes,
    shown,
    without_refusals,
)
from tests.journey.parties import PRICE, Parties, Times, parties
from tests.journey.person import OWN_CARD, Person
from tests.journey.taps import Handed
from tests.journey.told import assert_all_are_told

ENDINGS = (screens.NotSettled, screens.Approved)
NONSENSE = {
    "no frame": b"\xff" * 200,
    "a message that is not next": Start(MessageType.OUTCOME, 99, 0, 5, b"hello", True).encode(),
    "a phone that starts anew": Hello(VERSION, False, 200, 77, 0, 0).encode(),
}


def cuts(data: bytes) -> list[bytes]:
    """At both ends and in the middle; tests/hostile/test_cut_and_mixed.py goes through every byte."""
    return [data[:1], data[: len(data) // 2], data[:-1], data[1:], data + b"\x00"]


async def test_change_and_cut_every_message_over_the_air(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        issuer = world.issuer.keys.signing.public_key

        def spoilt(handed: Handed) -> Iterable[Handed]:
            """Not more than the phone's own queue holds."""
            if handed.kind is MessageType.KEY_OFFER:
                genuine = open_message(issuer, handed.data, KeyOffer)
                changes = [CHANGED[name] for name in ("amount", "currency", "merchant", "order", "key")]
                for change in changes:
                    yield replace(handed, data=with_payload(handed.data, replace(genuine, **change).encode()))
            else:
                # The phone hangs up soon after its outcome: what is behind a long queue would stay with it.
                most = 2 if handed.kind is MessageType.OUTCOME else 5
                yield from (replace(handed, data=cut) for cut in cuts(handed.data)[:most])
            yield handed

        def cut_first(frame: PhoneFrame) -> Iterable[PhoneFrame]:
            if isinstance(frame, FromReader):
                yield from (replace(frame, data=cut) for cut in cuts(frame.data))
            yield frame

        world.phone.reader_link.outgoing = spoilt
        world.phone.reader_link.incoming = without_refusals
        world.phone.issuer_link.outgoing = cut_first
        payment_id = await world.ask()
        await assert_it_cost_nothing(world, before, payment_id)
        assert await refused_codes(world, 10) == ["envelope_refused"] * 10
        assert await world.pin_tries_left() == 3


async def test_bring_two_offers_at_once(tmp_path: Path) -> None:
    """One hello, two payments approved with it: the reader takes one offer and says of the other: busy."""
    async with parties(tmp_path, person=Person(card=None)) as world:
        before = await world.balances()
        hellos: list[Approve] = []
        refusals: list[bytes] = []

        def note_hello(frame: PhoneFrame) -> Iterable[PhoneFrame]:
            hellos.extend([frame] if isinstance(frame, Approve) else [])
            yield frame

        def note_refusal(event: ReaderEvent) -> Iterable[ReaderEvent]:
            if isinstance(event, ReaderSaid) and event.kind is MessageType.REFUSAL:
                refusals.append(event.data)
            else:
                yield event

        world.phone.issuer_link.outgoing = note_hello
        world.phone.reader_link.incoming = note_refusal
        first = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        second = await world.ask(order="1 gift card")
        await world.status(second, "calling")
        world.phone.issuer_link.inject(Approve(second, hellos[0].reader_hello))
        _, offer = await world.phone.wire.until(
            lambda passed: isinstance(passed[1], ToReader) and passed[1].payment_id == second
        )
        assert isinstance(offer, ToReader)
        world.phone.reader_link.inject(Handed(second, MessageType.KEY_OFFER, offer.data))
        await world.until(lambda: refusals)
        # The reader's refusal is true of the second payment, and of that alone.
        for payment_id in (first, second):
            world.phone.issuer_link.inject(FromReader(payment_id, MessageType.REFUSAL, refusals[0]))
        assert (await world.outcome(second)).reason == NotSettled.REFUSED_BUSY
        assert await refused_codes(world, 1) == ["envelope_refused"]
        world.person.swiper.swipe(OWN_CARD)
        await assert_it_cost_nothing(world, before, first)


async def test_invent_repeat_and_drop_pin_requests(tmp_path: Path) -> None:
    async with parties(
        tmp_path, Times(issuer=Deadlines(pin=1.5), reader=Limits(answer_seconds=2.0))
    ) as world:
        before, own = await world.balances(), SigningKey.from_seed(os.urandom(32))
        first = await world.ask()
        await assert_all_are_told(world, first, None)
        [stale] = world.phone.brought(MessageType.PIN_REQUEST, first)

        def more(handed: Handed) -> Iterable[Handed]:
            genuine = open_message(world.issuer.keys.signing.public_key, handed.data, PinRequest)
            yield replace(handed, data=stale.data)
            yield replace(handed, data=sign_message(own, replace(genuine, tries_left=9)))
            yield handed
            yield handed

        world.phone.reader_link.outgoing = Hands(MessageType.PIN_REQUEST, more)
        await assert_all_are_told(world, await world.ask(), None)
        assert world.person.keypad.wanted.all(lambda wanted: wanted) == [True, True]
        world.phone.reader_link.outgoing = Hands(MessageType.PIN_REQUEST, lambda _: ())
        third = await world.ask()
        assert (await world.outcome(third)).reason == NotSettled.PIN_TIMEOUT
        assert world.person.keypad.wanted.all(lambda wanted: wanted) == [True, True]
        assert shown(world, screens.Approved) == 2
        assert await world.balances() == (before[0] - 2 * PRICE, before[1] + 2 * PRICE)
        assert await world.pin_tries_left() == 3


async def test_pass_yesterdays_result_off_as_todays(tmp_path: Path) -> None:
    """Same shop, order and price: a kept back 'not paid' must not make a person pay twice."""
    short = Limits(answer_seconds=0.4, result_seconds=0.2)
    async with parties(tmp_path, Times(reader=short), Person(pin="9999")) as world:
        before = await world.balances()
        kept: list[ToReader] = []

        def keep(event: IssuerEvent) -> Iterable[IssuerEvent]:
            kept.extend([event] if isinstance(event, ToReader) and event.kind is MessageType.OUTCOME else [])
            yield event

        world.phone.issuer_link.incoming = keep
        world.phone.reader_link.outgoing = Hands(
            MessageType.OUTCOME, lambda handed: (replace(handed, data=b"nothing of the kind"),)
        )
        assert (await world.pay()).reason == NotSettled.WRONG_PIN
        await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Unknown))
        # An offer that nobody asked for does not take the warning away ...
        world.person.card = None
        await world.ask(order="nothing")
        await world.until(lambda: world.person.swiper.armed)
        assert isinstance(last_screen(world), screens.Offer)
        world.person.keypad.cancel()
        await world.until(lambda: isinstance(last_screen(world), screens.Unknown))
        # ... nor is the first payment's result shown once the second has been swiped for.
        world.person.card, world.person.pin = OWN_CARD, OWN_CARD.pin
        assert (await world.pay()).status == "completed"
        await world.until(lambda: isinstance(last_screen(world), screens.Unknown))
        yesterdays, *_, todays = kept
        world.person.approves, since = None, len(world.phone.wire)
        await world.ask()  # so that the phone connects once more
        await world.phone.wire.until(lambda passed: isinstance(passed[1], ReaderReady), since=since)
        seen = len(world.person.display.shown)
        for outcome in (yesterdays, todays):
            world.phone.reader_link.inject(Handed(outcome.payment_id, outcome.kind, outcome.data))
        await world.person.display.shown.until(lambda _: True, since=seen)
        assert isinstance(world.person.display.shown.entries[seen], screens.Approved)
        assert await world.balances() == (before[0] - PRICE, before[1] + PRICE)


async def test_hide_a_result_behind_an_offer_that_nobody_asked_for(tmp_path: Path) -> None:
    """The person is told that the first payment was made, and not the 'not settled' of the second alone."""
    short = Limits(answer_seconds=0.4, result_seconds=0.2)
    async with parties(tmp_path, Times(reader=short)) as world:
        kept: list[Handed] = []

        def keep(handed: Handed) -> Iterable[Handed]:
            kept.append(handed)
            yield replace(handed, data=b"nothing of the kind")

        world.phone.reader_link.outgoing = Hands(MessageType.OUTCOME, keep)
        assert (await world.pay()).status == "completed"
        await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Unknown))
        world.person.card, seen = None, len(world.person.display.shown)
        await world.ask(order="nothing")
        await world.until(lambda: world.person.swiper.armed)
        world.phone.reader_link.inject(kept[0])
        await world.until(lambda: not any(owed.unknown for owed in world.reader.session.owed))
        assert isinstance(last_screen(world), screens.Offer)
        world.person.keypad.cancel()
        await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Idle), since=seen)
        told = [screen for screen in world.person.display.shown.entries[seen:] if type(screen) in ENDINGS]
        assert [type(screen) for screen in told] == list(ENDINGS)
        assert [screen.bill.order for screen in told] == ["nothing", "2 coffees"]


def last_screen(world: Parties) -> screens.Screen:
    return world.person.display.shown.entries[-1]


async def test_write_nonsense_in_the_middle_of_a_payment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the phone's own payment, at both ends, and the next one goes well."""
    said: list[bytes] = []
    genuine = Channel.values_to_send

    def with_nonsense(channel: Channel) -> list[bytes]:
        values = genuine(channel)
        if values and channel._role is Role.CENTRAL:
            values += [said.pop() for _ in said[:]]
        return values

    monkeypatch.setattr(Channel, "values_to_send", with_nonsense)
    async with parties(tmp_path) as world:
        before = await world.balances()
        for nonsense in NONSENSE.values():
            world.person.card, seen = None, len(world.person.swiper.arming)
            payment_id = await world.ask()
            await world.until(lambda seen=seen: len(world.person.swiper.arming) > seen)
            [offer] = world.phone.brought(MessageType.KEY_OFFER, payment_id)
            said.append(nonsense)
            world.phone.reader_link.inject(replace(offer, data=b"?"))
            await world.until(lambda: isinstance(last_screen(world), screens.NotSettled))
            assert not world.person.swiper.armed
            await world.merchant.cancel(payment_id)
            await world.person.phone.endings.until(lambda end, it=payment_id: end.request.payment_id == it)
        world.person.card = OWN_CARD
        await assert_all_are_told(world, await world.ask(), None)
        assert await world.balances() == (before[0] - PRICE, before[1] + PRICE)
