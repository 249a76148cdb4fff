"""With one defence taken out of the real programs the same attack comes through: the attacks' tests bite."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from handset_client.issuer_frames import FromReader
from issuer_server.payment import PaymentState
from protocol.messages import CardEnvelope, KeyOffer, MessageType, Outcome, Verdict
from protocol.sealing import PaymentKey, card_info
from protocol.signing import SigningKey, digest, open_message, sign_message
from reader_peripheral import screens
from tests.explorer import weakened
from tests.hostile.tricks import Hands, complaints, shown
from tests.journey.parties import parties
from tests.journey.person import OWN_CARD, Person
from tests.journey.taps import Handed


async def test_a_reader_that_takes_unsigned_offers_gives_the_card_away(tmp_path: Path) -> None:
    own, key = SigningKey.from_seed(os.urandom(32)), PaymentKey.from_seed(os.urandom(96))
    with weakened.OFFER_UNSIGNED.patched():
        async with parties(tmp_path) as world:
            handed: list[bytes] = []

            def substitute(offered: Handed) -> Iterable[Handed]:
                genuine = open_message(world.issuer.keys.signing.public_key, offered.data, KeyOffer)
                handed.append(sign_message(own, replace(genuine, public_key=key.public_key)))
                yield replace(offered, data=handed[0])

            world.phone.reader_link.outgoing = Hands(MessageType.KEY_OFFER, substitute)
            payment_id = await world.ask()
            await world.until(lambda: world.phone.carried(payment_id))
            [sent] = world.phone.carried(payment_id)
            offer = KeyOffer.decode(open_bytes(own, handed[0]))
            envelope = open_message(world.reader.public_key, sent.data, CardEnvelope)
            opened = key.open_card(
                envelope.sealed, card_info(offer, digest(handed[0]), world.reader.public_key)
            )
            assert OWN_CARD.pan.encode() in bytes(opened)


def open_bytes(key: SigningKey, signed: bytes) -> bytes:
    """The payload of what that key signed."""
    return open_message(key.public_key, signed, KeyOffer).encode()


async def test_a_reader_that_takes_unsigned_outcomes_shows_approved(tmp_path: Path) -> None:
    own = SigningKey.from_seed(os.urandom(32))
    with weakened.OUTCOME_UNSIGNED.patched():
        async with parties(tmp_path, person=Person(pin="9999")) as world:
            before = await world.balances()

            def approve(handed: Handed) -> Iterable[Handed]:
                genuine = open_message(world.issuer.keys.signing.public_key, handed.data, Outcome)
                false = Outcome(genuine.offer, genuine.last_message, Verdict.APPROVED, None)
                yield replace(handed, data=sign_message(own, false))

            world.phone.reader_link.outgoing = Hands(MessageType.OUTCOME, approve)
            payment = await world.pay()
            await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Approved))
            assert payment.status == PaymentState.NOT_SETTLED
            assert await world.balances() == before


async def test_an_issuer_that_checks_no_reader_signature_takes_a_forged_envelope(tmp_path: Path) -> None:
    own = SigningKey.from_seed(os.urandom(32))
    with weakened.READER_UNVERIFIED.patched():
        async with parties(tmp_path, person=Person(card=None)) as world:
            payment_id = await world.ask()
            await world.person.swiper.arming.until(lambda _: True)
            [handed] = world.phone.brought(MessageType.KEY_OFFER, payment_id)
            forged = sign_message(own, CardEnvelope(digest(handed.data), bytes(1264)))
            world.phone.issuer_link.inject(FromReader(payment_id, MessageType.CARD_ENVELOPE, forged))
            # It is opened as if the reader had sent it; with real card data it would go on.
            assert (await world.outcome(payment_id)).reason == "envelope_invalid"
            assert complaints(world) == []


async def test_a_reader_that_knows_no_nonce_shows_an_old_offer_again(tmp_path: Path) -> None:
    with weakened.NO_NONCE.patched():
        async with parties(tmp_path) as world:
            first = await world.ask(order="1 tea")
            await world.outcome(first)
            await world.person.display.shown.until(lambda screen: isinstance(screen, screens.Approved))
            [old] = world.phone.brought(MessageType.KEY_OFFER, first)
            world.person.card = None
            world.phone.reader_link.outgoing = Hands(
                MessageType.KEY_OFFER, lambda handed: (replace(handed, data=old.data),)
            )
            await world.ask(order="2 coffees")
            await world.until(lambda: shown(world, screens.Offer) == 2)
            again = world.person.display.shown.all(lambda screen: isinstance(screen, screens.Offer))[-1]
            assert isinstance(again, screens.Offer)
            assert again.bill.order == "1 tea"
