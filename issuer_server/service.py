"""The issuer as a service: storage, application, HTTP and WebSocket, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from issuer_server.api_docs import add_documentation_routes
from issuer_server.application import IssuerApplication
from issuer_server.bus.local import LocalBus
from issuer_server.bus.port import Bus
from issuer_server.deadlines import LoopTimers, Timers
from issuer_server.enrolment_api import EnrolmentApi
from issuer_server.handset_channel import HandsetChannel
from issuer_server.keys import load_keys
from issuer_server.merchant_api import MerchantApi
from issuer_server.merchant_requests import MerchantGate
from issuer_server.parts import IssuerParts
from issuer_server.problems import problem_middleware
from issuer_server.refund_api import RefundApi
from issuer_server.settings import Settings
from issuer_server.storage.sqlite.adapter import SqliteStorage
from issuer_server.webhook_delivery import WebhookDelivery

_log = logging.getLogger(__name__)

LARGEST_BODY: Final = 16 * 1024
"""Bytes of a request's body."""
_CONNECTIONS_END_WITHIN: Final = 2.0
"""Seconds that open HTTP requests may take once every payment has ended."""


@dataclass(frozen=True, slots=True)
class RunningIssuer:
    """A started issuer. `url` is where it listens, without a slash at the end."""

    url: str
    bus: Bus
    application: IssuerApplication
    storage: SqliteStorage
    channel: HandsetChannel


@asynccontextmanager
async def start(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
    timers: Timers | None = None,
) -> AsyncIterator[RunningIssuer]:
    """Start an issuer in this event loop and stop it gracefully at the end of the block.

    What an earlier run left in flight is ended before the first request is taken. Raises KeyFileError,
    StorageError, and OSError where the address cannot be had.
    """
    keys = load_keys(settings.keys)
    async with AsyncExitStack() as closing:
        storage = await SqliteStorage.open(settings.database)
        closing.push_async_callback(storage.close)
        bus = LocalBus()
        closing.push_async_callback(bus.close)
        parts = IssuerParts(
            issuer_id=settings.issuer_id,
            signing_key=keys.signing,
            storage=storage,
            bus=bus,
            cards=keys.cards,
            timers=timers if timers is not None else LoopTimers(),
            deadlines=settings.deadlines,
            pin_attempts=settings.pin_attempts_per_payment,
            limits=settings.limits,
            clock=clock,
            entropy=entropy,
        )
        application = IssuerApplication(parts)
        channel = HandsetChannel(parts)
        await application.start()
        runner = web.AppRunner(
            http_application(application, channel, storage),
            access_log=None,  # addresses hold payment ids, headers hold keys; payments log themselves
            shutdown_timeout=_CONNECTIONS_END_WITHIN,
        )
        delivery = WebhookDelivery(
            storage, bus, private_allowed=settings.webhooks_to_private_addresses, clock=clock
        )
        await delivery.start()
        closing.push_async_callback(delivery.close, _CONNECTIONS_END_WITHIN)
        await runner.setup()
        closing.push_async_callback(runner.cleanup)
        closing.push_async_callback(channel.close)
        closing.push_async_callback(application.stop, settings.stop_grace)
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=_tls(settings))
        await site.start()
        yield RunningIssuer(_url(settings, runner), bus, application, storage, channel)


def http_application(
    application: IssuerApplication, channel: HandsetChannel, storage: SqliteStorage
) -> web.Application:
    """Every route of the issuer behind the one middleware."""
    app = web.Application(middlewares=[problem_middleware], client_max_size=LARGEST_BODY)
    gate = MerchantGate(application.parts)
    MerchantApi(application, gate).add_routes(app)
    RefundApi(application, gate).add_routes(app)
    EnrolmentApi(application.parts, storage).add_routes(app)
    channel.add_routes(app)
    add_documentation_routes(app)
    return app


async def run(
    settings: Settings, *, on_started: Callable[[RunningIssuer], None] = lambda issuer: None
) -> None:
    """Serve until SIGTERM or SIGINT, then stop gracefully; a second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_then_let_die() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_then_let_die)
    async with start(settings) as issuer:
        on_started(issuer)
        await stop.wait()
        _log.info("stopping: no new payments")


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context


def _url(settings: Settings, runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.has_tls else 'http'}://{shown}:{port}"
