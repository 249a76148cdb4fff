"""The phone's face as a page in the browser: a server on loopback, and a WebSocket to every open tab."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, Final, Self

from aiohttp import WSCloseCode, WSMsgType, web

from handset_client.adapters.loopback_peer import is_stranger
from handset_client.effects import Amend, Ending, HowDeclined, Notice, Progress, Shown
from handset_client.issuer_frames import PaymentRequest
from handset_client.page_commands import CommandError, Done, Hello, Press, Setting, parse_command
from handset_client.page_door import (
    LOOPBACK,
    SECRET_BYTES,
    SHORTEST_ATTEMPT,
    Door,
    fetch_fits,
    host_fits,
    origin_fits,
    page_headers,
)
from handset_client.phone_view import PhoneView
from handset_client.ports import Answer
from handset_client.preferences import Preferences
from handset_client.wording import page_texts

_log = logging.getLogger(__name__)

USUAL_PORT: Final = 47860
"""Tried first, so that the browser finds what it was allowed (notifications) after a restart."""
LARGEST_COMMAND: Final = 2048
MOST_TABS: Final = 16
HELLO_WITHIN: Final = 10.0
HEARTBEAT: Final = 20.0
NOTICE_STAYS: Final = 8.0
"""Seconds that a passing word is to be seen, from the first tab that shows it."""
LOCKED_OUT: Final = 4401
"""WebSocket close code (RFC 6455, 7.4.2, private use): no session; the page says what to do."""

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def _keep(_preferences: Preferences) -> None:
    """Nothing is saved."""


def _silent(_shown: Shown) -> None:
    """Nobody looks on."""


class _Tab:
    """One open page. `changed` asks for the state to be sent again; only the newest counts."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.changed = asyncio.Event()


class WebScreen:
    """Screen in the browser. Use as an async context manager; then :meth:`new_link` opens it.

    `save` keeps changed settings and may raise OSError; `show` gets all that is shown, for the
    terminal beside.
    """

    def __init__(
        self,
        view: PhoneView,
        *,
        port: int | None = None,
        save: Callable[[Preferences], None] = _keep,
        show: Callable[[Shown], None] = _silent,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._wanted_port = port
        self._save = save
        self._show = show
        self._unix_time = unix_time
        self._door = Door(lambda: secrets.token_urlsafe(SECRET_BYTES))
        self._files = _read_files()
        self._answers: asyncio.Queue[Answer] = asyncio.Queue()
        self._tabs: set[_Tab] = set()
        self._timed_notice = 0
        self._notice_over: asyncio.TimerHandle | None = None
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[self._guard], client_max_size=LARGEST_COMMAND)
        application.router.add_get("/channel", self._channel)
        application.router.add_get("/session", self._has_session)
        application.router.add_post("/session", self._open_session)
        application.router.add_get("/{file:[a-z_]*(?:\\.[a-z]+)?}", self._file)
        # No access log: its lines would hold nothing but the person's own clicks.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self.port = await self._listen(self._runner)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where the page is; it opens to a link's token only."""
        return f"http://{LOOPBACK}:{self.port}/"

    def new_link(self) -> str:
        """A link that lets one browser in, once. Its token is in the fragment, which no request log has."""
        return f"{self.url}#{self._door.new_link(_now())}"

    def ask(self, request: PaymentRequest, seconds_left: float) -> None:
        """See Screen."""
        self._show(request)
        self._view.ask(request, _now() + seconds_left)
        self._changed()

    def tell(self, what: Progress | Notice) -> None:
        """See Screen."""
        self._show(what)
        self._view.tell(what)
        self._changed()

    def finish(self, ending: Ending) -> None:
        """See Screen."""
        self._show(ending)
        self._view.finish(ending, self._unix_time())
        self._changed()

    def amend(self, ending: Ending) -> None:
        """See Screen."""
        self._show(Amend(ending))
        self._view.amend(ending)
        self._changed()

    async def next_answer(self) -> Answer:
        """See Screen."""
        return await self._answers.get()

    async def close(self) -> None:
        """See Screen: every tab is told that the phone is switched off."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        if self._notice_over is not None:
            self._notice_over.cancel()
        farewells = [self._farewell(tab) for tab in self._tabs]
        await asyncio.gather(*farewells, return_exceptions=True)
        await runner.cleanup()

    async def _farewell(self, tab: _Tab) -> None:
        """Goodbye, and before it the state once more where it says why."""
        try:
            state = self._view.snapshot(_now())
            if state["stopped"] is not None:
                await _send(tab, {"type": "state", **state})
        finally:
            await tab.socket.close(code=WSCloseCode.GOING_AWAY, message=b"switched off")

    # Listening

    async def _listen(self, runner: web.AppRunner) -> int:
        ports = [USUAL_PORT, 0] if self._wanted_port is None else [self._wanted_port]
        for port in ports:
            site = web.TCPSite(runner, LOOPBACK, port)
            try:
                await site.start()
            except OSError:
                if port == ports[-1]:
                    raise
                continue
            break
        address: tuple[str, int] = runner.addresses[0]
        return address[1]

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse what does not come from the page, and put the policy on every answer."""
        try:
            self._check(request)
            response = await handler(request)
        except web.HTTPException as refusal:
            refusal.headers.update(page_headers(self.port))
            raise
        if not response.prepared:
            response.headers.update(page_headers(self.port))
        return response

    def _check(self, request: web.Request) -> None:
        if not host_fits(request.headers.get("Host"), self.port):
            raise web.HTTPMisdirectedRequest(text=f"This phone's page is at {self.url} only.\n")
        if request.method == "POST" or request.path == "/channel":
            if not origin_fits(request.headers, self.port):
                raise web.HTTPForbidden(text="Only the phone's own page may ask for this.\n")
        elif not fetch_fits(request.headers, navigation=request.path == "/"):
            raise web.HTTPForbidden(text="Other sites may not use parts of the phone's page.\n")

    # What it serves

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["file"] or "index.html"
        body = self._files.get(name)
        if body is None:
            raise web.HTTPNotFound(text="There is no such page.\n")
        if name == "index.html":
            # Known before the first pixel is drawn: no flash of the wrong colours.
            body = body.replace(b'lang="en"', f'lang="{self._view.language}"'.encode()).replace(
                b'data-theme="system"', f'data-theme="{self._view.preferences.theme}"'.encode()
            )
        return web.Response(body=body, content_type=_TYPES["." + name.rpartition(".")[2]], charset="utf-8")

    async def _has_session(self, request: web.Request) -> web.Response:
        """Whether the cookie is good, for a page that wants to know before it knocks."""
        known = self._door.knows(request.cookies.get(self._cookie_name))
        # The page needs its words to say that it is locked; they are no secret.
        return web.json_response({"open": known, "texts": dict(page_texts(self._view.language))})

    async def _open_session(self, request: web.Request) -> web.Response:
        """A link's token for a cookie and the session's key."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="Send JSON.\n")
        try:
            body: Any = await request.json()
            token, attempt = body["token"], body["attempt"]
        except (ValueError, LookupError, TypeError, RecursionError):
            # LookupError: no token, or a character set that nobody knows
            token = attempt = None
        if not isinstance(token, str) or not isinstance(attempt, str) or len(attempt) < SHORTEST_ATTEMPT:
            raise web.HTTPBadRequest(text="Send a token and an attempt.\n")
        peer = None if request.transport is None else request.transport.get_extra_info("peername")
        if peer is None or await asyncio.to_thread(is_stranger, peer[:2], (LOOPBACK, self.port)):
            raise web.HTTPForbidden(text="Another user of this computer may not use this phone.\n")
        session = self._door.exchange(token, attempt, _now())
        if session is None:
            raise web.HTTPForbidden(text="This link was used before, or is too old.\n")
        response = web.json_response({"key": session.key})
        response.set_cookie(
            self._cookie_name, session.cookie, httponly=True, samesite="Strict", path="/", secure=False
        )
        return response

    @property
    def _cookie_name(self) -> str:
        return f"blind-relay-{self.port}"

    # The channel to a tab

    async def _channel(self, request: web.Request) -> web.WebSocketResponse:
        cookie = request.cookies.get(self._cookie_name)
        if not self._door.knows(cookie):
            raise web.HTTPForbidden(text="Open the link that handset-client shows in its terminal.\n")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=LARGEST_COMMAND, compress=False)
        socket.headers.update(page_headers(self.port))
        await socket.prepare(request)
        if len(self._tabs) >= MOST_TABS:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many tabs")
            return socket
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                hello = parse_command(await socket.receive_str())
        except (CommandError, TypeError, TimeoutError):
            hello = None  # TypeError: it closed, or sent bytes (aiohttp)
        if not isinstance(hello, Hello) or not self._door.admits(cookie, hello.key):
            await socket.close(code=LOCKED_OUT, message=b"no session")
            return socket
        tab = _Tab(socket)
        self._tabs.add(tab)
        self._time_notice()
        teller = asyncio.create_task(self._keep_told(tab))
        try:
            await self._listen_to(tab)
        finally:
            self._tabs.discard(tab)
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)
        return socket

    async def _listen_to(self, tab: _Tab) -> None:
        async for message in tab.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                command = parse_command(message.data)
            except CommandError:
                await tab.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"not understood")
                return
            match command:
                case Press(payment_id, approved, block):
                    if self._view.may_answer(payment_id, approved, block):
                        how = HowDeclined.AND_BLOCKED if block else HowDeclined.BY_PERSON
                        self._answers.put_nowait(Answer(payment_id, approved, how))
                case Done(payment_id):
                    self._view.close_receipt(payment_id)
                case Setting():
                    self._set(command)
                case Hello():
                    pass
            self._changed()

    async def _keep_told(self, tab: _Tab) -> None:
        """Send the state at once and after every change; a slow tab skips what is no longer true."""
        language = None
        try:
            while True:
                tab.changed.clear()
                if language != self._view.language:
                    language = self._view.language
                    await _send(tab, {"type": "texts", "texts": dict(page_texts(language))})
                await _send(tab, {"type": "state", **self._view.snapshot(_now())})
                await tab.changed.wait()
        except ConnectionError:
            return  # the tab went away; the listening side ends by itself

    def _changed(self) -> None:
        self._time_notice()
        for tab in self._tabs:
            tab.changed.set()

    def _time_notice(self) -> None:
        """Begin a passing word's time. Without a tab nobody sees it, and it has to wait."""
        number = self._view.notice_number
        if not self._tabs or number in (0, self._timed_notice):
            return
        self._timed_notice = number
        if self._notice_over is not None:
            self._notice_over.cancel()
        self._notice_over = asyncio.get_running_loop().call_later(NOTICE_STAYS, self._drop_notice, number)

    def _drop_notice(self, number: int) -> None:
        self._view.drop_notice(number)
        self._changed()

    # Settings

    def _set(self, setting: Setting) -> None:
        before = self._view.preferences
        self._view.preferences = setting.applied_to(before)
        if self._view.preferences == before:
            return
        try:
            self._save(self._view.preferences)
        except OSError as error:
            # They hold until the program ends; only the person's taste is lost with it.
            _log.warning("the settings could not be written: %s", error.strerror)


async def _send(tab: _Tab, content: dict[str, object]) -> None:
    await tab.socket.send_str(json.dumps(content, ensure_ascii=False))


def _read_files() -> dict[str, bytes]:
    folder = resources.files("handset_client") / "phone_screen"
    return {
        entry.name: entry.read_bytes()
        for entry in folder.iterdir()
        if entry.is_file() and "." + entry.name.rpartition(".")[2] in _TYPES
    }


def _now() -> float:
    return asyncio.get_running_loop().time()
