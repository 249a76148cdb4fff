"""Every place for keys keeps, uses and destroys them alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer_server.key_custody.key_store import KeyCabinet, KeyPurpose, KeyStore, KeyStoreError
from protocol.signing import verify
from tests.contracts.key_places import PLACES, needs_softhsm

MACS = [KeyPurpose.PAN_INDEX, KeyPurpose.PIN_PEPPER, KeyPurpose.WEBHOOK_SEAL]


@pytest.fixture(params=["files", pytest.param("token", marks=needs_softhsm)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    """A place with no key of ours in it."""
    made = PLACES[request.param](tmp_path)
    yield made
    for purpose in KeyPurpose:
        for version in (1, 2, 3):
            made.destroy(purpose, version)


@pytest.mark.parametrize("purpose", list(KeyPurpose))
def test_a_key_is_there_from_its_making_to_its_end(store: KeyStore, purpose: KeyPurpose) -> None:
    assert not store.has(purpose, 1)
    store.make(purpose, 1)
    assert store.has(purpose, 1)
    assert not store.has(purpose, 2)
    assert not any(store.has(other, 1) for other in KeyPurpose if other is not purpose)
    store.destroy(purpose, 1)
    store.destroy(purpose, 1)
    assert not store.has(purpose, 1)


@pytest.mark.parametrize("purpose", list(KeyPurpose))
def test_making_a_key_that_is_there_leaves_it(store: KeyStore, purpose: KeyPurpose) -> None:
    cabinet = KeyCabinet([store])
    first = cabinet.make(purpose, 2)
    assert cabinet.make(purpose, 2) == first
    store.make(purpose, 2)
    assert cabinet.check_value(purpose, 2) == first
    assert cabinet.make(purpose, 3) != first


def test_what_it_signs_verifies_under_its_public_key_alone(store: KeyStore) -> None:
    for version in (1, 2):
        store.make(KeyPurpose.SIGNING, version)
    one, two = store.signer(1), store.signer(2)
    signed = one.sign(b"a payload")
    assert verify(one.public_key, signed) == b"a payload"
    assert one.sign(b"a payload") == signed, "an outcome signed again must be the same bytes"
    assert store.signer(1).public_key == one.public_key
    assert two.public_key != one.public_key


@pytest.mark.parametrize("purpose", MACS)
def test_a_code_depends_on_key_domain_and_value_and_on_nothing_else(
    store: KeyStore, purpose: KeyPurpose
) -> None:
    for version in (1, 2):
        store.make(purpose, version)
    one, two = store.mac(purpose, 1), store.mac(purpose, 2)
    code = one.mac(b"domain\0", b"4111111111111111")
    assert len(code) == 32
    assert code == store.mac(purpose, 1).mac(b"domain\0", bytearray(b"4111111111111111"))
    assert code == one.mac(b"domain\0", memoryview(b"x4111111111111111")[1:])
    others = [
        two.mac(b"domain\0", b"4111111111111111"),
        one.mac(b"other\0", b"4111111111111111"),
        one.mac(b"domain\0", b"4111111111111112"),
    ]
    assert len({code, *others}) == 4


def test_a_key_that_is_not_there_is_said_with_what_to_do(store: KeyStore) -> None:
    cabinet = KeyCabinet([store])
    for purpose in KeyPurpose:
        with pytest.raises(KeyStoreError, match="restore it from its backup"):
            cabinet.check_value(purpose, 1)
    for use in (lambda: store.signer(1), lambda: store.mac(MACS[0], 1).mac(b"d\0", b"v")):
        with pytest.raises(KeyStoreError, match="restore it from"):
            use()


def test_nothing_of_a_key_shows(store: KeyStore, tmp_path: Path) -> None:
    for purpose in KeyPurpose:
        store.make(purpose, 1)
    shown = repr([store, store.signer(1), *(store.mac(purpose, 1) for purpose in MACS)])
    for path in (tmp_path / "keys").glob("*"):
        assert path.read_bytes().hex() not in shown
        assert repr(path.read_bytes())[2:-1] not in shown
    assert "831274" not in shown
