"""`/openapi.json`, and at `/docs` a page to read and try the API, which loads nothing from anywhere else."""

from __future__ import annotations

import json
from importlib import resources
from typing import Final

from aiohttp import web

from issuer_server.api_description.openapi import OPENAPI

_HEADERS: Final = {
    # The page's own script and style, calls to this very server, and nothing besides.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_FILES: Final = {
    "/docs": ("index.html", "text/html"),
    "/docs/page.js": ("page.js", "text/javascript"),
    "/docs/page.css": ("page.css", "text/css"),
}


def add_documentation_routes(app: web.Application) -> None:
    """Everything of it is the same for everybody, and needs no key."""
    app.router.add_get("/openapi.json", _openapi)
    for address in _FILES:
        app.router.add_get(address, _file)


async def _openapi(request: web.Request) -> web.Response:
    return web.json_response(OPENAPI, dumps=lambda value: json.dumps(value, ensure_ascii=False))


async def _file(request: web.Request) -> web.Response:
    name, kind = _FILES[request.path]
    text = resources.files(__package__).joinpath("page", name).read_text("utf-8")
    return web.Response(text=text, content_type=kind, charset="utf-8", headers=_HEADERS)
