"""The issuer as a whole on loopback: real HTTP, real WebSocket, real SQLite, and the clients that call it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from issuer_server.handset_session import HandsetSession
from issuer_server.key_custody.file_keys import IssuerKeys, create_keys, load_keys
from issuer_server.payment import Deadlines
from issuer_server.service import RunningIssuer, start
from issuer_server.settings import Settings
from issuer_server.storage.records import HandsetRecord, MerchantRecord
from protocol.identifiers import CardholderId, CardId, PaymentId
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import (
    API_KEY,
    ISSUER,
    NOON,
    PHONE,
    ManualTimers,
    Reader,
    b64,
    enrol_handset,
    enrol_reader,
    populate,
    unb64,
)

TOKEN = "brt_a-handset-token"
BODY = {"phone": PHONE, "amount": 1200, "currency": "JPY", "order": "2 coffees"}


@dataclass
class House:
    """A running issuer, its people, and an HTTP session with a merchant's key in it."""

    issuer: RunningIssuer
    keys: IssuerKeys
    timers: ManualTimers
    merchant: MerchantRecord
    cardholder: CardholderId
    card: CardId
    handset: HandsetRecord
    reader: Reader
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.issuer.url

    async def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **body: Any
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        """One call as the merchant; status, parsed body, response."""
        sent = {"Authorization": f"Bearer {API_KEY}", **(headers or {})}
        async with self.http.request(method, self.url + path, headers=sent, **body) as response:
            return response.status, await response.json(content_type=None), response

    async def create(self, key: str | None = None, **changes: Any) -> tuple[int, Any, aiohttp.ClientResponse]:
        headers = {"Idempotency-Key": key or secrets.token_hex(8)}
        return await self.call("POST", "/v1/payments", headers=headers, json={**BODY, **changes})

    async def charge(self, **changes: Any) -> PaymentId:
        status, payment, _ = await self.create(**changes)
        assert status == 201, payment
        return PaymentId(payment["id"])

    def session(self) -> HandsetSession:
        """The issuer's side of the one phone's session."""
        return self.issuer.channel._phones[self.handset.id].session

    def phone(self, token: str = TOKEN) -> SocketPhone:
        return SocketPhone(self.http, self.url, token, is_gone=lambda: self.issuer.channel.connected == 0)


@dataclass
class SocketPhone:
    """A phone at the real WebSocket, which numbers and acknowledges as docs say."""

    http: aiohttp.ClientSession
    url: str
    token: str
    session: str = ""
    received: int = 0
    sent: int = 0
    frames: list[dict[str, Any]] = field(default_factory=list)
    unread: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: int = 0
    socket: aiohttp.ClientWebSocketResponse | None = None
    is_gone: Callable[[], bool] = lambda: True
    """Whether the issuer knows of no socket any more."""

    async def connect(self) -> dict[str, Any]:
        await self.open()
        hello = {"type": "hello", "version": 1, "session": self.session, "received": self.received}
        await self.raw(json.dumps(hello))
        welcome = await self.next_frame()
        assert welcome["type"] == "welcome", welcome
        if welcome["session"] != self.session:
            self.session, self.received, self.sent = welcome["session"], 0, 0
        return welcome

    async def open(self) -> None:
        self.socket = await self.http.ws_connect(
            self.url + "/v1/handset/channel",
            headers={"Authorization": f"Bearer {self.token}"},
            autoclose=False,
        )

    async def raw(self, text: str) -> None:
        assert self.socket is not None
        await self.socket.send_str(text)

    async def next_frame(self) -> dict[str, Any]:
        assert self.socket is not None
        message = await self.socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        frame: dict[str, Any] = json.loads(message.data)
        return frame

    async def heard(self, kind: str, payment_id: str | None = None, *, ack: bool = True) -> dict[str, Any]:
        """Read on until a frame of this type or kind comes."""
        while True:
            for frame in self.unread:
                if kind in (frame["type"], frame.get("kind")) and payment_id in (
                    None,
                    frame.get("payment_id"),
                ):
                    self.unread.remove(frame)
                    return frame
            frame = await self.next_frame()
            if frame["type"] == "ack":
                self.acknowledged = frame["received"]
                if kind == "ack":
                    return frame
                continue
            assert frame["seq"] == self.received + 1, frame
            self.received += 1
            self.frames.append(frame)
            self.unread.append(frame)
            if ack:
                await self.raw(json.dumps({"type": "ack", "received": self.received}))

    async def say(self, frame_type: str, payment_id: str, **fields: object) -> None:
        self.sent += 1
        frame = {"type": frame_type, "seq": self.sent, "payment_id": payment_id, **fields}
        await self.raw(json.dumps(frame))

    async def closed(self) -> int | None:
        """Read to the end; the close code."""
        assert self.socket is not None
        while True:
            message = await self.socket.receive(timeout=10)
            if message.type is not aiohttp.WSMsgType.TEXT:
                code = self.socket.close_code or message.data
                await self.socket.close()
                return code if isinstance(code, int) else None

    async def drop(self) -> None:
        """The network goes, no close frame, and the issuer has noticed."""
        self.cut()
        await eventually(self.is_gone)

    def cut(self) -> None:
        """The network goes; the issuer may be busy with the last frame yet."""
        assert self.socket is not None
        transport = self.socket._response.connection
        assert transport is not None
        assert transport.transport is not None
        transport.transport.abort()

    async def pay(self, reader: Reader, payment_id: str, pin: str = "1234") -> dict[str, Any]:
        """From the ringing phone to the result."""
        await self.heard("payment_request", payment_id)
        await self.say("approve", payment_id, reader_hello=b64(reader.hello()))
        reader.take_offer(unb64((await self.heard("key_offer", payment_id))["data"]))
        await self.say("from_reader", payment_id, kind="card_envelope", data=b64(reader.swipe()))
        request = unb64((await self.heard("pin_request", payment_id))["data"])
        await self.say(
            "from_reader", payment_id, kind="pin_envelope", data=b64(reader.type_pin(request, pin))
        )
        return await self.heard("result", payment_id)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.socket is not None:
            await self.socket.close()


def settings(folder: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "issuer_id": ISSUER,
        "database": folder / "issuer.db",
        "keys": folder / "keys",
        "port": 0,
        "stop_grace": 0.0,
        "deadlines": Deadlines(),
    }
    return Settings(**{**values, **changes})


@asynccontextmanager
async def house(folder: Path, **changes: Any) -> AsyncIterator[House]:
    """A started issuer with a merchant, a cardholder with a card, a phone and a reader."""
    create_keys(folder / "keys", os.urandom)
    keys = load_keys(folder / "keys")
    timers = ManualTimers()
    async with (
        start(settings(folder, **changes), clock=lambda: NOON, timers=timers) as issuer,
        aiohttp.ClientSession() as http,
    ):
        merchant, cardholder, card = await populate(issuer.storage, keys.cards)
        handset = await enrol_handset(issuer.storage, cardholder, TOKEN)
        reader = Reader(keys.signing.public_key)
        await enrol_reader(issuer.storage, cardholder, reader.key)
        yield House(issuer, keys, timers, merchant, cardholder, card, handset, reader, http)
