"""Simulated shops and cardholders: phones at the real WebSocket, readers that seal, shops that ask again."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from protocol.identifiers import PhoneNumber, PublicKey
from protocol.messages import Verdict
from protocol.signing import digest
from tests.unit.issuer_bench import PIN, Reader, b64, unb64

HABITS = {"pay": 12, "wrong pin": 2, "decline": 1, "cancel": 2, "refund": 3}
"""What shops and people do, and how often."""
AGAIN_AFTER = 0.02
"""Seconds until a shop or a phone tries to reach the issuer again."""


@dataclass
class Seen:
    """What people were told, and what they had to ask for again. A contradiction is noted as such."""

    endings: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    refunds: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    frames: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def ended(self, payment_id: str, status: str, by: str) -> None:
        """Somebody was told that the payment ended so."""
        self.counts[f"{by} told {status}"] += 1
        if self.endings.setdefault(payment_id, status) != status:
            self.wrong.append(f"{payment_id}: {by} told {status} after {self.endings[payment_id]}")

    def named(self, key: str, payment_id: str) -> None:
        """A key was answered with a payment."""
        if self.keys.setdefault(key, payment_id) != payment_id:
            self.wrong.append(f"{key}: {payment_id} after {self.keys[key]}")

    def refunded(self, key: str, refund_id: str) -> None:
        """A key was answered with a refund."""
        if self.refunds.setdefault(key, refund_id) != refund_id:
            self.wrong.append(f"{key}: {refund_id} after {self.refunds[key]}")


class Cardholder:
    """A phone and a reader that take each call as `intent` says."""

    def __init__(
        self,
        url: str,
        http: aiohttp.ClientSession,
        token: str,
        phone: PhoneNumber,
        pan: str,
        seed: bytes,
        issuer_key: PublicKey,
        seen: Seen,
    ) -> None:
        self.phone, self.pan = phone, pan
        self.pin, self.wrong_pin = PIN, "9999"
        self.intent = "pay"
        self._url, self._http, self._token = url, http, token
        self._seed, self._issuer_key, self._seen = seed, issuer_key, seen
        self._readers: dict[str, Reader] = {}
        self._session, self._received, self._sent = "", 0, 0
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Be connected, for ever."""
        while True:
            try:
                await self._one_socket()
            except (aiohttp.ClientError, ConnectionError):
                pass  # the issuer is dead or dying
            finally:
                self.connected.clear()
            await asyncio.sleep(AGAIN_AFTER)

    async def _one_socket(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        async with self._http.ws_connect(self._url + "/v1/handset/channel", headers=headers) as socket:
            hello = {"type": "hello", "version": 1, "session": self._session, "received": self._received}
            await socket.send_str(json.dumps(hello))
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                self._seen.frames.append(message.data)
                frame = json.loads(message.data)
                self._socket = socket
                if frame["type"] == "welcome":
                    await self._welcomed(frame)
                elif frame["type"] != "ack":
                    assert frame["seq"] == self._received + 1, frame
                    self._received += 1
                    await socket.send_str(json.dumps({"type": "ack", "received": self._received}))
                    await self._hear(frame)

    async def _welcomed(self, welcome: dict[str, Any]) -> None:
        if welcome["session"] != self._session:
            self._session, self._received, self._sent = welcome["session"], 0, 0
        self.connected.set()
        for payment_id, reader in self._readers.items():
            if reader.last_sent:  # its display says "do not pay again": the phone asks for the outcome
                await self._say("outcome_wanted", payment_id)

    async def _say(self, frame_type: str, payment_id: str, **fields: object) -> None:
        assert self._socket is not None
        self._sent += 1
        frame = {"type": frame_type, "seq": self._sent, "payment_id": payment_id, **fields}
        await self._socket.send_str(json.dumps(frame))

    async def _from_reader(self, payment_id: str, kind: str, signed: bytes) -> None:
        await self._say("from_reader", payment_id, kind=kind, data=b64(signed))

    async def _hear(self, frame: dict[str, Any]) -> None:
        payment_id = frame.get("payment_id", "")
        match frame.get("kind") or frame["type"]:
            case "payment_request" if self.intent == "decline":
                await self._say("decline", payment_id, reason="declined")
            case "payment_request":
                reader = self._readers[payment_id] = Reader(self._issuer_key, self._seed)
                await self._say("approve", payment_id, reader_hello=b64(reader.hello()))
            case "key_offer":
                reader = self._readers[payment_id]
                reader.take_offer(unb64(frame["data"]))
                await self._from_reader(payment_id, "card_envelope", reader.swipe(self.pan))
            case "pin_request":
                reader = self._readers[payment_id]
                pin = self.wrong_pin if self.intent == "wrong pin" else self.pin
                await self._from_reader(
                    payment_id, "pin_envelope", reader.type_pin(unb64(frame["data"]), pin)
                )
            case "outcome":
                self._read_outcome(payment_id, unb64(frame["data"]))
            case "result":
                self._seen.ended(payment_id, frame["outcome"], "phone")
            case "error":
                self._seen.counts[f"phone told error {frame['code']}"] += 1

    def _read_outcome(self, payment_id: str, signed: bytes) -> None:
        reader = self._readers.pop(payment_id, None)
        if reader is None or not reader.signed_offer:
            return  # it came again; or is of an offer that could not be stored, hence not sent
        outcome = reader.read_outcome(signed)
        if outcome.verdict is Verdict.APPROVED:
            assert outcome.last_message == digest(reader.last_sent)
        status = "completed" if outcome.verdict is Verdict.APPROVED else "not_settled"
        self._seen.ended(payment_id, status, "reader")


class Shop:
    """Charges one cardholder again and again, and lets no answer be lost."""

    def __init__(
        self,
        url: str,
        http: aiohttp.ClientSession,
        api_key: str,
        name: str,
        customer: Cardholder,
        seen: Seen,
        chance: random.Random,
    ) -> None:
        self._url, self._http, self._name = url, http, name
        self.headers = {"Authorization": f"Bearer {api_key}"}
        self._customer, self._seen, self._chance = customer, seen, chance
        self._count = 0
        self.habits = HABITS

    async def run(self, until: asyncio.Event) -> None:
        """Payments until told to close, the last one brought to its end."""
        while not until.is_set():
            await self.one_payment()

    async def one_payment(self) -> None:
        """Asked for, and seen to its end."""
        self._count += 1
        key = f"{self._name}-{self._count}"
        what = self._chance.choices(list(self.habits), weights=list(self.habits.values()))[0]
        self._customer.intent = what if what in ("wrong pin", "decline") else "pay"
        body = {
            "phone": self._customer.phone,
            "amount": 1 + self._count % 3,
            "currency": "JPY",
            "order": "tea",
        }
        payment = await self._insist("POST", "/v1/payments", key, body)
        payment_id: str = payment["id"]
        self._seen.named(key, payment_id)
        if what == "cancel":
            await asyncio.sleep(self._chance.random() * 0.02)
            await self._insist("POST", f"/v1/payments/{payment_id}/cancel", None, None, accept=(409,))
        while payment["status"] not in ("completed", "not_settled"):
            payment = await self._insist("GET", f"/v1/payments/{payment_id}?wait=20", None, None)
        self._seen.ended(payment_id, payment["status"], "shop")
        self._seen.counts[f"ended {payment['reason'] or 'completed'}"] += 1
        if what == "refund" and payment["status"] == "completed":
            again = f"{key}-refund"
            refund = await self._insist("POST", f"/v1/payments/{payment_id}/refunds", again, {"amount": 1})
            self._seen.refunded(again, refund["id"])

    async def _insist(
        self,
        method: str,
        path: str,
        key: str | None,
        body: dict[str, object] | None,
        accept: tuple[int, ...] = (),
    ) -> dict[str, Any]:
        """Ask until there is an answer: no connection, a cut one and 503 mean again, with the same key."""
        headers = self.headers if key is None else {**self.headers, "Idempotency-Key": key}
        while True:
            try:
                request = self._http.request(method, self._url + path, headers=headers, json=body)
                async with request as answer:
                    self._seen.answers.append(await answer.text())
                    found: dict[str, Any] = json.loads(self._seen.answers[-1])
                if answer.status in (200, 201) or answer.status in accept:
                    return found
                if answer.status != 503:
                    self._seen.wrong.append(f"{method} {path}: {answer.status} {found}")
                    raise AssertionError(self._seen.wrong[-1])
                self._seen.counts["shop answered 503"] += 1
            except aiohttp.ClientConnectorError:
                self._seen.counts["shop found nobody"] += 1
            except (aiohttp.ClientError, ConnectionError, json.JSONDecodeError):
                self._seen.counts["shop lost the answer"] += 1
            await asyncio.sleep(AGAIN_AFTER)
