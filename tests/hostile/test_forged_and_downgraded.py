"""A phone that makes its own messages, asks for weaker ones, and lies on its own screen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handset_client.issuer_frames import Approve, FromReader, IssuerFrame, PaymentRequest, PhoneFrame
from handset_client.ports import IssuerEvent
from merchant_terminal.payment import Charge
from protocol.encoding import decode, encode
from protocol.identifiers import check_payment_id
from protocol.messages import CardEnvelope, KeyOffer, MessageType, NotSettled, ReaderHello
from protocol.money import Money, currency, format_money
from protocol.sealing import PaymentKey, card_info, seal_card
from protocol.signing import SigningKey, digest, open_message, sign_message
from protocol.track_data import parse_swipe
from reader_peripheral import screens
from tests.hostile.tricks import (
    Hands,
    Sends,
    assert_it_cost_nothing,
    refused_codes,
    shown,
    without_refusals,
)
from tests.journey.parties import PHONE, Parties, parties
from tests.journey.person import OWN_CARD, Person
from tests.journey.taps import Handed
from tests.journey.told import assert_all_are_told, assert_phone_and_merchant_are_told

Forge = Callable[[bytes], bytes]
USD = currency("USD")


def _parts(signed: bytes) -> list[Any]:
    match decode(signed[1:], "COSE_Sign1"):
        case [bytes(protected), dict(unprotected), bytes(payload), bytes(signature)]:
            return [protected, unprotected, payload, signature]
        case _:
            raise AssertionError("no COSE_Sign1 of ours")


def _with(place: int, change: Callable[[Any], Any], tag: bytes = b"\xd2") -> Forge:
    """A COSE_Sign1 with one part changed; its tag is 18."""

    def forge(signed: bytes) -> bytes:
        parts = _parts(signed)
        parts[place] = change(parts[place])
        return tag + encode(parts)

    return forge


def _header(change: Callable[[dict[int, Any]], dict[int, Any]]) -> Forge:
    def changed(protected: bytes) -> bytes:
        header = decode(protected, "header")
        assert isinstance(header, dict)
        return encode(change(header))

    return _with(0, changed)


def _payload(change: Callable[[dict[int, Any]], dict[int, Any]]) -> Forge:
    def changed(payload: bytes) -> bytes:
        message = decode(payload, "message")
        assert isinstance(message, dict)
        return encode(change(message))

    return _with(2, changed)


FORGERIES: dict[str, Forge] = {
    "algorithm EdDSA": _header(lambda header: {**header, 1: -8}),
    "algorithm ES256": _header(lambda header: {**header, 1: -7}),
    "algorithm HMAC": _header(lambda header: {**header, 1: 5}),
    "no algorithm": _header(lambda header: {4: header[4]}),
    "no key id": _header(lambda header: {1: -19}),
    "another key id": _header(lambda header: {**header, 4: bytes(8)}),
    "empty header": _with(0, lambda _: b""),
    "critical extension": _header(lambda header: {**header, 2: [99]}),
    "algorithm unprotected": _with(1, lambda _: {1: -19}),
    "detached payload": _with(2, lambda _: b""),
    "short signature": _with(3, lambda signature: signature[:63]),
    "no signature": _with(3, lambda _: b""),
    "zero signature": _with(3, lambda _: bytes(64)),
    "no tag": lambda signed: signed[1:],
    "tag of COSE_Mac0": lambda signed: b"\xd1" + signed[1:],
    "indefinite length": lambda signed: signed[:1] + b"\x9f" + signed[2:] + b"\xff",
    "a byte more": lambda signed: signed + b"\x00",
    "a byte fewer": lambda signed: signed[:-1],
    "nothing": lambda _: b"\xd2",
    "version 0": _payload(lambda message: {**message, 1: 0}),
    "version 2": _payload(lambda message: {**message, 1: 2}),
    "another type": _payload(lambda message: {**message, 0: 22}),
    "one field more": _payload(lambda message: {**message, 99: 1}),
}


# The phone's own queue holds eight messages: not all of them in one payment.
@pytest.mark.parametrize("part", range(4))
async def test_bring_the_reader_every_malformed_and_downgraded_offer(tmp_path: Path, part: int) -> None:
    forgeries = list(FORGERIES.values())[part::4]
    async with parties(tmp_path) as world:
        before = await world.balances()
        world.phone.reader_link.incoming = without_refusals
        world.phone.reader_link.outgoing = Hands(
            MessageType.KEY_OFFER,
            lambda handed: (
                *(replace(handed, data=forge(handed.data)) for forge in forgeries),
                handed,
            ),
        )
        payment_id = await world.ask()
        await assert_it_cost_nothing(world, before, payment_id)
        assert len(world.phone.brought(MessageType.KEY_OFFER, payment_id)) == len(forgeries) + 1


@pytest.mark.parametrize("kind", [MessageType.CARD_ENVELOPE, MessageType.PIN_ENVELOPE], ids=["card", "pin"])
async def test_bring_the_issuer_every_malformed_and_downgraded_envelope(
    tmp_path: Path, kind: MessageType
) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        world.phone.issuer_link.outgoing = Sends(
            kind,
            lambda frame: (*(replace(frame, data=forge(frame.data)) for forge in FORGERIES.values()), frame),
        )
        payment_id = await world.ask()
        await assert_it_cost_nothing(world, before, payment_id)
        assert await refused_codes(world, len(FORGERIES)) == ["envelope_refused"] * len(FORGERIES)
        assert await world.pin_tries_left() == 3


@pytest.mark.parametrize("versions", [(2,), (200, 255)], ids=["the next", "far ones"])
async def test_make_the_issuer_speak_another_version(tmp_path: Path, versions: tuple[int, ...]) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()

        def other_versions(frame: PhoneFrame) -> Iterable[PhoneFrame]:
            if isinstance(frame, Approve):
                hello = ReaderHello.decode(frame.reader_hello)
                frame = replace(frame, reader_hello=replace(hello, versions=versions).encode())
            yield frame

        world.phone.issuer_link.outgoing = other_versions
        payment_id = await world.ask()
        await assert_phone_and_merchant_are_told(world, payment_id, NotSettled.READER_UNAVAILABLE)
        assert shown(world, screens.Offer) == 0
        assert await world.balances() == before


async def test_put_its_own_key_into_the_offer(tmp_path: Path) -> None:
    """The attack on the patent of 2001: the phone hands over a key to which it holds the secret half."""
    async with parties(tmp_path) as world:
        before = await world.balances()
        own, sealing_key = SigningKey.from_seed(os.urandom(32)), PaymentKey.from_seed(os.urandom(96))

        def substitute(handed: Handed) -> Iterable[Handed]:
            genuine = open_message(world.issuer.keys.signing.public_key, handed.data, KeyOffer)
            false = replace(genuine, public_key=sealing_key.public_key)
            yield replace(handed, data=sign_message(own, false))
            parts = _parts(handed.data)
            yield replace(handed, data=handed.data[:1] + encode([parts[0], {}, false.encode(), parts[3]]))
            yield handed

        world.phone.reader_link.incoming = without_refusals
        world.phone.reader_link.outgoing = Hands(MessageType.KEY_OFFER, substitute)
        payment_id = await world.ask()
        await assert_it_cost_nothing(world, before, payment_id)


async def test_pay_with_a_skimmed_card_and_a_key_of_its_own(tmp_path: Path) -> None:
    """The reader's signature is what proves that the reader was there: card data and PIN are not enough."""
    async with parties(tmp_path, person=Person(card=None)) as world:
        before = await world.balances()
        payment_id = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        [handed] = world.phone.brought(MessageType.KEY_OFFER, payment_id)
        offer = open_message(world.issuer.keys.signing.public_key, handed.data, KeyOffer)
        stripe = bytearray(OWN_CARD.stripe.encode("ascii"))
        info = card_info(offer, digest(handed.data), world.reader.public_key)
        sealed = seal_card(offer.public_key, bytes(parse_swipe(stripe).card_plaintext()), info)
        own = SigningKey.from_seed(os.urandom(32))
        forged = sign_message(own, CardEnvelope(digest(handed.data), sealed))
        world.phone.issuer_link.inject(FromReader(payment_id, MessageType.CARD_ENVELOPE, forged))
        assert await refused_codes(world, 1) == ["envelope_refused"]
        world.person.keypad.cancel()
        await assert_all_are_told(world, payment_id, NotSettled.REFUSED_USER_CANCELLED)
        assert await world.balances() == before
        assert await world.pin_tries_left() == 3


def lies(world: Parties, **told: object) -> None:
    """The phone's screen shows another request than the issuer made."""

    def lie(event: IssuerEvent) -> Iterable[IssuerEvent | IssuerFrame]:
        yield replace(event, **told) if isinstance(event, PaymentRequest) else event  # type: ignore[arg-type]

    world.phone.issuer_link.incoming = lie  # type: ignore[assignment]


async def test_show_another_order_at_the_same_price(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(card=None)) as world:
        before = await world.balances()
        lies(world, order="2 coffees")
        payment_id = await world.ask(order="1 gift card, code to the phone")
        asked = await world.person.phone.asked.until(lambda request: request.payment_id == payment_id)
        assert asked.order == "2 coffees"
        offer = await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Offer))
        assert isinstance(offer, screens.Offer)
        # What the reader shows is what would be paid: the person sees it and goes no further.
        assert offer.bill.order == "1 gift card, code to the phone"
        world.person.keypad.cancel()
        await assert_all_are_told(world, payment_id, NotSettled.REFUSED_USER_CANCELLED)
        assert await world.balances() == before


async def test_show_another_currency_with_another_number_of_decimals(tmp_path: Path) -> None:
    """1250 minor units are USD 12.50 and JPY 1,250: the reader reads the standard, not the phone."""
    async with parties(tmp_path) as world:
        yen = await world.balances()
        lies(world, amount=Money(1250, currency("JPY")))
        charge = Charge(PHONE, Money(1250, USD), "2 coffees")
        payment = await world.merchant.create_payment(charge, os.urandom(16).hex())
        payment_id = check_payment_id(payment.id)
        await assert_all_are_told(world, payment_id, None)
        [asked] = world.person.phone.asked.entries
        assert format_money(asked.amount) == "JPY 1,250"
        [offer] = world.person.display.shown.all(lambda screen: isinstance(screen, screens.Offer))
        assert isinstance(offer, screens.Offer)
        assert format_money(offer.bill.amount) == "USD 12.50"
        assert await world.balances() == yen
        rows = await world.issuer.running.storage.balances(world.seeded.merchant.id)
        assert [(row.currency, row.minor) for row in rows if row.minor] == [(USD, 1250)]
