"""Versions of keys in every storage: what is made with which, and what rotating and retiring may not do."""

from __future__ import annotations

import asyncio
import os

import pytest

from issuer_server.key_custody.key_store import KeyPurpose
from issuer_server.storage.key_records import (
    AuditEntry,
    KeyInUse,
    KeysChanged,
    KeyState,
    SealedSecret,
    StoredSecrets,
)
from issuer_server.storage.port import AlreadyExists, EnrolmentRefused, NotFound, StorageError
from issuer_server.storage.records import NewCard, NewEnrolmentCode, NewWebhookEndpoint
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import CardId, PublicKey, ReaderId, WebhookEndpointId, mint
from tests.contracts.world import digest

P = KeyPurpose


def entry(world, action="rotate"):
    return AuditEntry("hanako", action, "version 2", world.now)


async def rotate(world, purpose, version=2):
    await world.storage.keys.activate(purpose, version, version - 1, os.urandom(8), entry(world))


async def retire(world, purpose, version=1, *, abandon=False):
    return await world.storage.keys.retire(
        purpose, version, abandon=abandon, now=world.now, entry=entry(world, "retire")
    )


async def states(world, purpose):
    return [each.state for each in await world.storage.keys.versions() if each.purpose is purpose]


async def uses(world, purpose, version=1):
    return (await world.storage.keys.uses(world.now)).get((purpose, version), 0)


def new_card(world, pan, **versions):
    card = CardId(mint("crd", os.urandom(16)))
    return NewCard(card, world.cardholder, digest(pan), "1111", "3012", digest("pin"), 3, **versions)


async def enrol_reader(world, issuer_key=1):
    secret, key = digest(os.urandom(8).hex()), PublicKey(os.urandom(32))
    code = NewEnrolmentCode(secret, EnrolmentKind.READER, world.cardholder, world.now + 60, issuer_key)
    await world.storage.add_enrolment_code(code)
    return await world.storage.redeem_reader_code(secret, ReaderId(key[:8]), key, "model", world.now)


async def test_a_new_storage_has_the_first_version_of_each(world):
    found = await world.storage.keys.versions()
    assert {(each.purpose, each.version, each.state) for each in found} == {
        (purpose, 1, KeyState.ACTIVE) for purpose in KeyPurpose
    }
    assert {each.check_value for each in found} == {None}


async def test_a_check_value_is_noted_once(world):
    for value in (b"12345678", b"87654321"):
        await world.storage.keys.note_check_value(P.SIGNING, 1, value)
    found = {each.purpose: each.check_value for each in await world.storage.keys.versions()}
    assert (found[P.SIGNING], found[P.PAN_INDEX]) == (b"12345678", None)


async def test_one_of_two_rotations_at_once_succeeds(world):
    done = await asyncio.gather(*(rotate(world, P.PIN_PEPPER) for _ in range(2)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["KeysChanged", "NoneType"]
    assert await states(world, P.PIN_PEPPER) == [KeyState.PREVIOUS, KeyState.ACTIVE]
    assert [each.action for each in await world.storage.keys.audit_log(9)] == ["rotate"]
    with pytest.raises(KeysChanged):
        await rotate(world, P.PIN_PEPPER, 4)


async def test_the_active_version_and_one_in_use_are_not_retired(world):
    with pytest.raises(KeyInUse, match="in use") as active:
        await retire(world, P.PAN_INDEX)
    await rotate(world, P.PAN_INDEX)
    with pytest.raises(KeyInUse, match="needed by 1") as needed:
        await retire(world, P.PAN_INDEX)
    with pytest.raises(KeyInUse) as unknown:
        await retire(world, P.PAN_INDEX, 7)
    codes = [each.value.code for each in (active, needed, unknown)]
    assert codes == ["key_active", "key_in_use", "unknown_key"]
    assert await retire(world, P.PAN_INDEX, abandon=True) == 1
    assert await retire(world, P.PAN_INDEX) == 0, "safe to repeat"
    assert await states(world, P.PAN_INDEX) == [KeyState.RETIRED, KeyState.ACTIVE]


async def test_a_card_moves_once_and_only_to_the_active_index(world):
    keys = world.storage.keys
    assert not await keys.move_card_index(world.card, digest("pan"), digest("new"), 2), "there is no 2"
    await rotate(world, P.PAN_INDEX)
    moves = [keys.move_card_index(world.card, digest("pan"), digest("new"), 2) for _ in range(5)]
    assert sorted(await asyncio.gather(*moves)) == [False] * 4 + [True]
    assert (await world.storage.card_by_index(digest("new"))).id == world.card
    assert await world.storage.card_by_index(digest("pan")) is None
    assert (await uses(world, P.PAN_INDEX), await uses(world, P.PAN_INDEX, 2)) == (0, 1)
    await rotate(world, P.PAN_INDEX, 3)
    assert not await keys.move_card_index(world.card, digest("new"), digest("pan"), 2)


async def test_a_card_is_not_added_twice_over_a_rotation(world):
    await rotate(world, P.PAN_INDEX)
    with pytest.raises(StorageError, match="rotated meanwhile"):  # a command that read its keys before
        await world.storage.add_card(new_card(world, "other"), world.now)
    twice = new_card(world, "new", pan_key=2, earlier_indexes=(digest("pan"),))
    with pytest.raises(AlreadyExists):
        await world.storage.add_card(twice, world.now)
    await world.storage.add_card(new_card(world, "other", pan_key=2), world.now)
    assert await uses(world, P.PAN_INDEX, 2) == 1


async def test_a_verifier_moves_once_and_never_to_a_retired_pepper(world):
    keys, index = world.storage.keys, digest("pan")
    await rotate(world, P.PIN_PEPPER)
    assert await keys.move_pin_verifier(world.card, digest("pin"), digest("new"), 2)
    assert not await keys.move_pin_verifier(world.card, digest("pin"), digest("late"), 2)
    card = await world.storage.card_by_index(index)
    assert (card.pin_verifier, card.pin_key) == (digest("new"), 2)
    await retire(world, P.PIN_PEPPER)
    assert not await keys.move_pin_verifier(world.card, digest("new"), digest("old"), 1)
    with pytest.raises(StorageError, match="retired meanwhile"):
        await world.storage.add_card(new_card(world, "other", pin_key=1), world.now)


async def test_a_reset_pin_has_all_its_tries_and_is_told_in_the_audit_log(world):
    while await world.storage.claim_pin_try(world.card) is not None:
        pass
    reset = AuditEntry("hanako", "reset pin", world.card, world.now)
    await world.storage.keys.reset_pin(world.card, digest("new"), 1, reset)
    card = await world.storage.card_by_index(digest("pan"))
    assert (card.pin_tries_left, card.pin_verifier) == (3, digest("new"))
    unknown = CardId(mint("crd", os.urandom(16)))
    with pytest.raises(NotFound):
        await world.storage.keys.reset_pin(unknown, digest("new"), 1, reset)
    again = AuditEntry("taro", "reset pin", world.card, world.now)
    await world.storage.keys.reset_pin(world.card, digest("newer"), 1, again)
    assert await world.storage.keys.audit_log(9) == [again, reset]
    assert await world.storage.keys.audit_log(1) == [again]


async def test_a_reader_keeps_the_version_that_its_code_carried(world):
    old = await enrol_reader(world)
    await rotate(world, P.SIGNING)
    new, late = await enrol_reader(world, 2), await enrol_reader(world, 1)
    assert [each.issuer_key for each in (old, new, late)] == [1, 2, 1]
    assert (await world.storage.reader(new.id)).issuer_key == 2
    assert set(await world.storage.keys.readers_pinning(1, 9)) == {old.id, late.id}
    assert len(await world.storage.keys.readers_pinning(1, 1)) == 1
    assert await uses(world, P.SIGNING) == 2
    for each in (old, late):
        await world.storage.set_reader_blocked(each.id, True)
    assert await retire(world, P.SIGNING) == 0


async def test_a_code_that_is_not_used_keeps_its_key_until_it_ends_and_no_longer(world):
    secret, key = digest("secret"), PublicKey(os.urandom(32))
    code = NewEnrolmentCode(secret, EnrolmentKind.READER, world.cardholder, world.now + 60)
    await world.storage.add_enrolment_code(code)
    await rotate(world, P.SIGNING)
    with pytest.raises(KeyInUse):
        await retire(world, P.SIGNING)
    assert await retire(world, P.SIGNING, abandon=True) == 1
    with pytest.raises(EnrolmentRefused, match="key was replaced"):
        await world.storage.redeem_reader_code(secret, ReaderId(key[:8]), key, "model", world.now)
    assert await world.storage.readers() == []


async def test_webhook_secrets_are_stored_sealed_under_a_version_in_use_and_sealed_anew(world):
    keys, name = world.storage.keys, WebhookEndpointId(mint("whe", os.urandom(16)))

    def endpoint(version):
        return NewWebhookEndpoint(name, world.merchant, "https://a.example", SealedSecret(version, b"s" * 60))

    for version in (2, None):
        with pytest.raises(StorageError, match="sealed"):
            await world.storage.add_webhook_endpoint(endpoint(version), world.now)
    await world.storage.add_webhook_endpoint(endpoint(1), world.now)
    await world.storage.rotate_webhook_secret(name, SealedSecret(1, b"t" * 60), world.now + 9)
    await rotate(world, P.WEBHOOK_SEAL)
    assert await uses(world, P.WEBHOOK_SEAL) == 2
    (stored,) = await keys.stored_secrets()
    assert stored == StoredSecrets(name, b"t" * 60, 1, b"s" * 60, 1)
    anew = StoredSecrets(name, b"u" * 60, 2, b"v" * 60, 2)
    assert await keys.seal_anew([(stored, anew)]) == 1
    assert await keys.seal_anew([(stored, anew)]) == 0, "it is there no more"
    assert await keys.stored_secrets() == [anew]
    assert await retire(world, P.WEBHOOK_SEAL) == 0


async def test_an_api_key_is_replaced_without_a_gap_and_the_one_before_it_ends(world):
    storage, old = world.storage, digest("api key")

    async def owner(key, later=0.0):
        found = await storage.merchant_by_key_digest(key, world.now + later)
        return None if found is None else found.id

    second, third = digest("second"), digest("third")
    await storage.replace_api_key(world.merchant, second, world.now + 60)
    assert await owner(second) == await owner(old) == await owner(old, 59) == world.merchant
    assert await owner(old, 60) is None
    assert await owner(second, 1e6) == world.merchant
    await storage.replace_api_key(world.merchant, third, world.now)
    assert [await owner(key) for key in (old, second, third)] == [None, None, world.merchant]
    with pytest.raises(NotFound):
        await storage.replace_api_key("mer_nobody", digest("fourth"), world.now)
