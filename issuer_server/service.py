"""The issuer as a service: storage, application, HTTP and WebSocket, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from issuer_server.api_description.api_docs import add_documentation_routes
from issuer_server.application import IssuerApplication
from issuer_server.bus.local import LocalBus
from issuer_server.bus.port import Bus
from issuer_server.deadlines import LoopTimers, Timers
from issuer_server.enrolment_api import EnrolmentApi
from issuer_server.handset_channel import HandsetChannel
from issuer_server.key_custody.key_opening import prepare_keys
from issuer_server.key_custody.key_ring import KeyRing
from issuer_server.merchant_api import MerchantApi
from issuer_server.merchant_requests import MerchantGate
from issuer_server.operations.http_observing import observing_middleware
from issuer_server.operations.metrics import Levels, Metrics
from issuer_server.operations.observing import Observer, observer_of
from issuer_server.operations.operating_settings import TracingSettings
from issuer_server.operations.operator_pages import health_routes, operator_listener
from issuer_server.operations.readiness import Readiness
from issuer_server.parts import IssuerParts
from issuer_server.problems import problem_middleware
from issuer_server.refund_api import RefundApi
from issuer_server.settings import Settings
from issuer_server.storage.sqlite.adapter import SqliteStorage
from issuer_server.tls import ServerTls, server_tls
from issuer_server.webhooks.delivery import WebhookDelivery
from protocol.errors import InputError
from service_host.service_manager import ServiceManager

if TYPE_CHECKING:
    from issuer_server.operations.tracing import Tracing

_log = logging.getLogger(__name__)

LARGEST_BODY: Final = 16 * 1024
"""Bytes of a request's body."""
_CONNECTIONS_END_WITHIN: Final = 2.0
"""Seconds that open HTTP requests may take once every payment has ended."""
_REST_OF_STOPPING: Final = 20.0
"""Seconds for the rest of a graceful stop: the endings, webhooks under way, sockets, the database."""


@dataclass(frozen=True, slots=True)
class RunningIssuer:
    """A started issuer. `url` is where it listens, without a slash at the end."""

    url: str
    bus: Bus
    application: IssuerApplication
    storage: SqliteStorage
    channel: HandsetChannel
    keys: KeyRing
    tls: ServerTls | None = None
    operator_url: str | None = None

    @property
    def status(self) -> str:
        """One line for whoever runs it: numbers, and nobody's name."""
        return f"{self.application.in_flight} payments in flight, {self.channel.connected} phones connected"


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
    async with AsyncExitStack() as closing:
        metrics = Metrics(wall=clock) if settings.metrics is not None else None
        observers: list[Observer] = [] if metrics is None else [metrics]
        if settings.tracing is not None:
            tracing = _tracing(settings.tracing)
            closing.push_async_callback(tracing.close)
            observers.append(tracing)
        observer = observer_of(observers)
        tls = server_tls(settings)
        storage = await SqliteStorage.open(settings.database, observer)
        closing.push_async_callback(storage.close)
        keys = await prepare_keys(settings, storage.keys, secrets.token_bytes, clock())
        watching = asyncio.create_task(keys.watch())
        closing.callback(watching.cancel)
        bus = LocalBus()
        closing.push_async_callback(bus.close)
        parts = IssuerParts(
            issuer_id=settings.issuer_id,
            keys=keys,
            storage=storage,
            bus=bus,
            timers=timers if timers is not None else LoopTimers(),
            deadlines=settings.deadlines,
            pin_attempts=settings.pin_attempts_per_payment,
            limits=settings.limits,
            clock=clock,
            entropy=entropy,
            observer=observer,
        )
        application = IssuerApplication(parts)
        channel = HandsetChannel(parts)
        await application.start()
        readiness = Readiness(application, storage, lambda: keys.ask(lambda: _try_keys(keys)))
        operator_url = None
        if settings.metrics is not None and metrics is not None:
            counted = metrics

            async def page() -> bytes:
                return counted.page(await _levels(settings, application, channel, storage, tls))

            operator_url = await closing.enter_async_context(
                operator_listener(settings.metrics, tls.context if tls else None, page, readiness)
            )
        runner = web.AppRunner(
            http_application(application, channel, storage, readiness),
            access_log=None,  # addresses hold payment ids, headers hold keys; payments log themselves
            shutdown_timeout=_CONNECTIONS_END_WITHIN,
        )
        delivery = WebhookDelivery(
            storage,
            storage.undelivered,
            bus,
            keys.open_secret,
            private_allowed=settings.webhooks_to_private_addresses,
            kept_for=settings.webhook_days_kept * 86_400.0,
            clock=clock,
            observer=observer,
        )
        await delivery.start()
        closing.push_async_callback(delivery.close, _CONNECTIONS_END_WITHIN)
        await runner.setup()
        closing.push_async_callback(runner.cleanup)
        closing.push_async_callback(channel.close)
        closing.push_async_callback(application.stop, settings.stop_grace)
        context = tls.context if tls else None
        await web.TCPSite(runner, settings.host, settings.port, ssl_context=context).start()
        yield RunningIssuer(
            _url(settings, runner), bus, application, storage, channel, keys, tls, operator_url
        )


def http_application(
    application: IssuerApplication, channel: HandsetChannel, storage: SqliteStorage, readiness: Readiness
) -> web.Application:
    """Every route of the issuer behind the two middlewares."""
    observe = observing_middleware(application.parts.observer)
    app = web.Application(middlewares=[observe, problem_middleware], client_max_size=LARGEST_BODY)
    gate = MerchantGate(application.parts)
    MerchantApi(application, gate).add_routes(app)
    RefundApi(application, gate).add_routes(app)
    EnrolmentApi(application.parts, storage).add_routes(app)
    channel.add_routes(app)
    health_routes(app, readiness)
    add_documentation_routes(app)
    return app


async def run(
    settings: Settings, *, on_started: Callable[[RunningIssuer], None] = lambda issuer: None
) -> None:
    """Serve until SIGTERM or SIGINT, then stop gracefully; a second signal ends the process at once.

    SIGHUP takes up a renewed TLS certificate.
    """
    stop = asyncio.Event()
    manager = ServiceManager()
    loop = asyncio.get_running_loop()

    def stop_then_let_die() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_then_let_die)
    async with start(settings) as issuer:
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, _reload, issuer, manager)
        on_started(issuer)
        manager.ready(lambda: issuer.status)
        await stop.wait()
        manager.stopping(settings.stop_grace + _REST_OF_STOPPING)
        _log.info("stopping: no new payments, %d in flight", issuer.application.in_flight)
    _log.info("stopped")


def _reload(issuer: RunningIssuer, manager: ServiceManager) -> None:
    manager.reloading()
    try:
        if issuer.tls is not None:
            issuer.tls.reload()
            _log.info("the TLS certificate was read again")
    except InputError as error:
        _log.error("the TLS certificate in use stays in use: %s", error)
    manager.ready(lambda: issuer.status)


def _tracing(settings: TracingSettings) -> Tracing:
    try:
        from issuer_server.operations.tracing import (
            open_tracing,  # an extra, which costs half a second to import
        )
    except ModuleNotFoundError:
        raise InputError(
            "no_tracing",
            "[tracing] is set and OpenTelemetry is not installed: run pip install 'blind-relay[tracing]'",
        ) from None
    return open_tracing(settings)


def _try_keys(keys: KeyRing) -> None:
    """What a payment does with them. No message is empty: nobody takes this signature for one."""
    keys.signing.sign(b"")
    keys.cards.pan_index(bytearray(b"0"))


async def _levels(
    settings: Settings,
    application: IssuerApplication,
    channel: HandsetChannel,
    storage: SqliteStorage,
    tls: ServerTls | None,
) -> Levels:
    database = settings.database
    # Sizes by name: opening the file would drop this process's locks on it.
    sizes = {"main": database, "wal": database.with_name(database.name + "-wal")}
    return Levels(
        in_flight=application.states_in_flight(),
        handsets=channel.connected,
        outbox=await storage.outbox(),
        stopping=application.stopping,
        database_bytes={name: path.stat().st_size if path.exists() else 0 for name, path in sizes.items()},
        certificate_ends_at=tls.ends_at if tls is not None else None,
    )


def _url(settings: Settings, runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.has_tls else 'http'}://{shown}:{port}"
