"""The command merchant-terminal against an issuer that loses answers, refuses, restarts and lies."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from merchant_terminal.cli import Exit, main
from merchant_terminal.refunding import hold_refund
from protocol.money import currency, parse_amount

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
    waited_for: asyncio.Event = field(default_factory=asyncio.Event)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._middleware])
        application.router.add_post("/v1/payments", self._create)
        application.router.add_get("/v1/payments", self._list)
        application.router.add_get("/v1/payments/{id}", self._read)
        application.router.add_post("/v1/payments/{id}/cancel", self._cancel)
        application.router.add_post("/v1/payments/{id}/refunds", self._refund)
        return application

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.seen.append((request.method, request.path_qs, body))
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


async def test_a_charge_waits_and_prints_a_receipt(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    out, err = capsys.readouterr()
    assert "RECEIPT" in out
    assert "USD 12.50" in out
    assert "asked for the PIN" in err
    assert ready.seen[0] == (
        "POST",
        "/v1/payments",
        {"phone": "+819012345678", "amount": 1250, "currency": "USD", "order": "2 coffees"},
    )
    assert unanswered(shop) == []
    assert KEY not in out + err


async def test_json_is_one_object_and_nothing_else(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.steps = [{"status": "not_settled", "reason": "declined"}]
    capsys.readouterr()
    assert await run(shop, *CHARGE, "--json") == Exit.NOT_SETTLED
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["outcome"] == "not_settled"
    assert document["payment"]["reason"] == "declined"
    assert document["payment"]["amount"] == 1250
    assert err == ""


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504, 429])
async def test_a_lost_answer_is_asked_for_again_and_charges_once(
    ready: FakeIssuer, shop: Path, status: int | None
) -> None:
    ready.mishaps = [("payments", status)]
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    assert [method for method, _, _ in ready.seen].count("POST") == 2
    assert len(ready.payments) == 1


async def test_an_outcome_that_stays_unknown_is_taken_up_by_the_same_command(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.mishaps = [("payments", None)] * 20
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    _, err = capsys.readouterr()
    assert "NOT KNOWN" in err
    assert "same command again" in " ".join(err.split())
    assert len(unanswered(shop)) == 1
    ready.mishaps = []
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    _, err = capsys.readouterr()
    assert "not charged twice" in " ".join(err.split())
    assert len(ready.payments) == 1
    assert unanswered(shop) == []


async def test_a_charge_that_never_left_is_no_charge(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    point_nowhere(shop)
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    err = " ".join(capsys.readouterr().err.split())
    assert "Nothing was charged" in err
    assert unanswered(shop) == []
    assert await run(shop, *CHARGE, "--json") == Exit.UNKNOWN
    assert json.loads(capsys.readouterr().out)["outcome"] == "not_charged"


async def test_an_issuer_that_is_gone_after_a_lost_answer_leaves_the_charge_open(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.mishaps = [("payments", None)] * 20
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    [kept] = unanswered(shop)
    point_nowhere(kept, ready.url)
    point_nowhere(shop)
    capsys.readouterr()
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    assert "NOT KNOWN" in capsys.readouterr().err, "the earlier attempt may have gone through"
    assert unanswered(shop) == [kept]


async def test_new_makes_a_second_charge(ready: FakeIssuer, shop: Path) -> None:
    ready.mishaps = [("payments", None)] * 20
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    ready.mishaps = []
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE, "--new") == Exit.COMPLETED
    assert len(ready.payments) == 2


async def test_the_issuer_is_lost_while_waiting(ready: FakeIssuer, shop: Path) -> None:
    ready.steps = list(PAID)
    ready.mishaps = [("/pay_", None), ("/pay_", 503)]
    assert await run(shop, *CHARGE) == Exit.COMPLETED


async def test_ctrl_c_cancels_at_the_issuer_and_says_so(ready: FakeIssuer, shop: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "merchant_terminal", "--config", str(shop), *CHARGE),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "MERCHANT_TERMINAL_PATIENCE": "5"},
    )
    await ready.waited_for.wait()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == Exit.NOT_SETTLED
    assert b"You cancelled" in out
    assert b"cancelling at the issuer" in err
    assert b"Traceback" not in err
    assert [payment["reason"] for payment in ready.payments.values()] == ["cancelled_by_merchant"]
    assert unanswered(shop) == []


async def test_ctrl_c_too_late_prints_the_receipt(ready: FakeIssuer, shop: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "merchant_terminal", "--config", str(shop), *CHARGE),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await ready.waited_for.wait()
    next(iter(ready.payments.values())).update(status="completed", card_last_four="3184")
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == Exit.COMPLETED
    assert b"RECEIPT" in out
    assert b"Traceback" not in err


async def test_a_killed_terminal_takes_its_charge_up_again(ready: FakeIssuer, shop: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "merchant_terminal", "--config", str(shop), *CHARGE),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await ready.waited_for.wait()
    process.kill()
    await process.wait()
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    assert len(ready.payments) == 1


async def test_status_list_and_cancel(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.mishaps = [("/pay_", 503)] * 20
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    ready.mishaps = []
    payment_id = next(iter(ready.payments))
    assert await run(shop, "status", payment_id) == Exit.UNKNOWN
    assert "still running" in capsys.readouterr().out
    assert await run(shop, "list") == Exit.COMPLETED
    assert payment_id in capsys.readouterr().out
    assert await run(shop, "cancel", payment_id) == Exit.COMPLETED
    assert "No money has moved" in capsys.readouterr().out
    assert await run(shop, "status", payment_id) == Exit.NOT_SETTLED
    ready.payments[payment_id].update(status="completed", reason=None)
    assert await run(shop, "cancel", payment_id) == Exit.NOT_SETTLED
    assert "Too late" in capsys.readouterr().out
    assert await run(shop, "status", payment_id) == Exit.COMPLETED


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--phone", "090"), "country code"),
        (("--amount", "12.505"), "decimals"),
        (("--amount", "-3"), "more than zero"),
        (("--amount", "0"), "more than zero"),
        (("--amount", "1e3"), "digits"),
        (("--currency", "BTC"), "ISO 4217"),
        (("--order", ""), "order"),
        (("--order", "x" * 81), "order"),
        (("--order", "two\ncoffees"), "order"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_sent(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], says: str
) -> None:
    assert await run(shop, *CHARGE, f"{arguments[0]}={arguments[1]}") == Exit.BAD_INPUT
    assert says in " ".join(capsys.readouterr().err.split())
    assert ready.seen == []


async def test_a_refusal_of_the_issuer_is_a_sentence(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(shop, *CHARGE, "--phone", "+81900000999") == Exit.BAD_INPUT
    err = capsys.readouterr().err
    assert "No customer of this issuer" in err
    assert "req_1" in err
    assert unanswered(shop) == [], "nothing was charged, so there is nothing to take up"


async def test_login_stores_nothing_that_the_issuer_does_not_accept(
    issuer: FakeIssuer, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await log_in(issuer, shop, monkeypatch, "wrong-" + KEY) == Exit.BAD_INPUT
    assert "does not accept your API key" in capsys.readouterr().err
    assert await run(shop, "list") == Exit.BAD_INPUT
    assert "login --issuer" in capsys.readouterr().err


async def test_something_else_that_answers_is_named(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="<html>router login</html>", content_type="text/html")

    application = web.Application()
    application.router.add_get("/{anything:.*}", hello)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        fake = FakeIssuer(url=f"http://127.0.0.1:{runner.addresses[0][1]}")
        assert await log_in(fake, shop, monkeypatch) == Exit.UNKNOWN
        assert "not a Blind Relay issuer" in capsys.readouterr().err
    finally:
        await runner.cleanup()


async def test_nobody_answers(
    issuer: FakeIssuer, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = FakeIssuer(url="http://127.0.0.1:1")
    assert await log_in(nobody, shop, monkeypatch) == Exit.UNKNOWN
    assert "cannot connect" in capsys.readouterr().err.lower()


async def paid_payment(ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]) -> str:
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    capsys.readouterr()
    return next(iter(ready.payments))


async def test_refund_a_part_and_then_the_rest(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payment = await paid_payment(ready, shop, capsys)
    assert await run(shop, "refund", payment, "--amount", "2.50") == Exit.COMPLETED
    assert "USD 2.50 refunded: ref_" in (out := capsys.readouterr().out)
    assert "Refunded so far: USD 2.50 of USD 12.50." in out
    assert await run(shop, "refund", payment, "--json") == Exit.COMPLETED
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["refund"]["amount"], told["payment"]["refunded_amount"]) == (
        "refunded",
        1000,
        1250,
    )
    assert await run(shop, "refund", payment) == Exit.BAD_INPUT
    assert "more than is left" in capsys.readouterr().err
    assert await run(shop, "status", payment) == Exit.COMPLETED
    assert "Refunded" in capsys.readouterr().out
    assert unanswered(shop) == []


async def test_a_refund_whose_answer_is_lost_is_not_made_twice(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await paid_payment(ready, shop, capsys)
    monkeypatch.setenv("MERCHANT_TERMINAL_PATIENCE", "0")
    ready.mishaps = [("/refunds", None)]
    assert await run(shop, "refund", payment, "--amount", "1") == Exit.UNKNOWN
    assert "NOT KNOWN" in capsys.readouterr().err
    assert await run(shop, "refund", payment, "--amount", "1.00") == Exit.COMPLETED
    out, err = capsys.readouterr()
    assert "sent before" in err
    assert "Refunded so far: USD 1.00" in out
    assert await run(shop, "refund", payment, "--amount", "1") == Exit.COMPLETED
    assert "Refunded so far: USD 2.00" in capsys.readouterr().out, "a new refund, now that the first is told"


async def test_two_windows_share_one_refund(tmp_path: Path) -> None:
    payment, amount = "pay_x", parse_amount("1", currency("USD"))
    first, second = hold_refund(tmp_path, payment, amount), hold_refund(tmp_path, payment, amount)
    assert (first.key, first.taken_up) == (second.key, not second.taken_up)
    assert hold_refund(tmp_path, payment, None).key != first.key
    first.answered()
    second.answered()
    assert hold_refund(tmp_path, payment, amount).key != first.key


async def test_a_merchant_blocked_after_a_lost_answer_keeps_the_charge_open(
    ready: FakeIssuer, shop: Path
) -> None:
    ready.mishaps = [("payments", None), ("payments", 403)]
    assert await run(shop, *CHARGE) == Exit.BAD_INPUT
    assert len(ready.payments) == 1, "the customer's phone rang"
    assert len(unanswered(shop)) == 1


async def test_a_command_in_a_message_is_not_broken_in_two(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(shop, "list") == Exit.BAD_INPUT
    assert "merchant-terminal login --issuer" in capsys.readouterr().err.replace("\n", " ")


async def test_it_waits_as_long_as_the_issuer_asks(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERCHANT_TERMINAL_PATIENCE", "5")
    ready.steps, ready.mishaps, ready.retry_after = list(PAID), [("/v1/payments", 429)], "1"
    began = time.monotonic()
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    assert time.monotonic() - began >= 1.0
    assert "asks to wait, trying again in 1 s" in capsys.readouterr().err


async def test_a_wait_beyond_its_patience_is_told_at_once_and_nothing_was_charged(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.mishaps, ready.retry_after = [("/v1/payments", 429)], "3600"
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    assert "Nothing was charged" in capsys.readouterr().err
    assert unanswered(shop) == []
