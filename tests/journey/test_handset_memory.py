"""Blindness: the whole memory of a real handset process, its files and its logs hold nothing of card and PIN.

Issuer and reader run in this process, so that every secret of theirs is known here; the handset is the real
program. Each search must find what does pass through the phone, or it would prove nothing.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from issuer_server.seed import seed
from merchant_terminal.issuer_api import ApiKey, IssuerApi
from merchant_terminal.payment import Charge
from protocol import reseal, sealing
from protocol.money import Money
from tests.journey.parties import JPY, PHONE, Issuer, Times, make_reader
from tests.journey.person import OWN_CARD, Person
from tests.journey.process_memory import found_in_memory
from tests.journey.programs import programs
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


async def test_the_phone_never_holds_card_pin_or_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
                radio = f"virtual:127.0.0.1:{port}"
                phone = them.start(
                    "phone", "handset-client", "run", "--terminal", "--verbose", "--radio", radio
                )
                await asyncio.to_thread(phone.expect, "Waiting to be called")

                async def in_phone() -> set[str]:
                    return await asyncio.to_thread(found_in_memory, phone._process.pid, wanted)

                def all_needles() -> dict[str, bytes]:
                    through = {"canary": CANARY.encode(), "order": ORDER.encode()}
                    through |= {f"envelope {n}": sealed[-96:] for n, sealed in enumerate(hidden.sealed)}
                    return hidden.needles(issuer.seeds, {}) | through

                charge = Charge(PHONE, Money(1200, JPY), ORDER)
                payment = await merchant.create_payment(charge, secrets.token_hex(16))
                await asyncio.to_thread(phone.expect, "Type a")
                phone.type("a")

                # During: the card is read, sealed, carried and opened; the PIN is awaited.
                await asyncio.to_thread(phone.expect, "Enter your PIN")
                wanted = all_needles()
                assert any(name.startswith("AEAD key") for name in wanted)
                assert await in_phone() == {"canary", "order", "envelope 0"}

                # After: the PIN came through as well, and the payment is settled.
                person.keypad.type(OWN_CARD.pin)
                while not payment.over:
                    payment = await merchant.payment(payment.id, wait=10)
                assert payment.completed
                await asyncio.to_thread(phone.expect, "Paid ")
                wanted = all_needles()
                assert sum(name.startswith("plaintext") and " in " not in name for name in wanted) == 2
                assert await in_phone() <= {"canary", "order", "envelope 0", "envelope 1"}
                assert {"canary", "order"} <= await in_phone()

                assert phone.stop() == 0
            await reader.service.stop()
            _nothing_in_files_and_logs(tmp_path, phone.output, wanted)
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
