"""An issuer that may be faulty, and a shop that talks to it: what the terminal's tests share."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from merchant_terminal.cli import main
from merchant_terminal.failures import Exit

KEY = "merchant-key-0123456789abcdefghijklmnop"
CHARGE = (
    "charge",
    "--phone",
    "+81 90-1234-5678",
    "--amount",
    "12.50",
    "--currency",
    "USD",
    "--order",
    "2 coffees",
)


@dataclass
class FakeIssuer:
    """A merchant API in memory. `mishaps` are played once each, before a request is looked at."""

    url: str = ""
    payments: dict[str, dict[str, object]] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    refunds: dict[str, dict[str, object]] = field(default_factory=dict)
    # (path part, status or None for a connection that breaks after the work is done)
    mishaps: list[tuple[str, int | None]] = field(default_factory=list)
    retry_after: str | None = None
    steps: list[dict[str, object]] = field(default_factory=list)
    seen: list[tuple[str, str, object]] = field(default_factory=list)
    elsewhere: bool = False
    """Every request is sent on to a page for people, as the Wi-Fi of a hotel does."""
    waited_for: asyncio.Event = field(default_factory=asyncio.Event)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._middleware])
        application.router.add_post("/v1/payments", self._create)
        application.router.add_get("/v1/payments", self._list)
        application.router.add_get("/v1/payments/{id}", self._read)
        application.router.add_post("/v1/payments/{id}/cancel", self._cancel)
        application.router.add_post("/v1/payments/{id}/refunds", self._refund)
        application.router.add_get("/v1/payments/{id}/refunds", self._list_refunds)
        return application

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.seen.append((request.method, request.path_qs, body))
        if self.elsewhere:
            return web.Response(status=302, headers={"Location": "/welcome"})
        mishap = self.mishaps.pop(0) if self.mishaps and self.mishaps[0][0] in request.path else None
        if mishap is not None and mishap[1] is not None:
            return problem(mishap[1], "broken", self.retry_after)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return problem(401, "unauthorized")
        answer = await handler(request)
        if mishap is not None:
            assert request.transport is not None
            request.transport.abort()
        return answer

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body["phone"].endswith("999"):
            return problem(422, "unknown_phone")
        key = request.headers["Idempotency-Key"]
        if key not in self.by_key:
            payment_id = "pay_" + "abcdefgh"[len(self.payments)] * 25 + "a"
            self.by_key[key] = payment_id
            self.payments[payment_id] = {
                **body,
                "id": payment_id,
                "status": "requested",
                "reason": None,
                "card_last_four": None,
                "created_at": "2026-11-22T10:00:00Z",
                "updated_at": "2026-11-22T10:00:09Z",
            }
        return web.json_response(self.payments[self.by_key[key]], status=201)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        payment = self.payments.get(request.match_info["id"])
        if payment is None:
            return problem(404, "payment_not_found")
        if "wait" in request.query:
            self.waited_for.set()
            if self.steps:
                payment.update(self.steps.pop(0))
            elif payment["status"] not in ("completed", "not_settled"):
                await asyncio.sleep(0.3)
        return web.json_response(payment)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        newest = list(self.payments.values())[::-1][: int(request.query["limit"])]
        return web.json_response({"payments": newest, "next_cursor": None})

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        payment = self.payments[request.match_info["id"]]
        if payment["status"] == "completed":
            return problem(409, "payment_over")
        payment.update(status="not_settled", reason="cancelled_by_merchant")
        return web.json_response(payment)

    async def _list_refunds(self, request: web.Request) -> web.StreamResponse:
        of = [each for each in self.refunds.values() if each["payment_id"] == request.match_info["id"]]
        page = [each for each in of[::-1] if each["id"] != request.query.get("cursor")][:100]
        return web.json_response({"refunds": page, "next_cursor": page[-1]["id"] if len(page) > 1 else None})

    async def _refund(self, request: web.Request) -> web.StreamResponse:
        payment, body = self.payments[request.match_info["id"]], await request.json()
        key = request.headers["Idempotency-Key"]
        if key not in self.refunds:
            total, before = payment["amount"], payment.get("refunded_amount", 0)
            assert isinstance(total, int)
            assert isinstance(before, int)
            amount = body.get("amount", total - before)
            if not 0 < amount <= total - before:
                return problem(422, "refund_too_large")
            payment["refunded_amount"] = before + amount
            self.refunds[key] = {
                "id": "ref_" + "abcdefgh"[len(self.refunds)] * 26,
                "payment_id": payment["id"],
                "amount": amount,
                "currency": payment["currency"],
                "created_at": "2026-11-22T11:00:00Z",
            }
        return web.json_response(self.refunds[key], status=201)


def problem(status: int, code: str, retry_after: str | None = None) -> web.Response:
    """RFC 9457 problem details."""
    body = {
        "type": "about:blank",
        "title": "x",
        "status": status,
        "detail": "d",
        "code": code,
        "request_id": "req_1",
    }
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return web.json_response(body, status=status, content_type="application/problem+json", headers=headers)


PAID: list[dict[str, object]] = [
    {"status": "calling"},
    {"status": "pin_requested", "card_last_four": "3184"},
    {"status": "completed"},
]


@pytest.fixture
async def issuer() -> AsyncIterator[FakeIssuer]:
    fake = FakeIssuer()
    runner = web.AppRunner(fake.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MERCHANT_TERMINAL_PATIENCE", "0.9")
    return tmp_path / "shop.toml"


async def run(shop: Path, *arguments: str) -> int:
    """The command in a thread of its own, as it starts its own event loop."""
    return await asyncio.to_thread(main, ["--config", str(shop), *arguments])


async def log_in(issuer: FakeIssuer, shop: Path, monkeypatch: pytest.MonkeyPatch, key: str = KEY) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(key + "\n"))
    return await run(shop, "login", "--issuer", issuer.url)


@pytest.fixture
async def ready(issuer: FakeIssuer, shop: Path, monkeypatch: pytest.MonkeyPatch) -> FakeIssuer:
    assert await log_in(issuer, shop, monkeypatch) == Exit.COMPLETED
    issuer.seen.clear()
    return issuer


def unanswered(shop: Path) -> list[Path]:
    directory = shop.with_suffix(".unanswered")
    return list(directory.iterdir()) if directory.exists() else []


def point_nowhere(path: Path, url: str | None = None) -> None:
    """Make a settings file, or a charge kept for `url`, name an issuer that does not answer."""
    nowhere = "http://127.0.0.1:1"
    path.write_text(path.read_text().replace(url, nowhere) if url else f'issuer = "{nowhere}"\n')
