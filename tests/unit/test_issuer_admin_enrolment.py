"""One-time codes: a phone's token, a reader's proof of possession, and what a proof must not be."""

from __future__ import annotations

import os

import pytest

from issuer_server.enrolments import (
    CODE_LIFE,
    IssuerAddress,
    enrol_handset,
    enrol_reader,
    issue_code,
    secret_digest,
)
from issuer_server.storage.port import EnrolmentRefused
from issuer_server.storage.sqlite import SqliteStorage
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.identifiers import IssuerId, reader_id
from protocol.messages import ReaderEnrolment
from protocol.signing import SigningKey, sign_message
from tests.contracts.world import World

ISSUER = IssuerId("issuer.test")
ADDRESS = IssuerAddress("http://127.0.0.1:8480", ISSUER, SigningKey.from_seed(b"s" * 32).public_key)
READER = SigningKey.from_seed(b"r" * 32)


@pytest.fixture
async def world(tmp_path):
    storage = await SqliteStorage.open(tmp_path / "db")
    world = World(storage)
    await world.populate()
    yield world
    await storage.close()


async def code_for(world, kind):
    return await issue_code(world.storage, kind, world.cardholder, ADDRESS, os.urandom(16), world.now)


def proof(code, key=READER, issuer=ISSUER, signer=None, challenge=None):
    message = ReaderEnrolment(issuer, challenge or code.secret, key.public_key, "Pi reader")
    return sign_message(signer or key, message)


async def test_a_phone_trades_its_code_for_a_token_kept_as_a_hash(world):
    code = EnrolmentCode.parse((await code_for(world, EnrolmentKind.HANDSET)).text())
    enrolled = await enrol_handset(world.storage, code.secret, os.urandom(16), os.urandom(32), world.now)
    assert enrolled.phone == world.phone
    assert enrolled.token not in repr(enrolled)
    found = await world.storage.handset_by_token_digest(secret_digest(enrolled.token))
    assert (found.id, found.cardholder_id) == (enrolled.id, world.cardholder)


async def test_a_reader_enrols_by_signing_its_challenge(world):
    code = await code_for(world, EnrolmentKind.READER)
    reader = await enrol_reader(world.storage, ISSUER, proof(code), world.now)
    assert (reader.id, reader.cardholder_id) == (reader_id(READER.public_key), world.cardholder)
    assert reader.public_key == READER.public_key
    assert await world.storage.reader(reader.id) == reader


async def test_proofs_that_prove_nothing_leave_the_code_good(world):
    code = await code_for(world, EnrolmentKind.READER)
    other = SigningKey.from_seed(b"o" * 32)
    good = proof(code)
    for bad in (
        proof(code, signer=other),  # a key that the sender does not hold
        proof(code, issuer=IssuerId("issuer.other")),
        READER.sign(b"\xa0"),
        b"",
        b"\xd2",
        good[:-1],
        good + b"\x00",
        os.urandom(200),
    ):
        with pytest.raises(EnrolmentRefused) as refusal:
            await enrol_reader(world.storage, ISSUER, bad, world.now)
        assert refusal.value.code == "invalid_proof"
    for index in range(len(good)):
        flipped = good[:index] + bytes([good[index] ^ 1]) + good[index + 1 :]
        with pytest.raises(EnrolmentRefused):
            await enrol_reader(world.storage, ISSUER, flipped, world.now)
    assert await world.storage.readers() == []
    await enrol_reader(world.storage, ISSUER, good, world.now)


async def test_a_challenge_that_nobody_issued_is_refused(world):
    code = await code_for(world, EnrolmentKind.READER)
    with pytest.raises(EnrolmentRefused) as refusal:
        await enrol_reader(world.storage, ISSUER, proof(code, challenge=os.urandom(16)), world.now)
    assert refusal.value.code == "enrolment_code_unknown"


async def test_a_key_is_enrolled_once_even_by_another_cardholder(world):
    await enrol_reader(world.storage, ISSUER, proof(await code_for(world, EnrolmentKind.READER)), world.now)
    other = World(world.storage, cardholder=await world.add_cardholder("+819000000000"))
    with pytest.raises(EnrolmentRefused) as refusal:
        await enrol_reader(
            world.storage, ISSUER, proof(await code_for(other, EnrolmentKind.READER)), world.now
        )
    assert refusal.value.code == "reader_already_enrolled"


async def test_codes_live_for_a_day(world):
    code = await code_for(world, EnrolmentKind.READER)
    with pytest.raises(EnrolmentRefused) as refusal:
        await enrol_reader(world.storage, ISSUER, proof(code), world.now + CODE_LIFE)
    assert refusal.value.code == "enrolment_code_expired"
    await enrol_reader(world.storage, ISSUER, proof(code), world.now + CODE_LIFE - 1)
