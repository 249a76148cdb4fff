"""Strangers beside the phone: false readers, second phones, floods, pushy shops, keys that are not theirs."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError

from handset_client.issuer_frames import FromReader
from handset_client.ports import ReaderSaid, ReaderTook
from issuer_server import administration
from issuer_server.enrolments import enrol_reader, issue_code
from issuer_server.payment import Deadlines
from issuer_server.rate_limits import USUAL_LIMITS
from issuer_server.storage.port import EnrolmentRefused
from protocol import gatt
from protocol.enrolment import EnrolmentKind
from protocol.errors import InputError
from protocol.identifiers import ReaderId
from protocol.messages import PROTOCOL_VERSION, MessageType, NotSettled, ReaderEnrolment
from protocol.signing import SigningKey, sign_message
from reader_peripheral import screens
from reader_peripheral.adapters.bless_link import BlessLink
from reader_peripheral.adapters.simulated_radio import VirtualRadio
from reader_peripheral.ports import PinnedIssuer
from reader_peripheral.session import MOST_REFUSALS
from reader_peripheral.settings import FIRMWARE, MODEL_CODE, Limits
from tests.hostile.tricks import assert_it_cost_nothing, refused_codes, shown, without_refusals
from tests.journey.parties import ISSUER_ID, PHONE, PRICE, Parties, Reader, Times, parties
from tests.journey.person import OWN_CARD, Person
from tests.journey.taps import Way
from tests.journey.told import assert_all_are_told, assert_phone_and_merchant_are_told
from virtual_radio.bleak_backend import backends

HIDDEN = {
    "right to left": "2 coffees \u202e9.99",
    "line feed": "2 coffees\nJPY 1",
    "escape": "2 coffees\x1b[2J",
    "zero width": "2 cof\u200bfees",
    "line separator": "2 coffees\u2028JPY 1",
    "isolate": "2 \u2067coffees\u2069",
}


async def test_a_false_reader_with_the_services_uuid(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        await world.reader.service.stop()
        key, crook = SigningKey.from_seed(os.urandom(32)), Person()
        info = gatt.ReaderInfo((PROTOCOL_VERSION,), ReaderId(key.key_id), MODEL_CODE, FIRMWARE)
        link = BlessLink(VirtualRadio(await world.ether.add_device("false reader")), info)
        pinned = PinnedIssuer(ISSUER_ID, world.issuer.keys.signing.public_key, world.issuer.url)
        false = Reader(key, pinned, link, crook, Limits())
        await false.service.start()
        try:
            payment_id = await world.ask()
            await assert_phone_and_merchant_are_told(world, payment_id, NotSettled.READER_UNKNOWN)
        finally:
            await false.service.stop()
        # No offer was made, so there is nothing that the false reader could show or seal to.
        assert not crook.display.shown.all(lambda screen: isinstance(screen, screens.Offer))
        assert not crook.swiper.armed
        assert await world.balances() == before


async def test_a_second_phone_during_a_payment(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(card=None)) as world:
        before = await world.balances()
        scanner, client = backends(await world.ether.add_device("other phone"))
        found = await BleakScanner.find_device_by_filter(
            lambda _, advert: gatt.SERVICE_UUID in advert.service_uuids, timeout=5, backend=scanner
        )
        assert found is not None
        payment_id = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        with pytest.raises(BleakError):
            await BleakClient(found, timeout=0.2, backend=client).connect()
        world.person.swiper.swipe(OWN_CARD)
        await assert_it_cost_nothing(world, before, payment_id)


async def test_flood_the_reader(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(card=None)) as world:
        before = await world.balances()
        payment_id = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        world.phone.reader_link.incoming = without_refusals
        [offer] = world.phone.brought(MessageType.KEY_OFFER, payment_id)
        for wave in range(1, 4):
            for size in (1, 20, 200, 1000, 2000, 4096):
                world.phone.reader_link.inject(replace(offer, data=os.urandom(size)))
            # The phone's own queue holds eight messages: the next wave when this one is through.
            await world.until(lambda wave=wave: taken(world) == 1 + 6 * wave)
        assert refusals(world) == MOST_REFUSALS
        world.person.swiper.swipe(OWN_CARD)
        await assert_it_cost_nothing(world, before, payment_id)
        assert refusals(world) == MOST_REFUSALS


def refusals(world: Parties) -> int:
    """How many refusals the reader signed."""
    return sum(
        way is Way.FROM_READER and isinstance(event, ReaderSaid) and event.kind is MessageType.REFUSAL
        for way, event in world.phone.wire.entries
    )


def taken(world: Parties) -> int:
    """How many messages the reader took in."""
    return sum(isinstance(event, ReaderTook) for _, event in world.phone.wire.entries)


async def test_flood_the_issuer(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(card=None)) as world:
        before = await world.balances()
        payment_id = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        kinds = (MessageType.CARD_ENVELOPE, MessageType.PIN_ENVELOPE, MessageType.REFUSAL)
        for number in range(200):
            noise = os.urandom(1 + number * 13 % 4096)
            world.phone.issuer_link.inject(FromReader(payment_id, kinds[number % 3], noise))
        assert set(await refused_codes(world, 200)) == {"envelope_refused", "unexpected_message"}
        world.person.swiper.swipe(OWN_CARD)
        await assert_it_cost_nothing(world, before, payment_id)
        assert await world.pin_tries_left() == 3


async def test_a_shop_that_keeps_asking(tmp_path: Path) -> None:
    """Each request ends by itself; none of them reaches the reader or the ledger."""
    async with parties(
        tmp_path, Times(issuer=Deadlines(approval=2.0)), person=Person(approves=None)
    ) as world:
        before = await world.balances()
        asked = [await world.ask(order=f"spam {number}") for number in range(6)]
        ends = [(await world.outcome(payment_id)).reason for payment_id in asked]
        assert set(ends) <= {NotSettled.APPROVAL_TIMEOUT, NotSettled.NO_RESPONSE, NotSettled.DECLINED}
        assert shown(world, screens.Offer) == 0
        assert await world.balances() == before


async def test_enrol_somebody_elses_reader_key(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        victims, crooks = world.reader.session._key, SigningKey.from_seed(os.urandom(32))
        storage, now = world.issuer.running.storage, time.time()
        codes = []
        for signer in (crooks, victims):
            challenge = secrets.token_bytes(16)
            owner = world.seeded.cardholders[1].cardholder.id
            codes.append(
                await issue_code(storage, EnrolmentKind.READER, owner, world.issuer.address(), challenge, now)
            )
            proof = sign_message(
                signer, ReaderEnrolment(ISSUER_ID, challenge, world.reader.public_key, "BR-1")
            )
            # With a key of its own it proves nothing; and even the true key is enrolled once only.
            with pytest.raises(EnrolmentRefused) as refused:
                await enrol_reader(storage, ISSUER_ID, proof, now)
            expected = "invalid_proof" if signer is crooks else "reader_already_enrolled"
            assert refused.value.code == expected
        stored = await storage.reader(world.reader.id)
        assert stored is not None
        assert stored.cardholder_id == world.seeded.cardholders[0].cardholder.id
        payment_id = await world.ask()
        await assert_it_cost_nothing(world, before, payment_id)


@pytest.mark.parametrize("order", HIDDEN.values(), ids=HIDDEN)
async def test_hidden_characters_in_an_order(tmp_path: Path, order: str) -> None:
    async with parties(tmp_path) as world:
        before = await world.balances()
        body = {"phone": PHONE, "amount": PRICE, "currency": "JPY", "order": order}
        assert await refused_with(world, body) == (422, "invalid_order")
        assert len(world.person.phone.asked) == 0
        assert await world.balances() == before


async def test_a_shop_that_calls_itself_another(tmp_path: Path) -> None:
    """The name is the one that the issuer registered; a request has no place for another."""
    async with parties(tmp_path) as world:
        for field in ("merchant_name", "merchant", "name", "merchant_id"):
            body = {"phone": PHONE, "amount": PRICE, "currency": "JPY", "order": "2 coffees", field: "Bank"}
            assert await refused_with(world, body) == (422, "unknown_field")
        for name in ("Cafe\u202eyaleR", "Cafe\nRelay", "Cafe\u200bRelay", " Cafe Relay", "Cafe Relay\x00"):
            with pytest.raises(InputError):
                await administration.add_merchant(
                    world.issuer.running.storage, name, secrets.token_bytes, time.time()
                )
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, None)
        [offer] = world.person.display.shown.all(lambda screen: isinstance(screen, screens.Offer))
        assert isinstance(offer, screens.Offer)
        assert offer.bill.merchant == world.seeded.merchant.name


async def refused_with(world: Parties, body: dict[str, object]) -> tuple[int, str]:
    """Status and code of a request as no client of ours would send it."""
    headers = {
        "Authorization": f"Bearer {world.seeded.merchant.api_key}",
        "Idempotency-Key": secrets.token_hex(8),
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{world.issuer.url}/v1/payments", json=body, headers=headers) as answer,
    ):
        return answer.status, (await answer.json(content_type=None)).get("code", "")


async def test_a_shop_that_asks_without_end(tmp_path: Path) -> None:
    """So many calls at once and no more; the person's own shop is refused by nobody once they are over."""
    async with parties(tmp_path, person=Person(approves=None)) as world:
        before = await world.balances()
        most = USUAL_LIMITS.calls_to_a_phone_at_once
        asked = [await world.ask(order=f"spam {number}") for number in range(most)]
        for number in range(3):
            body = {"phone": PHONE, "amount": 1, "currency": "JPY", "order": f"more spam {number}"}
            assert await refused_with(world, body) == (429, "too_many_calls")
        assert len(world.person.phone.asked) <= most
        for payment_id in asked:
            await world.merchant.cancel(payment_id)
        world.person.approves = True
        payment_id = await world.ask()
        await assert_all_are_told(world, payment_id, None)
        assert await world.balances() == (before[0] - PRICE, before[1] + PRICE)
