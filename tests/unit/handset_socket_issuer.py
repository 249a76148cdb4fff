"""An issuer of a few lines for the tests of the phone's WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from handset_client.adapters.issuer_socket import SocketSettings
from protocol.identifiers import PaymentId, mint

TOKEN = "a-token-of-this-test"
QUICK = SocketSettings(
    connect=2, welcome=0.5, send=1, heartbeat=5, first_pause=0.01, longest_pause=0.05, farewell=0.5
)


def payment(number: int) -> PaymentId:
    return PaymentId(mint("pay", bytes([number]) * 16))


class Issuer:
    """An issuer's end that keeps the channel's rules, until a test tells it to break them."""

    def __init__(self) -> None:
        self.session = "s1"
        self.phone_frames: list[dict[str, Any]] = []
        self.received = 0
        self.to_phone: list[dict[str, Any]] = []
        self.acknowledged = 0
        self.hellos: list[dict[str, Any]] = []
        self.headers: list[str | None] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.refuse_with: int | None = None
        self.after_each: Callable[[], Any] = lambda: None
        self.changed = asyncio.Event()
        self.say_welcome = True
        self.acknowledge = True

    def forget(self) -> None:
        """As after a restart."""
        self.session += "'"
        self.phone_frames, self.received, self.to_phone, self.acknowledged = [], 0, [], 0

    async def push(self, frame: dict[str, Any]) -> None:
        self.to_phone.append({**frame, "seq": len(self.to_phone) + 1})
        for socket in self.sockets:
            if not socket.closed:
                await socket.send_str(json.dumps(self.to_phone[-1]))

    async def cut(self) -> None:
        """Break the TCP connection, with no close frame."""
        for socket in self.sockets:
            request = socket._req
            if request is not None and request.transport is not None:
                request.transport.abort()
        self.sockets.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers.get("Authorization"))
        if self.refuse_with is not None:
            return web.Response(status=self.refuse_with)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            await self.take(socket, json.loads(message.data))
            self.changed.set()
            self.changed = asyncio.Event()
        return socket

    async def take(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "hello":
                self.hellos.append(frame)
                if not self.say_welcome:
                    return
                known = frame["session"] == self.session
                if known:
                    self.acknowledged = frame["received"]
                else:
                    self.forget() if frame["session"] else None
                welcome = {
                    "type": "welcome",
                    "session": self.session,
                    "received": self.received,
                    "phone": "+81901234567",
                }
                await socket.send_str(json.dumps(welcome))
                for waiting in self.to_phone[self.acknowledged :]:
                    await socket.send_str(json.dumps(waiting))
            case "ack":
                self.acknowledged = max(self.acknowledged, frame["received"])
            case _:
                if frame["seq"] == self.received + 1:
                    self.received += 1
                    self.phone_frames.append(frame)
                if self.acknowledge:
                    await socket.send_str(json.dumps({"type": "ack", "received": self.received}))
        result = self.after_each()
        if asyncio.iscoroutine(result):
            await result

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await self.changed.wait()
