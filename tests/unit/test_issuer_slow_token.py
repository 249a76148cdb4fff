"""Keys at the other end of a wire that is slow, or cut: nobody waits for it who asks nothing of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from issuer_server.key_custody import key_opening, token_thread
from issuer_server.key_custody.file_keys import FileKeyStore
from issuer_server.key_custody.key_store import KeyStoreError
from issuer_server.key_custody.token_thread import TokenThread
from protocol.identifiers import KeyId, PublicKey
from protocol.signing import Signer
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import b64
from tests.unit.issuer_house import House, house

ROOT = Path(__file__).resolve().parents[2]


class Wire:
    """Lets every question through, or none."""

    def __init__(self) -> None:
        self.is_up = threading.Event()
        self.is_up.set()
        self.reached = threading.Event()

    def passes(self) -> None:
        self.reached.set()
        self.is_up.wait()


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
        monkeypatch.setattr(token_thread, "TOKEN_PATIENCE", 0.05)
        await phone.say("approve", cut, reader_hello=b64(home.reader.hello()))
        assert (await phone.heard("result", cut))["reason"] == "internal_error"
        assert "keys: the token has not answered within 0.05 s: see to it" in caplog.text
        monkeypatch.undo()
        wire.is_up.set()
        await eventually(lambda: not is_silent(home))
        result = await phone.pay(home.reader, await home.charge())
        assert result["outcome"] == "completed"


async def test_a_phone_that_asks_for_an_outcome_which_cannot_be_signed_keeps_its_socket(
    home: House, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.phone() as phone:
        paid = await home.charge()
        await phone.pay(home.reader, paid)
        unwanted = await home.charge()
        await phone.heard("payment_request", unwanted)
        wire.is_up.clear()
        monkeypatch.setattr(token_thread, "TOKEN_PATIENCE", 0.05)
        await phone.say("outcome_wanted", paid)
        await phone.say("decline", unwanted, reason="declined")
        assert (await phone.heard("result", paid))["outcome"] == "completed"
        async with asyncio.timeout(10):
            while (await home.call("GET", f"/v1/payments/{unwanted}?wait=1"))[1]["reason"] != "declined":
                pass
        assert [frame.get("kind") for frame in phone.frames].count("outcome") == 1, "that of the payment"


def is_silent(home: House) -> bool:
    thread = home.issuer.keys._aside
    assert thread is not None
    return thread.is_silent


async def test_only_the_first_waits_for_a_token_that_does_not_answer(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = TokenThread()
    with monkeypatch.context() as hasty:
        hasty.setattr(token_thread, "TOKEN_PATIENCE", 0.01)
        wire.is_up.clear()
        with pytest.raises(KeyStoreError):
            await thread.ask(wire.passes)
    async with asyncio.timeout(5):  # half of the patience
        with pytest.raises(KeyStoreError, match="has not answered within 10 s"):
            await thread.ask(lambda: pytest.fail("asked what nobody waits for"))
    wire.is_up.set()
    await eventually(lambda: not thread.is_silent)
    assert await thread.ask(lambda: "an answer") == "an answer"


HUNG = """
import asyncio, threading
from issuer_server.key_custody import token_thread

token_thread.TOKEN_PATIENCE = 0.01
try:
    asyncio.run(token_thread.TokenThread().ask(threading.Event().wait))
except token_thread.KeyStoreError:
    print("not answered")
"""


def test_a_process_ends_with_a_question_that_the_token_never_answers() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HUNG], capture_output=True, text=True, cwd=ROOT, timeout=20, check=True
    )
    assert ended.stdout == "not answered\n"
