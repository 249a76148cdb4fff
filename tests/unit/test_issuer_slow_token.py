"""Keys at the other end of a wire that is slow, or cut: nobody waits for it who asks nothing of it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from issuer_server.key_custody import key_opening, key_ring
from issuer_server.key_custody.file_keys import FileKeyStore
from protocol.identifiers import KeyId, PublicKey
from protocol.signing import Signer
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import b64
from tests.unit.issuer_house import House, house


class Wire:
    """Lets every question through, or none."""

    def __init__(self) -> None:
        self.is_up = threading.Event()
        self.is_up.set()
        self.reached = threading.Event()

    def passes(self) -> None:
        self.reached.set()
        assert self.is_up.wait(timeout=10)


class FarSigner:
    """A signing key behind the wire."""

    def __init__(self, key: Signer, wire: Wire) -> None:
        self._key = key
        self._wire = wire
        self.key_id: KeyId = key.key_id
        self.public_key: PublicKey = key.public_key

    def sign(self, payload: bytes) -> bytes:
        self._wire.passes()
        return self._key.sign(payload)


def far_keys(wire: Wire) -> Callable[..., FileKeyStore]:
    """The keys of the test's folder, as a token would hold them."""

    class FarKeyStore(FileKeyStore):
        @property
        def outside(self) -> bool:
            return True

        def signer(self, version: int) -> Signer:
            return FarSigner(super().signer(version), wire)

    return FarKeyStore


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    made = Wire()
    monkeypatch.setattr(key_opening, "FileKeyStore", far_keys(made))
    return made


@pytest.fixture
async def home(tmp_path: Path, wire: Wire) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made
        wire.is_up.set()


async def test_while_one_payment_waits_for_the_token_others_go_on(home: House, wire: Wire) -> None:
    async with home.phone() as phone:
        first = await home.charge()
        await phone.heard("payment_request", first)
        wire.is_up.clear()
        wire.reached.clear()
        await phone.say("approve", first, reader_hello=b64(home.reader.hello()))
        second = await home.charge()
        await phone.heard("payment_request", second)
        await eventually(wire.reached.is_set)
        wire.is_up.set()
        await phone.heard("key_offer", first)


async def test_a_token_that_does_not_answer_ends_the_payment_and_the_next_one_is_paid(
    home: House, wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with home.phone() as phone:
        cut = await home.charge()
        await phone.heard("payment_request", cut)
        wire.is_up.clear()
        monkeypatch.setattr(key_ring, "TOKEN_PATIENCE", 0.05)
        await phone.say("approve", cut, reader_hello=b64(home.reader.hello()))
        assert (await phone.heard("result", cut))["reason"] == "internal_error"
        assert "keys: the token has not answered within 0.05 s: see to it" in caplog.text
        monkeypatch.undo()
        wire.is_up.set()
        result = await phone.pay(home.reader, await home.charge())
        assert result["outcome"] == "completed"
