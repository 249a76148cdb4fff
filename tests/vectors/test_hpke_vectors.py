"""The vectors of HPKE and ML-KEM: ours opens theirs, and the second computation gives their keys."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import cryptography_vectors
import pytest
from cryptography.hazmat.bindings._rust import openssl as rust_openssl
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from protocol.reseal import SUITE_ID, HybridKey, key_schedule, shared_secret
from protocol.sealing import PaymentKey, seal_card

BASE_MODE, MLKEM768_X25519, HKDF_SHA256 = 0, 0x647A, 1


def _load(path: str) -> Any:
    with cryptography_vectors.open_vector_file(path, "rb") as file:
        return json.load(file)


HYBRID = [
    vector
    for vector in _load("HPKE/hpke-pq-test-vectors.json")
    if (vector["mode"], vector["kem_id"]) == (BASE_MODE, MLKEM768_X25519)
]
AES_256_GCM, CHACHA20_POLY1305 = 2, 3  # the AEADs with a key of 32 bytes, as ours
SCHEDULES = [
    vector
    for vector in (*_load("HPKE/test-vectors.json"), *HYBRID)
    if (vector["mode"], vector["kdf_id"]) == (BASE_MODE, HKDF_SHA256)
    and vector["aead_id"] in (AES_256_GCM, CHACHA20_POLY1305)
]


def _suite_id(vector: dict[str, Any]) -> bytes:
    return b"HPKE" + b"".join(vector[name].to_bytes(2, "big") for name in ("kem_id", "kdf_id", "aead_id"))


def _key_by_key(path: str) -> list[dict[str, bytes]]:
    """A NIST response file: blocks of `name = hex` lines, each begun by its count."""
    with cryptography_vectors.open_vector_file(path, "r") as file:
        blocks = file.read().split("count = ")[1:]
    return [
        {
            name: bytes.fromhex(value)
            for name, _, value in (line.partition(" = ") for line in block.split("\n")[1:])
            if value
        }
        for block in blocks
    ]


MLKEM = _key_by_key("asymmetric/MLKEM/kat_MLKEM_768.rsp")


def _halves(vector: dict[str, Any]) -> tuple[bytes, HybridKey]:
    """KEM 0x647a's private key is a seed of 32 bytes, which SHAKE-256 turns into those of the two halves."""
    seed = hashlib.shake_256(bytes.fromhex(vector["skRm"])).digest(96)
    return seed, HybridKey(
        MLKEM768PrivateKey.from_seed_bytes(seed[:64]), X25519PrivateKey.from_private_bytes(seed[64:])
    )


def test_there_are_vectors() -> None:
    assert [vector["kdf_id"] for vector in HYBRID].count(HKDF_SHA256) == 1
    assert len(HYBRID) == 2
    assert {vector["aead_id"] for vector in SCHEDULES} == {AES_256_GCM, CHACHA20_POLY1305}
    assert len(MLKEM) >= 100


@pytest.mark.parametrize("vector", HYBRID, ids=lambda vector: vector["suite_id"])
def test_the_hybrid_key_and_its_shared_secret(vector: dict[str, Any]) -> None:
    seed, key = _halves(vector)
    assert PaymentKey.from_seed(seed).public_key.hex() == vector["pkRm"]
    assert shared_secret(key, bytes.fromhex(vector["enc"])).hex() == vector["shared_secret"]


@pytest.mark.parametrize("vector", SCHEDULES, ids=lambda vector: _suite_id(vector).hex())
def test_the_key_schedule_and_what_it_opens(vector: dict[str, Any]) -> None:
    schedule = key_schedule(
        bytes.fromhex(vector["shared_secret"]), bytes.fromhex(vector["info"]), _suite_id(vector)
    )
    assert schedule.key.hex() == vector["key"]
    assert schedule.base_nonce.hex() == vector["base_nonce"]
    aead = (AESGCM if vector["aead_id"] == AES_256_GCM else ChaCha20Poly1305)(schedule.key)
    first = vector["encryptions"][0]
    opened = aead.decrypt(schedule.base_nonce, bytes.fromhex(first["ct"]), bytes.fromhex(first["aad"]))
    assert opened.hex() == first["pt"]


def test_our_suite_id_is_ours() -> None:
    ours = {"kem_id": MLKEM768_X25519, "kdf_id": HKDF_SHA256, "aead_id": AES_256_GCM}
    assert _suite_id(ours) == SUITE_ID


@pytest.mark.parametrize("vector", HYBRID, ids=lambda vector: vector["suite_id"])
def test_the_library_opens_what_the_working_group_sealed(vector: dict[str, Any]) -> None:
    kdf = {HKDF_SHA256: hpke.KDF.HKDF_SHA256, 17: hpke.KDF.SHAKE256}[vector["kdf_id"]]
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, kdf, hpke.AEAD.CHACHA20_POLY1305)
    first = vector["encryptions"][0]
    # The vectors have associated data, which the public call does not take.
    opened = rust_openssl.hpke._decrypt_with_aad(
        suite,
        bytes.fromhex(vector["enc"] + first["ct"]),
        hpke.MLKEM768X25519PrivateKey(*_halves(vector)[1]),
        bytes.fromhex(vector["info"]),
        bytes.fromhex(first["aad"]),
    )
    assert opened.hex() == first["pt"]


def test_the_second_computation_agrees_with_the_library_on_our_suite() -> None:
    for number in range(16):
        payment = PaymentKey.from_seed(hashlib.shake_256(bytes([number])).digest(96))
        info = b"blind-relay v1 card" + bytes(number)
        sealed = seal_card(payment.public_key, bytes(128), info)
        assert payment.open_card(sealed, info) == bytes(128)


def test_ml_kem_768() -> None:
    for vector in MLKEM:
        key = MLKEM768PrivateKey.from_seed_bytes(vector["d"] + vector["z"])
        assert key.public_key().public_bytes_raw() == vector["pk"]
        assert key.decapsulate(vector["ct"]) == vector["ss"]
        # A ciphertext that is none gives another secret, not an error (FIPS 203, algorithm 18).
        assert key.decapsulate(vector["ct_n"]) == vector["ss_n"]
