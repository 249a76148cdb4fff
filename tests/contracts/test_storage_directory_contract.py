"""What any storage promises of merchants, cardholders, cards, PIN tries, devices and one-time codes."""

from __future__ import annotations

import asyncio
import os

import pytest

from issuer_server.cards import CardKeys
from issuer_server.payment import PaymentState
from issuer_server.storage.port import AlreadyExists, EnrolmentRefused, NotFound
from issuer_server.storage.records import NewCard, NewCardholder, NewEnrolmentCode, SettleResult
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import (
    CardholderId,
    CardId,
    Digest,
    HandsetId,
    PhoneNumber,
    PublicKey,
    ReaderId,
    mint,
)
from tests.contracts.world import digest


def some_digest() -> Digest:
    return Digest(os.urandom(32))


async def code_for(world, kind: EnrolmentKind, life: float = 60) -> Digest:
    secret = some_digest()
    await world.storage.add_enrolment_code(NewEnrolmentCode(secret, kind, world.cardholder, world.now + life))
    return secret


async def enrol_handset(world, secret: Digest, token: Digest | None = None):
    handset = HandsetId(mint("hst", os.urandom(16)))
    return await world.storage.redeem_handset_code(secret, handset, token or some_digest(), world.now)


async def enrol_reader(world, secret: Digest, public_key: bytes | None = None):
    key = PublicKey(public_key or os.urandom(32))
    return await world.storage.redeem_reader_code(secret, ReaderId(key[:8]), key, "pi-1", world.now)


async def test_who_is_there_is_found_and_who_is_not_is_none(world):
    storage = world.storage
    assert (await storage.merchant_by_key_digest(digest("api key"), world.now)).id == world.merchant
    assert (await storage.cardholder_by_phone(world.phone)).id == world.cardholder
    assert (await storage.card_by_index(digest("pan"))).id == world.card
    assert await storage.merchant_by_key_digest(some_digest(), world.now) is None
    assert await storage.cardholder_by_phone(PhoneNumber("+819099999999")) is None
    assert await storage.card_by_index(some_digest()) is None
    assert await storage.handset_by_token_digest(some_digest()) is None
    assert await storage.reader(ReaderId(os.urandom(8))) is None


async def test_a_phone_number_and_a_card_number_belong_to_one_only(world):
    again = NewCardholder(CardholderId(mint("chd", os.urandom(16))), "Taro", world.phone)
    with pytest.raises(AlreadyExists) as refusal:
        await world.storage.add_cardholder(again, world.now)
    assert refusal.value.code == "phone_in_use"
    card = NewCard(
        CardId(mint("crd", os.urandom(16))), world.cardholder, digest("pan"), "1111", "3012", digest("p"), 3
    )
    with pytest.raises(AlreadyExists) as refusal:
        await world.storage.add_card(card, world.now)
    assert refusal.value.code == "card_exists"


async def test_what_belongs_to_nobody_is_refused(world):
    nobody = CardholderId(mint("chd", os.urandom(16)))
    code = NewEnrolmentCode(some_digest(), EnrolmentKind.READER, nobody, world.now + 60)
    with pytest.raises(NotFound):
        await world.storage.add_enrolment_code(code)
    with pytest.raises(NotFound):
        await world.storage.fund(nobody, world.yen(1), world.now)
    with pytest.raises(NotFound):
        await world.add_card(CardId(mint("crd", os.urandom(16))), nobody, "pan of nobody")


async def test_blocking_shows_at_once_and_reaches_what_a_cardholder_owns(world):
    storage = world.storage
    token = some_digest()
    handset = await enrol_handset(world, await code_for(world, EnrolmentKind.HANDSET), token)
    reader = await enrol_reader(world, await code_for(world, EnrolmentKind.READER))

    async def blocked() -> list[bool]:
        return [
            (await storage.card_by_index(digest("pan"))).blocked,
            (await storage.handset_by_token_digest(token)).blocked,
            (await storage.reader(reader.id)).blocked,
        ]

    assert await blocked() == [False, False, False]
    await storage.set_card_blocked(world.card, True)
    await storage.set_handset_blocked(handset.id, True)
    await storage.set_reader_blocked(reader.id, True)
    assert await blocked() == [True, True, True]
    await storage.set_card_blocked(world.card, False)
    await storage.set_handset_blocked(handset.id, False)
    await storage.set_reader_blocked(reader.id, False)
    await storage.set_cardholder_blocked(world.cardholder, True)
    assert await blocked() == [True, True, True]
    assert (await storage.cardholder_by_phone(world.phone)).blocked
    await storage.set_merchant_blocked(world.merchant, True)
    assert (await storage.merchant_by_key_digest(digest("api key"), world.now)).blocked


async def test_blocking_what_is_not_there_says_so(world):
    with pytest.raises(NotFound):
        await world.storage.set_card_blocked(CardId(mint("crd", os.urandom(16))), True)
    with pytest.raises(NotFound):
        await world.storage.set_reader_blocked(ReaderId(os.urandom(8)), True)


async def test_tries_count_down_to_none_and_come_back_in_full(world):
    tries = [await world.storage.claim_pin_try(world.card) for _ in range(5)]
    assert tries == [2, 1, 0, None, None]
    await world.settled()
    assert await world.storage.claim_pin_try(world.card) == 2


async def test_a_right_pin_gives_the_tries_back_also_where_no_money_moves(world):
    await world.storage.claim_pin_try(world.card)
    dear, over = await world.create(world.yen(10_001)), await world.create()
    result = await world.storage.settle(over.id, PaymentState.SETTLING, world.card, world.now)
    assert result is SettleResult.STALE
    assert (await world.storage.card_by_index(digest("pan"))).pin_tries_left == 2
    result = await world.storage.settle(dear.id, dear.state, world.card, world.now)
    assert result is SettleResult.INSUFFICIENT_FUNDS
    assert (await world.storage.card_by_index(digest("pan"))).pin_tries_left == 3


async def test_a_card_that_is_not_there_has_no_tries(world):
    assert await world.storage.claim_pin_try(CardId(mint("crd", os.urandom(16)))) is None


async def test_unblocking_a_card_gives_its_tries_back(world):
    while await world.storage.claim_pin_try(world.card):
        pass
    await world.storage.set_card_blocked(world.card, False)
    assert (await world.storage.card_by_index(digest("pan"))).pin_tries_left == 3


async def test_twenty_parallel_wrong_pins_use_exactly_the_tries_there_are(world):
    """Claimed before compared, as the payment does: three wrong PINs are looked at, seventeen are not."""
    keys = CardKeys(b"i" * 32, b"p" * 32)
    card = CardId(mint("crd", os.urandom(16)))
    index, verifier = keys.pan_index(b"4111111111111111"), keys.pin_verifier(card, b"1234")
    await world.storage.add_card(
        NewCard(card, world.cardholder, index, "1111", "3012", verifier, 3), world.now
    )
    compared = 0

    async def check(pin: bytes) -> bool | None:
        nonlocal compared
        if await world.storage.claim_pin_try(card) is None:
            return None
        compared += 1
        return keys.verify_pin(card, bytearray(pin), verifier)

    verdicts = await asyncio.gather(*(check(b"%04d" % guess) for guess in range(20)))
    assert (verdicts.count(False), verdicts.count(None), compared) == (3, 17, 3)
    assert await check(b"1234") is None  # even the right PIN: the card is blocked


async def test_a_handsets_code_makes_one_handset_of_the_cardholder(world):
    token = some_digest()
    secret = await code_for(world, EnrolmentKind.HANDSET)
    handset = await enrol_handset(world, secret, token)
    assert (handset.cardholder_id, handset.phone, handset.blocked) == (world.cardholder, world.phone, False)
    assert await world.storage.handset_by_token_digest(token) == handset
    assert await world.storage.handsets() == [handset]
    with pytest.raises(EnrolmentRefused) as refusal:
        await enrol_handset(world, secret)
    assert refusal.value.code == "enrolment_code_used"


async def test_of_many_who_redeem_one_code_one_succeeds(world):
    secret = await code_for(world, EnrolmentKind.HANDSET)
    outcomes = await asyncio.gather(
        *(enrol_handset(world, secret) for _ in range(10)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, EnrolmentRefused)]
    assert len(refused) == 9
    assert len(await world.storage.handsets()) == 1


async def test_old_and_unknown_codes_and_codes_of_the_other_kind_are_refused(world):
    old = await code_for(world, EnrolmentKind.HANDSET, life=0)
    readers = await code_for(world, EnrolmentKind.READER)
    for secret, expected in (
        (old, "enrolment_code_expired"),
        (readers, "enrolment_code_unknown"),
        (some_digest(), "enrolment_code_unknown"),
    ):
        with pytest.raises(EnrolmentRefused) as refusal:
            await enrol_handset(world, secret)
        assert refusal.value.code == expected
    await enrol_reader(world, readers)  # the wrong door did not use it up


async def test_a_readers_key_is_enrolled_once_and_the_second_code_stays_good(world):
    key = os.urandom(32)
    reader = await enrol_reader(world, await code_for(world, EnrolmentKind.READER), key)
    assert await world.storage.reader(reader.id) == reader
    second = await code_for(world, EnrolmentKind.READER)
    with pytest.raises(EnrolmentRefused) as refusal:
        await enrol_reader(world, second, key)
    assert refusal.value.code == "reader_already_enrolled"
    assert (await enrol_reader(world, second)).public_key != key


async def test_lists_hold_what_was_added(world):
    assert [each.id for each in await world.storage.merchants()] == [world.merchant]
    assert [each.id for each in await world.storage.cardholders()] == [world.cardholder]
    assert [each.id for each in await world.storage.cards()] == [world.card]
    assert await world.storage.readers() == []
