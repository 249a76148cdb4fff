"""A small server on this machine that takes webhooks in, for development: verified ones are shown."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TextIO

from aiohttp import web

from merchant_terminal.listing import webhook_summary
from merchant_terminal.webhooks import LARGEST_BODY, WebhookError, WebhookEvent, WebhookSecret, verify
from protocol.errors import InputError

PATH = "/webhooks"
REMEMBERED = 1000
"""Message ids, so that one that comes again is told apart."""


@asynccontextmanager
async def listener(
    secret: WebhookSecret,
    port: int,
    show: Callable[[WebhookEvent, bool], None],
    refused: Callable[[str], None],
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[str]:
    """Listen on 127.0.0.1 and give the address; `show` gets each event and whether it came before."""
    seen: dict[str, None] = {}

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            event = verify(secret, request.headers, body, clock())
        except WebhookError as error:
            refused(str(error))
            return web.Response(status=400, text=f"{error}\n")
        again = event.id in seen
        seen[event.id] = None
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]
        show(event, again)
        return web.Response(status=204)

    application = web.Application(client_max_size=LARGEST_BODY)
    application.router.add_post(PATH, take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            raise InputError(
                "cannot_listen", f"Cannot listen on port {port}: {error.strerror}. Give another with --port."
            ) from None
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    finally:
        await runner.cleanup()


async def listen(secret: WebhookSecret, port: int, as_json: bool) -> None:
    """Print webhooks until Ctrl-C: events on standard output, what is refused on standard error."""

    def say(text: str, stream: TextIO) -> None:
        print(text, file=stream, flush=True)

    def show(event: WebhookEvent, again: bool) -> None:
        document = {"id": event.id, "again": again, **event.document}
        say(json.dumps(document) if as_json else webhook_summary(event, again), sys.stdout)

    def refused(why: str) -> None:
        say(f"merchant-terminal: refused a message: {why}", sys.stderr)

    async with listener(secret, port, show, refused) as url:
        say(f"Listening on {url} (Ctrl-C stops it)", sys.stderr)
        await asyncio.Event().wait()
