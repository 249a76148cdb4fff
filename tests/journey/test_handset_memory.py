"""Blindness: the whole memory of a real handset process, its files and its logs hold nothing of card and PIN.

Issuer and reader run in this process, so that every secret of theirs is known here; the handset is the real
program. Each search must find what does pass through the phone, or it would prove nothing.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession, CookieJar

from issuer_server.seed import seed
from merchant_terminal.issuer_api import ApiKey, IssuerApi
from merchant_terminal.payment import Charge
from protocol import reseal, sealing
from protocol.money import Money
from tests.journey.parties import JPY, PHONE, Issuer, Times, make_reader
from tests.journey.person import OWN_CARD, Person
from tests.journey.process_memory import found_in_memory
from tests.journey.programs import Program, programs
from virtual_radio.ether import Ether

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/mem")

CANARY = "4000001234567899"
"""Shaped like a card number, and in the order's description: the phone shows it, so it must be found."""
ORDER = f"order {CANARY}"


class Secrets:
    """Everything that must not be in the phone, by name, in the shapes in which programs keep things."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: dict[str, bytes] = {}
        self.sealed: list[bytes] = []
        self._spy(monkeypatch)

    def _spy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Note what opens an envelope, and what comes out, as the issuer's own code handles it."""
        shared_secret, key_schedule = reseal.shared_secret, reseal.key_schedule
        open_envelope: Any = sealing.PaymentKey._open

        def noting_secret(key: Any, encapsulation: bytes) -> bytes:
            secret = shared_secret(key, encapsulation)
            self.seen[f"shared secret {len(self.seen)}"] = secret
            return secret

        def noting_schedule(*arguments: Any) -> reseal.KeySchedule:
            schedule = key_schedule(*arguments)
            self.seen[f"AEAD key {len(self.seen)}"] = schedule.key
            return schedule

        def noting_plaintext(key: Any, sealed: bytes, *rest: Any) -> bytearray:
            plaintext: bytearray = open_envelope(key, sealed, *rest)
            self.sealed.append(sealed)
            self.seen[f"plaintext {len(self.seen)}"] = bytes(plaintext)
            return plaintext

        monkeypatch.setattr(reseal, "shared_secret", noting_secret)
        monkeypatch.setattr(reseal, "key_schedule", noting_schedule)
        monkeypatch.setattr(sealing.PaymentKey, "_open", noting_plaintext)

    def needles(self, seeds: list[bytes], others: Mapping[str, bytes]) -> dict[str, bytes]:
        """All that is secret by now: card and PIN from the beginning, keys as they came to be."""
        pan = OWN_CARD.pan
        shapes = {
            "PAN": pan.encode(),
            "PAN in two-byte characters": pan.encode("utf-16-le"),
            "PAN in four-byte characters": pan.encode("utf-32-le"),
            "PAN in packed digits": bytes.fromhex(pan),
            "track 2": f"{pan}={OWN_CARD.expiry}".encode(),
            "PIN block": b"\x04" + OWN_CARD.pin.encode() + bytes(11),
            **others,
            **self.seen,
        }
        for number, drawn in enumerate(seeds):
            shapes |= {f"ML-KEM seed {number}": drawn[:64], f"X25519 key {number}": drawn[64:]}
        for name, raw in list(shapes.items()):
            if not name.startswith("PAN in"):
                shapes[f"{name} in base64"] = base64.urlsafe_b64encode(raw)[:-4]
                shapes[f"{name} in hex"] = raw.hex().encode()
        return shapes


class Searched:
    """A running phone whose memory is searched, and the hands of its owner."""

    def __init__(self, phone: Program, hidden: Secrets, issuer: Issuer) -> None:
        self.phone = phone
        self._hidden = hidden
        self._issuer = issuer
        self._before = len(hidden.sealed)
        self.wanted: dict[str, bytes] = {}

    async def finds(self) -> set[str]:
        """What of all that is secret by now, and of what does pass through this phone, is in its memory."""
        through = {"canary": CANARY.encode(), "order": ORDER.encode()}
        sealed = self._hidden.sealed[self._before :]
        through |= {f"envelope {number}": each[-96:] for number, each in enumerate(sealed)}
        self.wanted = self._hidden.needles(self._issuer.seeds, {}) | through
        return await asyncio.to_thread(found_in_memory, self.phone._process.pid, self.wanted)


async def approve_in_the_terminal(phone: Program) -> None:
    """Once asked."""
    await asyncio.to_thread(phone.expect, "Type a")
    phone.type("a")


async def approve_on_the_page(phone: Program) -> None:
    """As the page does: exchange the link for a session, and press the button once it is there."""
    [(url, token)] = re.findall(r"screen: (http://[\d.:]+/)#(\S+)", phone.output)
    origin = {"Origin": url.rstrip("/")}
    async with ClientSession(cookie_jar=CookieJar(unsafe=True), headers=origin) as browser:
        knock = {"token": token, "attempt": secrets.token_hex(16)}
        async with browser.post(url + "session", json=knock) as opened:
            key = (await opened.json())["key"]
        async with browser.ws_connect(url + "channel") as socket:
            await socket.send_json({"type": "hello", "key": key})
            while not (state := await socket.receive_json()).get("payment"):
                pass
            press = {"type": "press", "payment_id": state["payment"]["id"], "approved": True}
            await socket.send_json(press)
            while not (await socket.receive_json())["payment"]["answered"]:
                pass


FACES: Final = {
    "terminal": (("--terminal",), approve_in_the_terminal),
    "page": (("--no-browser", "--port", "0"), approve_on_the_page),
}


async def test_the_phone_never_holds_card_pin_or_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With each of its faces, one after the other: a payment, searched while it runs and when it is over."""
    hidden, person = Secrets(monkeypatch), Person(pin=None)
    issuer = Issuer(tmp_path / "issuer", Times())
    await issuer.start()
    try:
        store, now = issuer.running.storage, time.time()
        seeded = await seed(store, issuer.keys.cards, issuer.address(), secrets.token_bytes, now)
        owner = seeded.cardholders[0]
        async with Ether() as ether, IssuerApi(issuer.url, ApiKey(seeded.merchant.api_key)) as merchant:
            reader = await make_reader(owner.reader_code, tmp_path / "reader", ether, person, Times().reader)
            await reader.service.start()
            port = await ether.serve("127.0.0.1", 0)
            with programs(tmp_path) as them:
                await asyncio.to_thread(them.run, "handset-client", "enrol", typed=owner.handset_code.text())
                for face, (options, approve) in FACES.items():
                    radio = ("--verbose", "--radio", f"virtual:127.0.0.1:{port}")
                    phone = them.start(face, "handset-client", "run", *options, *radio)
                    await asyncio.to_thread(phone.expect, "Waiting to be called")
                    searched = Searched(phone, hidden, issuer)
                    charge = Charge(PHONE, Money(1200, JPY), ORDER)
                    payment = await merchant.create_payment(charge, secrets.token_hex(16))
                    await approve(phone)

                    # During: the card is read, sealed, carried and opened; the PIN is awaited.
                    await asyncio.to_thread(phone.expect, "Enter your PIN")
                    assert await searched.finds() == {"canary", "order", "envelope 0"}
                    assert any(name.startswith("AEAD key") for name in searched.wanted)

                    # After: the PIN came through as well, and the payment is settled.
                    person.keypad.type(OWN_CARD.pin)
                    while not payment.over:
                        payment = await merchant.payment(payment.id, wait=10)
                    assert payment.completed
                    await asyncio.to_thread(phone.expect, "Paid ")
                    found = await searched.finds()
                    assert {"canary", "order"} <= found <= {"canary", "order", "envelope 0", "envelope 1"}
                    assert {"envelope 0", "envelope 1"} <= searched.wanted.keys()

                    assert phone.stop() == 0
                    _nothing_in_files_and_logs(tmp_path, phone.output, searched.wanted)
            await reader.service.stop()
    finally:
        await issuer.stop()


def _nothing_in_files_and_logs(folder: Path, output: str, wanted: Mapping[str, bytes]) -> None:
    stored = {path: path.read_bytes() for path in (folder / "home").rglob("*") if path.is_file()}
    assert {path.name for path in stored} >= {"credential.json", "payments.jsonl"}
    history = b"".join(content for path, content in stored.items() if path.name == "payments.jsonl")
    assert CANARY.encode() in history
    assert CANARY in output
    for name, needle in wanted.items():
        if name not in ("canary", "order"):
            assert needle not in output.encode(), f"{name} in the log"
            assert not [path for path, content in stored.items() if needle in content], f"{name} in a file"
    [credential] = [content for path, content in stored.items() if path.name == "credential.json"]
    token = credential.split(b'"token": "')[1].split(b'"')[0].decode()
    assert token not in output
