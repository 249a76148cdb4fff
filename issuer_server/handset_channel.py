"""The phones' WebSocket, `GET /v1/handset/channel`: text JSON frames, resumable, one socket a phone.

A session outlives its sockets for `SESSION_MEMORY`, so that a phone in a tunnel loses nothing. What phones
say about a payment goes over the bus to its owner; what is for a phone comes over the bus to its session.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSMsgType, web

from issuer_server import handset_frames as frames
from issuer_server.authorization import bearer_digest
from issuer_server.background import Background
from issuer_server.bus.port import (
    HANDSET_ARRIVED,
    NoResponders,
    Subscription,
    call_subject,
    handset_subject,
    payment_subject,
)
from issuer_server.deadlines import Timer
from issuer_server.handset_desk import MOST_LOGGED
from issuer_server.handset_session import HandsetSession, SessionBroken
from issuer_server.late_words import answer_late
from issuer_server.parts import IssuerParts
from issuer_server.problems import Problem, unauthorized
from issuer_server.storage.records import HandsetRecord
from protocol.identifiers import Digest, HandsetId

_log = logging.getLogger(__name__)

CHANNEL_VERSION: Final = 1
HEARTBEAT: Final = 15.0
"""Seconds between pings; phones' networks forget a silent connection after some 30 s."""
HELLO_WITHIN: Final = 10.0
"""Seconds for the first frame."""
SESSION_MEMORY: Final = 900.0
"""Seconds that a session without a socket is kept: longer than any payment can take."""
LARGEST_FRAME: Final = 16 * 1024
"""Bytes; the largest message in base64url takes a third of it."""

CLOSE_WITHIN: Final = 2.0
"""Seconds that a phone has to answer a close frame."""

CLOSE_REPLACED: Final = 4001
CLOSE_BROKEN: Final = 4400
CLOSE_BLOCKED: Final = 4403
CLOSE_NO_HELLO: Final = 4408
CLOSE_STOPPING: Final = 1001  # RFC 6455 section 7.4.1: going away
CLOSE_FAULT: Final = 1011


@dataclass(slots=True, eq=False)
class _Phone:
    """A session and what carries it now."""

    handset: HandsetRecord
    session: HandsetSession
    token: Digest
    hearing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from looking at a frame's number to counting it: it may come again over a newer socket."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    socket: web.WebSocketResponse | None = None
    frames_in: Subscription | None = None
    calls_in: Subscription | None = None
    expiry: Timer | None = None
    dropped_frames: int = 0


class HandsetChannel:
    """All phones whose sockets, or sessions, are in this process."""

    def __init__(self, parts: IssuerParts) -> None:
        self._parts = parts
        self._phones: dict[HandsetId, _Phone] = {}
        self._background = Background()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v1/handset/channel", self.connect)

    @property
    def connected(self) -> int:
        """Phones with a socket."""
        return sum(phone.socket is not None for phone in self._phones.values())

    async def close(self) -> None:
        """Close every socket (1001) and forget every session."""
        for phone in tuple(self._phones.values()):
            await self._forget(phone, CLOSE_STOPPING, b"the issuer is stopping")
        await self._background.idle()

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """One socket, from its upgrade to its end. Problems before: unauthorized, handset_blocked."""
        digest = bearer_digest(request)
        handset = await self._parts.storage.handset_by_token_digest(digest)
        if handset is None:
            raise unauthorized("This handset's token is not known: enrol the handset again.")
        if handset.blocked:
            raise Problem(403, "handset_blocked", "This handset is blocked: ask the card's issuer.")
        socket = web.WebSocketResponse(
            compress=False, heartbeat=HEARTBEAT, max_msg_size=LARGEST_FRAME, timeout=CLOSE_WITHIN
        )
        if not socket.can_prepare(request):
            raise Problem(426, "websocket_required", "This address is a WebSocket.", {"Upgrade": "websocket"})
        await socket.prepare(request)
        try:
            await self._converse(socket, handset, digest)
        except SessionBroken as error:
            _log.warning("handset %s: %s", handset.id, error, extra={"handset_id": handset.id})
            await socket.close(code=CLOSE_BROKEN, message=str(error).encode())
        except ConnectionResetError:
            pass  # the phone went while we wrote; its session waits
        except Exception as error:  # noqa: BLE001 - after the upgrade no problem can be answered
            _log.error("handset %s: channel failed: %s", handset.id, type(error).__name__)
            await socket.close(code=CLOSE_FAULT, message=b"internal error")
        return socket

    async def _converse(self, socket: web.WebSocketResponse, handset: HandsetRecord, digest: Digest) -> None:
        try:
            hello = _object((await socket.receive(timeout=HELLO_WITHIN)).data)
        except TimeoutError:
            await socket.close(code=CLOSE_NO_HELLO, message=b"say hello first")
            return
        if hello.get("type") != "hello" or hello.get("version") != CHANNEL_VERSION:
            raise SessionBroken(f"the first frame must be a hello of version {CHANNEL_VERSION}")
        phone, resumed = await self._session(handset, digest, hello)
        self._attach(phone, socket)
        session, pump = phone.session, None
        try:
            welcome = {"type": "welcome", "session": session.id, "received": session.received}
            await socket.send_str(json.dumps({**welcome, "phone": handset.phone}))
            pump = asyncio.create_task(self._pump(phone, socket))
            await self._announce(phone, resumed)
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    raise SessionBroken("frames are text")
                await self._receive(phone, socket, _object(message.data))
        finally:
            if pump is not None:
                pump.cancel()
            await self._detach(phone, socket)

    async def _session(
        self, handset: HandsetRecord, digest: Digest, hello: dict[str, Any]
    ) -> tuple[_Phone, bool]:
        known = self._phones.get(handset.id)
        if (
            known is not None
            and hello.get("session") == known.session.id
            and known.session.can_resume(hello.get("received"))
        ):
            known.session.acknowledge(hello["received"])
            known.handset, known.token = handset, digest
            return known, True
        if known is not None:
            await self._forget(known, CLOSE_REPLACED, b"another session of this handset began")
        phone = _Phone(handset, HandsetSession(self._parts.entropy(16).hex()), digest)
        self._phones[handset.id] = phone

        async def push(frame: bytes) -> bytes:
            if not await self._push(phone, frame):
                raise NoResponders(handset.id)
            return b""

        phone.frames_in = await self._parts.bus.subscribe(handset_subject(handset.id), push)
        return phone, False

    def _attach(self, phone: _Phone, socket: web.WebSocketResponse) -> None:
        if phone.expiry is not None:
            phone.expiry.cancel()
            phone.expiry = None
        former, phone.socket, phone.news = phone.socket, socket, asyncio.Event()
        if former is not None:
            self._close(former, CLOSE_REPLACED, b"another connection of this handset began")

    async def _detach(self, phone: _Phone, socket: web.WebSocketResponse) -> None:
        if phone.socket is not socket:
            return  # a newer socket has taken over
        phone.socket = None
        if phone.calls_in is not None:
            await phone.calls_in.end()
        if self._phones.get(phone.handset.id) is phone:
            phone.expiry = self._parts.timers.call_later(
                SESSION_MEMORY, lambda: self._background.start(self._forget(phone, CLOSE_BROKEN, b""))
            )

    async def _announce(self, phone: _Phone, resumed: bool) -> None:
        """From here on the phone can be called."""
        handset = phone.handset

        async def called(_: bytes) -> bytes:
            if not await self._still_admitted(phone):
                raise NoResponders(handset.id)
            return handset.id.encode("ascii")

        if phone.calls_in is not None:
            await phone.calls_in.end()
        phone.calls_in = await self._parts.bus.subscribe(call_subject(handset.cardholder_id), called)
        word = {"handset_id": handset.id, "cardholder_id": handset.cardholder_id, "resumed": resumed}
        await self._parts.bus.publish(HANDSET_ARRIVED, json.dumps(word).encode())

    async def _still_admitted(self, phone: _Phone) -> bool:
        """Whether the handset has not been blocked since it connected; one that has is sent away."""
        now = await self._parts.storage.handset_by_token_digest(phone.token)
        if now is not None and not now.blocked:
            return True
        await self._forget(phone, CLOSE_BLOCKED, b"this handset is blocked")
        return False

    async def _pump(self, phone: _Phone, socket: web.WebSocketResponse) -> None:
        """Send what the phone has not got, in order, and what comes after."""
        sent, news = phone.session.acknowledged, phone.news
        try:
            while True:
                news.clear()
                for seq, text in phone.session.frames_after(sent):
                    await socket.send_str(text)
                    sent = seq
                await news.wait()
        except ConnectionResetError:
            pass  # the reading side sees the end as well, and detaches

    async def _receive(self, phone: _Phone, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame.get("type") == "ack":
            phone.session.acknowledge(frame.get("received"))
            return
        seq = frame.get("seq")
        async with phone.hearing:
            if phone.session.is_new(seq):
                if not await self._still_admitted(phone):
                    return
                for reply in await self._ask_owner(phone, frame):
                    await self._push(phone, reply)
                # Counted after it was dealt with: what could not be dealt with comes again.
                phone.session.took(seq)
        await socket.send_str(f'{{"type":"ack","received":{phone.session.received}}}')

    async def _ask_owner(self, phone: _Phone, frame: dict[str, Any]) -> tuple[bytes, ...]:
        handset = phone.handset
        try:
            message = frames.read_phone_message(frame)
        except frames.FrameError as error:
            phone.dropped_frames += 1
            if phone.dropped_frames <= MOST_LOGGED:
                more = "; more of them are not told" if phone.dropped_frames == MOST_LOGGED else ""
                _log.warning("handset %s: frame dropped: %s%s", handset.id, error.code, more)
            return (frames.error(error.code, str(error)),)
        word = json.dumps({"handset_id": handset.id, "frame": frame}).encode()
        try:
            reply = await self._parts.bus.request(payment_subject(message.payment_id), word)
        except NoResponders:
            return await answer_late(
                self._parts.storage, self._parts.keys, handset, message, self._parts.clock()
            )
        return (reply,) if reply else ()

    async def _push(self, phone: _Phone, frame: bytes) -> bool:
        """Whether the session took the frame; one that is full is given up."""
        try:
            phone.session.push(frame)
        except SessionBroken as error:
            _log.warning("handset %s: %s", phone.handset.id, error, extra={"handset_id": phone.handset.id})
            await self._forget(phone, CLOSE_BROKEN, str(error).encode())
            return False
        phone.news.set()
        return True

    async def _forget(self, phone: _Phone, code: int, why: bytes) -> None:
        if self._phones.get(phone.handset.id) is phone:
            del self._phones[phone.handset.id]
        for subscription in (phone.frames_in, phone.calls_in):
            if subscription is not None:
                await subscription.end()
        if phone.expiry is not None:
            phone.expiry.cancel()
        if phone.socket is not None:
            self._close(phone.socket, code, why)

    def _close(self, socket: web.WebSocketResponse, code: int, why: bytes) -> None:
        """Not awaited: a phone that is gone does not answer, and nobody shall wait for it."""
        self._background.start(socket.close(code=code, message=why))


def _object(data: object) -> dict[str, Any]:
    """A frame as a JSON object; raises SessionBroken."""
    try:
        value = json.loads(data) if isinstance(data, str) else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise SessionBroken("a frame is a JSON object in a text message")
    return value
