"""Enrolment over HTTP: codes are used once, and a reader must hold the key that it names."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from issuer_server.enrolments import secret_digest
from issuer_server.storage.records import NewEnrolmentCode
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import IssuerId, reader_id_text
from protocol.messages import ReaderEnrolment
from protocol.signing import SigningKey, sign_message
from tests.unit.issuer_bench import ISSUER, NOON, PHONE, b64
from tests.unit.issuer_house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


async def code(home: House, kind: EnrolmentKind, *, life: float = 60) -> bytes:
    secret = os.urandom(16)
    await home.issuer.storage.add_enrolment_code(
        NewEnrolmentCode(secret_digest(secret), kind, home.cardholder, NOON + life)
    )
    return secret


def proof(
    key: SigningKey, challenge: bytes, *, issuer: IssuerId = ISSUER, names: SigningKey | None = None
) -> str:
    named = (names or key).public_key
    return b64(sign_message(key, ReaderEnrolment(issuer, challenge, named, "test reader")))


async def test_a_handset_enrols_once_and_can_be_called(home: House) -> None:
    secret = await code(home, EnrolmentKind.HANDSET)
    status, enrolled, _ = await home.call("POST", "/v1/enrolments/handset", json={"secret": b64(secret)})
    assert (status, enrolled["phone"]) == (201, PHONE)
    assert set(enrolled) == {"handset_id", "token", "phone"}
    async with home.phone(enrolled["token"]) as phone:
        await home.charge()
        await phone.heard("payment_request")
    status, problem, _ = await home.call("POST", "/v1/enrolments/handset", json={"secret": b64(secret)})
    assert (status, problem["code"]) == (409, "enrolment_code_used")


async def test_a_reader_enrols_by_proof_of_possession_once(home: House) -> None:
    key = SigningKey.from_seed(os.urandom(32))
    body = {"proof": proof(key, await code(home, EnrolmentKind.READER))}
    status, enrolled, _ = await home.call("POST", "/v1/enrolments/reader", json=body)
    assert (status, enrolled) == (201, {"reader_id": reader_id_text(key.key_id)})  # type: ignore[arg-type]
    body = {"proof": proof(key, await code(home, EnrolmentKind.READER))}
    status, problem, _ = await home.call("POST", "/v1/enrolments/reader", json=body)
    assert (status, problem["code"]) == (409, "reader_already_enrolled")


async def test_a_key_that_somebody_else_holds_cannot_be_enrolled(home: House) -> None:
    mallory, victim = SigningKey.from_seed(os.urandom(32)), SigningKey.from_seed(os.urandom(32))
    secret = await code(home, EnrolmentKind.READER)
    for bad in (
        proof(mallory, secret, names=victim),
        proof(mallory, secret, issuer=IssuerId("other.example")),
    ):
        status, problem, _ = await home.call("POST", "/v1/enrolments/reader", json={"proof": bad})
        assert (status, problem["code"]) == (422, "invalid_proof")
    status, _, _ = await home.call("POST", "/v1/enrolments/reader", json={"proof": proof(mallory, secret)})
    assert status == 201  # the code was not used up by what was refused


@pytest.mark.parametrize(
    ("path", "body", "status", "code_"),
    [
        ("handset", {"secret": b64(bytes(16))}, 404, "enrolment_code_unknown"),
        ("handset", {"secret": b64(bytes(15))}, 422, "invalid_secret"),
        ("handset", {"secret": "!"}, 422, "invalid_secret"),
        ("handset", {"secret": 7}, 422, "invalid_secret"),
        ("handset", {}, 422, "invalid_secret"),
        ("handset", {"secret": b64(bytes(16)), "more": 1}, 422, "unknown_field"),
        ("reader", {"proof": b64(b"noise")}, 422, "invalid_proof"),
        ("reader", {"proof": b64(b"")}, 422, "invalid_proof"),
        ("reader", {"proof": b64(bytes(4096))}, 422, "invalid_proof"),
        ("reader", {"proof": "A"}, 422, "invalid_proof"),
    ],
)
async def test_what_cannot_be_redeemed(
    home: House, path: str, body: dict[str, object], status: int, code_: str
) -> None:
    got, problem, _ = await home.call("POST", f"/v1/enrolments/{path}", json=body)
    assert (got, problem["code"]) == (status, code_)


async def test_an_expired_code(home: House) -> None:
    secret = await code(home, EnrolmentKind.HANDSET, life=-1)
    status, problem, _ = await home.call("POST", "/v1/enrolments/handset", json={"secret": b64(secret)})
    assert (status, problem["code"]) == (410, "enrolment_code_expired")
