"""The WebSocket to the issuer, on aiohttp: reconnects with back-off, resumes by sequence number."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import random
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, NoReturn

import aiohttp

from handset_client.adapters.system_errors import words_of
from handset_client.effects import Notice, NoticeKind, TurnedAway, WhyAway
from handset_client.issuer_frames import Json, PhoneFrame, parse_issuer_frame
from handset_client.issuer_session import Delivered, IssuerSession, OutOfStep, SessionEvent, Welcomed
from handset_client.ports import CredentialRefusedError, IssuerEvent, IssuerUp
from protocol.errors import MessageError
from protocol.identifiers import PaymentId
from protocol.text import shown

_log = logging.getLogger(__name__)

CHANNEL_PATH: Final = "/v1/handset/channel"
LARGEST_FRAME: Final = 16 * 1024
"""Bytes of JSON. The largest honest frame carries 4096 bytes in base64url."""
REPLACED: Final = 4001
"""Close code: another socket came with the same credential."""

REFUSALS: Final = {401: TurnedAway.CREDENTIAL_UNKNOWN, 403: TurnedAway.BLOCKED}

WORTH_SAYING: Final = 2.0
"""Seconds from which a person wants to know how long the next pause is."""


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """Patience with the issuer's socket, in seconds."""

    connect: float = 10.0
    welcome: float = 10.0
    send: float = 10.0
    heartbeat: float = 15.0
    first_pause: float = 0.5
    longest_pause: float = 30.0
    farewell: float = 2.0
    """How long close() lets the last frames leave."""

    def __post_init__(self) -> None:
        for name in ("connect", "welcome", "send", "heartbeat", "first_pause", "longest_pause", "farewell"):
            if not 0 < getattr(self, name) <= 600:
                raise ValueError(f"socket setting {name!r} must be above 0 and at most 600 seconds")


class _LinkBrokenError(Exception):
    """This socket cannot go on; the text is fit for the log."""

    def __init__(self, why: WhyAway, words: str) -> None:
        super().__init__(words)
        self.why = why


class IssuerSocket:
    """IssuerLink over a WebSocket to `url` (http or https, without path).

    `jitter` gives a number from 0 to 1; each pause is half fixed and half drawn, so that the phones of
    an issuer that restarts do not all come back at the same moment.
    """

    def __init__(
        self,
        url: str,
        token: str,
        settings: SocketSettings,
        *,
        tls: ssl.SSLContext | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._url = url.rstrip("/") + CHANNEL_PATH
        self._headers = {"Authorization": f"Bearer {token}"}
        self._settings = settings
        self._tls = tls
        self._jitter = jitter
        self._session = IssuerSession()
        self._events: asyncio.Queue[IssuerEvent | BaseException] = asyncio.Queue()
        self._work_to_do = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told_away = False

    def start(self) -> None:
        """See IssuerLink."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_connected(), name="issuer socket")
            self._task.add_done_callback(self._report_end)

    def send(self, frame: PhoneFrame) -> None:
        """See IssuerLink."""
        self._session.send(frame.to_json())
        self._work_to_do.set()

    async def next_event(self) -> IssuerEvent:
        """See IssuerLink."""
        event = await self._events.get()
        if isinstance(event, BaseException):
            raise event
        return event

    async def close(self) -> None:
        """See IssuerLink."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(self._settings.farewell):
                # Without a connection as well: it may be coming back this moment.
                while not (self._session.all_acknowledged or self._task.done()):
                    self._acknowledged.clear()
                    await self._acknowledged.wait()
        except TimeoutError:
            _log.info("closing with frames that the issuer has not acknowledged")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def unheard(self) -> Collection[PaymentId]:
        """See IssuerLink."""
        return self._session.unheard

    async def _keep_connected(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as http:
            failures = 0
            while True:
                try:
                    async with asyncio.timeout(self._settings.connect):
                        socket = await self._open(http)
                    async with socket:
                        await self._converse(socket)
                except aiohttp.WSServerHandshakeError as error:
                    self._look_at_refusal(error)
                except (aiohttp.ClientError, OSError, _LinkBrokenError) as error:
                    self._tell_away(_why_away(error), words_of(error))
                failures = 0 if self._session.welcomed else failures + 1
                self._session.disconnected()
                pause = self._pause(failures)
                if failures > 1 and pause >= WORTH_SAYING:
                    self._events.put_nowait(Notice(NoticeKind.ISSUER_RETRY, str(round(pause))))
                await asyncio.sleep(pause)

    async def _open(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        return await http.ws_connect(
            self._url,
            heartbeat=self._settings.heartbeat,
            compress=0,  # deflate doubled the CPU of a key message, and keys do not compress
            max_msg_size=LARGEST_FRAME,
            ssl=self._tls if self._tls is not None else True,
            timeout=aiohttp.ClientWSTimeout(ws_close=self._settings.farewell),
        )

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse) -> NoReturn:
        """One socket from hello to its end, which is always an exception."""
        await self._put(socket, self._session.hello())
        try:
            async with asyncio.timeout(self._settings.welcome):
                self._take(await self._get(socket))
        except TimeoutError:
            raise _LinkBrokenError(WhyAway.NO_ANSWER, "the issuer does not answer") from None
        writer = asyncio.create_task(self._write(socket), name="issuer socket writer")
        try:
            while True:
                self._take(await self._get(socket))
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while True:
                self._work_to_do.clear()
                for frame in self._session.frames_to_send():
                    await self._put(socket, frame)
                await self._work_to_do.wait()
        except (aiohttp.ClientError, OSError) as error:
            # The reading side waits in receive(): closing the socket is what wakes it.
            _log.info("writing to the issuer: %s", type(error).__name__)
            await socket.close()

    async def _put(self, socket: aiohttp.ClientWebSocketResponse, frame: Json) -> None:
        async with asyncio.timeout(self._settings.send):
            await socket.send_str(json.dumps(frame, separators=(",", ":")))

    async def _get(self, socket: aiohttp.ClientWebSocketResponse) -> Json:
        message = await socket.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                return self._decode(message.data)
            case aiohttp.WSMsgType.CLOSE | aiohttp.WSMsgType.CLOSED | aiohttp.WSMsgType.CLOSING:
                if socket.close_code == REPLACED:
                    raise CredentialRefusedError(TurnedAway.REPLACED)
                raise _LinkBrokenError(WhyAway.HUNG_UP, "the issuer closed the connection")
            case aiohttp.WSMsgType.ERROR:
                raise _LinkBrokenError(WhyAway.HUNG_UP, f"it broke: {type(message.data).__name__}")
            case _:
                raise _LinkBrokenError(WhyAway.IN_TROUBLE, "the issuer sent something other than text")

    def _decode(self, text: str) -> Json:
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            raise _LinkBrokenError(WhyAway.IN_TROUBLE, "the issuer sent something other than JSON") from None
        if not isinstance(frame, dict):
            raise _LinkBrokenError(WhyAway.IN_TROUBLE, "the issuer sent JSON that is no frame")
        return frame

    def _take(self, frame: Json) -> None:
        try:
            events = self._session.receive(frame)
        except MessageError as error:
            raise _LinkBrokenError(WhyAway.IN_TROUBLE, f"it broke the channel's rules: {error}") from None
        for event in events:
            self._report(event)
        self._work_to_do.set()
        if self._session.all_acknowledged:
            self._acknowledged.set()

    def _report(self, event: SessionEvent) -> None:
        match event:
            case Welcomed(fresh, phone):
                self._told_away = False
                self._events.put_nowait(Notice(NoticeKind.ISSUER_CONNECTED, phone))
                self._events.put_nowait(IssuerUp(fresh, phone))
            case Delivered(frame):
                try:
                    self._events.put_nowait(parse_issuer_frame(frame))
                except MessageError as error:
                    # Numbered and acknowledged like any other, or it would come again for ever.
                    self._events.put_nowait(Notice(NoticeKind.ISSUER_COMPLAINED, f"unusable frame: {error}"))
            case OutOfStep(expected, got):
                raise _LinkBrokenError(WhyAway.HUNG_UP, f"frame {expected} is missing before {got}")

    def _look_at_refusal(self, error: aiohttp.WSServerHandshakeError) -> None:
        if error.status in REFUSALS:
            raise CredentialRefusedError(REFUSALS[error.status]) from None
        self._tell_away(WhyAway.IN_TROUBLE, f"the issuer answered {error.status}")

    def _tell_away(self, why: WhyAway, words: str) -> None:
        _log.info("issuer: %s", shown(words, 200))
        if not self._told_away:
            self._told_away = True
            self._events.put_nowait(Notice(NoticeKind.ISSUER_AWAY, why))

    def _pause(self, failures: int) -> float:
        whole = min(self._settings.first_pause * 2.0 ** min(failures, 16), self._settings.longest_pause)
        return whole * (1 + self._jitter()) / 2

    def _report_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._events.put_nowait(error)


def _why_away(error: Exception) -> WhyAway:
    match error:
        case _LinkBrokenError():
            return error.why
        case aiohttp.ClientConnectorCertificateError():
            return WhyAway.CERTIFICATE
        case aiohttp.ClientSSLError():
            return WhyAway.IN_TROUBLE  # it does not speak TLS, or none that this computer takes
        case aiohttp.ClientConnectorDNSError():
            return WhyAway.NO_SUCH_NAME
        case TimeoutError() | OSError(errno=errno.ETIMEDOUT):
            return WhyAway.NO_ANSWER
        case OSError(errno=errno.ECONNREFUSED):
            return WhyAway.REFUSED
        case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH | errno.ENETDOWN):
            return WhyAway.NO_NETWORK
        case OSError(errno=errno.ECONNRESET | errno.EPIPE) | aiohttp.ServerDisconnectedError():
            return WhyAway.HUNG_UP
        case _:
            return WhyAway.FAILED
