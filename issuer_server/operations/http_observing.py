"""Around every request: its id, its log line, and what counts and traces it."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from secrets import token_hex
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from issuer_server.operations.observing import Observer
from issuer_server.operations.request_context import CURRENT_REQUEST
from issuer_server.problems import PROBLEM_CODE, REQUEST_ID, REQUEST_ID_HEADER
from protocol.errors import InputError
from protocol.identifiers import check_payment_id

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ACCEPTABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: no log lines of them."""
NO_ROUTE: Final = "none"
OTHER_METHOD: Final = "OTHER"


def route_of(request: web.Request) -> str:
    """The template of the address, never what was asked for: its values are as many as our routes.

    A long poll has one of its own, since it lasts as long as its caller wished.
    """
    resource = request.match_info.route.resource
    if resource is None:
        return NO_ROUTE
    return f"{resource.canonical}?wait" if "wait" in request.query else resource.canonical


def observing_middleware(observer: Observer, timer: Callable[[], float] = time.perf_counter) -> Middleware:
    """The outermost middleware. A request may bring its own id, where it looks like one."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        claimed = request.headers.get(REQUEST_ID_HEADER, "")
        request_id = claimed if _ACCEPTABLE_REQUEST_ID.fullmatch(claimed) else f"req_{token_hex(8)}"
        request[REQUEST_ID] = request_id
        within = CURRENT_REQUEST.set(request_id)
        route, started = route_of(request), timer()
        method = request.method if request.method in hdrs.METH_ALL else OTHER_METHOD
        try:
            if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
                response = await handler(request)  # a connection of hours is no request to be timed
            else:
                with observer.request(method, route) as answered:
                    response = await handler(request)
                    answered(response.status, request.get(PROBLEM_CODE))
            if route not in _PROBES:
                _tell(request, response, method, route, timer() - started)
            return response
        finally:
            CURRENT_REQUEST.reset(within)

    return observe


def _tell(
    request: web.Request, response: web.StreamResponse, method: str, route: str, seconds: float
) -> None:
    code = request.get(PROBLEM_CODE)
    _log.info(
        "%s %s: %d%s",
        method,
        route,
        response.status,
        f" ({code})" if code else "",
        extra={
            "method": method,
            "route": route,
            "status": response.status,
            "code": code,
            "payment_id": _payment_id(request),
            "milliseconds": round(seconds * 1000, 1),
        },
    )


def _payment_id(request: web.Request) -> str | None:
    """Only what is one: an address may hold anything."""
    try:
        return check_payment_id(request.match_info.get("id", ""))
    except InputError:
        return None
