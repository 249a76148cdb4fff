"""Delivers what waits in the outbox: at least once each, retried for days, to public addresses only.

The outbox is the database's: a process that dies between commit and send leaves its messages there, and the
next one sends them. Nothing of an endpoint's answer is kept but its status.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp

from issuer_server.background import Background
from issuer_server.bus.port import WEBHOOKS_WAITING, Bus, Subscription
from issuer_server.key_custody.key_store import KeyStoreError
from issuer_server.operations.observing import NOBODY, Observer
from issuer_server.storage.key_records import SealedSecret
from issuer_server.storage.port import StorageError, UndeliveredWebhooks, WebhookStore
from issuer_server.storage.records import DueWebhook
from issuer_server.webhooks.messages import GONE, RETRY_AFTER, is_public, next_attempt, signature_headers
from protocol.identifiers import WebhookEndpointId

_log = logging.getLogger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds between looks at the outbox: a retry falls due without anybody saying so."""
ANSWER_WITHIN: Final = 15.0
"""Seconds for one attempt, the specification's upper end."""
TIDY_EVERY: Final = 3600.0
"""Seconds between looks for what was given up too long ago."""
AT_ONCE: Final = 64
AT_ONCE_FOR_EACH_ENDPOINT: Final = 4

OpenSecret = Callable[[SealedSecret, str], Awaitable[bytes]]
"""A secret as the endpoint's merchant knows it; raises KeyStoreError."""

_SPREAD: Final = secrets.SystemRandom().random


class PrivateAddressError(OSError):
    """The endpoint's name leads to an address that webhooks may not go to."""


def guarded_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for the address about to be connected to; raises PrivateAddressError.

    Here and not at the look-up of the name: this is the very address, whatever a resolver says next time.
    """
    family, kind, protocol, _, where = address
    if not is_public(str(where[0])):
        raise PrivateAddressError("the endpoint's address is not a public one")
    return socket.socket(family, kind, protocol)


class WebhookDelivery:
    """Start it beside the application; `close` leaves in the outbox what did not arrive."""

    def __init__(
        self,
        store: WebhookStore,
        undelivered: UndeliveredWebhooks,
        bus: Bus,
        open_secret: OpenSecret,
        *,
        private_allowed: bool,
        kept_for: float,
        clock: Callable[[], float],
        spread: Callable[[], float] = _SPREAD,
        observer: Observer = NOBODY,
    ) -> None:
        self._store = store
        self._undelivered = undelivered
        self._bus = bus
        self._open_secret = open_secret
        self._private_allowed = private_allowed
        self._kept_for = kept_for
        self._tidied_at = -TIDY_EVERY
        self._clock = clock
        self._spread = spread
        self._observer = observer
        self._news = asyncio.Event()
        self._background = Background()
        self._under_way: set[tuple[str, WebhookEndpointId]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._subscription: Subscription | None = None
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what an earlier run left."""
        connector = aiohttp.TCPConnector(
            limit=AT_ONCE, force_close=True, socket_factory=None if self._private_allowed else guarded_socket
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN),
        )
        self._subscription = await self._bus.subscribe(WEBHOOKS_WAITING, self._heard)
        self._loop = asyncio.create_task(self._work())

    async def close(self, grace: float) -> None:
        """Give what is under way `grace` seconds, then stop."""
        if self._subscription is not None:
            await self._subscription.end()
        if self._loop is not None:
            try:
                async with asyncio.timeout(grace):
                    await self._send_due()
                    await self._background.idle()
            except (TimeoutError, StorageError):
                pass  # it waits in the outbox for the next start
            self._loop.cancel()
            await asyncio.wait([self._loop])
            self._background.cancel()
            await self._background.idle()
        if self._session is not None:
            await self._session.close()

    async def _heard(self, _: bytes) -> bytes:
        self._news.set()
        return b""

    async def _work(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._send_due()
                await self._tidy()
            except StorageError as error:
                _log.error("webhooks wait: the database failed: %s", type(error).__name__)
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._news.wait()
            except TimeoutError:
                pass  # time to look again

    async def _send_due(self) -> None:
        for due in await self._store.due_webhooks(self._clock(), AT_ONCE_FOR_EACH_ENDPOINT):
            name = (due.message_id, due.endpoint_id)
            if name not in self._under_way and len(self._under_way) < AT_ONCE:
                self._under_way.add(name)
                self._background.start(self._deliver(due))

    async def _tidy(self) -> None:
        """What was given up is not kept for ever: it names people's phones."""
        now = self._clock()
        if now - self._tidied_at < TIDY_EVERY:
            return
        if dropped := await self._undelivered.drop_given_up(now - self._kept_for):
            _log.warning("%d webhooks that were given up long ago are dropped", dropped)
        self._tidied_at = now

    async def _deliver(self, due: DueWebhook) -> None:
        try:
            status, problem = await self._watched(due)
            if status is not None and 200 <= status < 300:
                await self._store.webhook_delivered(due.message_id, due.endpoint_id)
            elif status == GONE:
                _log.warning("webhook endpoint %s says it is gone: disabled", due.endpoint_id)
                await self._store.disable_webhook_endpoint(due.endpoint_id)
            else:
                next_at = next_attempt(due.attempts + 1, self._clock(), self._spread())
                counted = await self._store.webhook_failed(due, next_at, problem)
                if counted and next_at is None:
                    _log.error("webhook %s to %s is given up", due.message_id, due.endpoint_id)
        except StorageError as error:
            # It stays due and goes out again: at least once, not at most.
            _log.error("webhook %s: the database failed: %s", due.message_id, type(error).__name__)
            await asyncio.sleep(LOOK_EVERY)
        finally:
            self._under_way.discard((due.message_id, due.endpoint_id))
            self._news.set()

    async def _watched(self, due: DueWebhook) -> tuple[int | None, str]:
        with self._observer.webhook(due) as attempted:
            status, problem = await self._attempt(due)
            if status is not None and 200 <= status < 300:
                attempted("delivered")
            elif status == GONE:
                attempted("gone")
            else:
                attempted("failed" if due.attempts < len(RETRY_AFTER) else "given_up")
            return status, problem

    async def _attempt(self, due: DueWebhook) -> tuple[int | None, str]:
        """The status that came back, and what was wrong in words for the operator."""
        assert self._session is not None
        payload = due.payload.encode("utf-8")
        try:
            secrets = [await self._open_secret(sealed, due.endpoint_id) for sealed in due.secrets]
        except KeyStoreError as error:
            _log.error("webhook %s: %s", due.message_id, error)
            return None, "its secret does not open"
        headers = signature_headers(due.message_id, self._clock(), payload, secrets)
        try:
            async with self._session.post(
                due.url,
                data=payload,
                headers={**headers, "Content-Type": "application/json", "User-Agent": "blind-relay-issuer"},
                allow_redirects=False,  # a redirect could lead inside
            ) as answer:
                return answer.status, f"HTTP status {answer.status}"
        except TimeoutError:
            return None, "no answer in time"
        except aiohttp.ClientConnectorError as error:
            private = isinstance(error.os_error, PrivateAddressError)
            return None, "not a public address" if private else "cannot connect"
        except (aiohttp.ClientError, ValueError, OSError) as error:
            return None, f"failed: {type(error).__name__}"
