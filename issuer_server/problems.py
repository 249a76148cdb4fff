"""Errors of the HTTP surface as RFC 9457 problem details, each with a stable `code` and the request's id."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from aiohttp import web

from issuer_server.storage.port import StorageError

_log = logging.getLogger(__name__)

REQUEST_ID: Final = web.RequestKey("request_id", str)
REQUEST_ID_HEADER: Final = "X-Request-Id"
PROBLEM_CODE: Final = web.RequestKey("problem_code", str)
"""The `code` of the problem that a request was answered with."""

_CODES_OF_FRAMEWORK_ERRORS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad_request", "The request is not valid HTTP for this server."),
    404: ("route_not_found", "There is nothing at this address; see the API's description."),
    405: ("method_not_allowed", "This address takes other methods: see the Allow header."),
    413: ("body_too_large", "A request body may hold 16384 bytes."),
    415: ("unsupported_media_type", "Send the body as application/json."),
}


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """Raise it from a handler; the middleware answers with it.

    `status` is HTTP's, `code` is snake_case and stable for programs, `detail` tells a person what to do.
    """

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.code)

    def response(self, request_id: str) -> web.Response:
        """The application/problem+json answer (RFC 9457 section 3)."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        return web.Response(
            status=self.status,
            text=json.dumps(body),
            content_type="application/problem+json",
            headers=self.headers,
        )


def unauthorized(detail: str) -> Problem:
    """401 with the challenge that RFC 9110 section 11.6.1 asks for."""
    return Problem(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})


@web.middleware
async def problem_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn what goes wrong into a problem that shows nothing of our inside, with the id of the request."""
    request_id = request[REQUEST_ID]
    problem: Problem | None = None
    try:
        response = await handler(request)
    except Problem as refusal:
        problem = refusal
    except web.HTTPException as refusal:
        problem = _of_framework(refusal)
    except StorageError as error:
        _log.error("storage failed: %s", type(error).__name__)
        problem = Problem(
            503, "storage_unavailable", "The issuer's database failed; try again.", {"Retry-After": "1"}
        )
    except Exception as error:  # noqa: BLE001 - the last line of defence: the caller gets an answer with an id
        _log.error("request failed: %s", type(error).__name__)
        problem = Problem(
            500, "internal_error", "The issuer failed; quote the request_id when you report it."
        )
    if problem is not None:
        request[PROBLEM_CODE] = problem.code
        response = problem.response(request_id)
    if not response.prepared:
        response.headers[REQUEST_ID_HEADER] = request_id
    return response


def _of_framework(refusal: web.HTTPException) -> Problem:
    code, detail = _CODES_OF_FRAMEWORK_ERRORS.get(
        refusal.status, ("request_refused", "The request was refused.")
    )
    headers = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else {}
    return Problem(refusal.status, code, detail, headers)
