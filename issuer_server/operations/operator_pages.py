"""What whoever watches the issuer asks, on a listener of its own: /metrics, /healthz, /readyz."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from issuer_server.operations.http_observing import observing_middleware
from issuer_server.operations.metrics import CONTENT_TYPE
from issuer_server.operations.observing import NOBODY
from issuer_server.operations.operating_settings import MetricsSettings
from issuer_server.operations.readiness import Readiness
from issuer_server.problems import problem_middleware

_CONNECTIONS_END_WITHIN: Final = 1.0

Page = Callable[[], Awaitable[bytes]]


def health_routes(app: web.Application, readiness: Readiness) -> None:
    """`/healthz`: the process answers. `/readyz`: it can take a payment; else a problem (503)."""

    async def health(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(request: web.Request) -> web.Response:
        await readiness.check()
        return web.json_response({"status": "ready"})

    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)


@asynccontextmanager
async def operator_listener(
    settings: MetricsSettings, tls: ssl.SSLContext | None, page: Page, readiness: Readiness
) -> AsyncIterator[str]:
    """Serve until the end of the block; gives the listener's address. TLS beyond this machine alone.

    Raises OSError where the address cannot be had.
    """

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=await page(), headers={"Content-Type": CONTENT_TYPE})

    # Its own requests are not counted: it is asked by machines, all the time.
    app = web.Application(middlewares=[observing_middleware(NOBODY), problem_middleware])
    app.router.add_get("/metrics", metrics)
    health_routes(app, readiness)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CONNECTIONS_END_WITHIN)
    await runner.setup()
    try:
        secured = None if settings.is_loopback else tls
        await web.TCPSite(runner, settings.host, settings.port, ssl_context=secured).start()
        host, port = runner.addresses[0][:2]
        shown = f"[{host}]" if ":" in host else host
        yield f"{'http' if secured is None else 'https'}://{shown}:{port}"
    finally:
        await runner.cleanup()
