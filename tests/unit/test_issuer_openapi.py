"""The description of the API: every route is in it, and every code in it was really answered."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from issuer_server.api_description.openapi import OPENAPI
from issuer_server.enrolments import secret_digest
from issuer_server.operations.readiness import Readiness
from issuer_server.payment import PaymentState
from issuer_server.rate_limits import TokenBuckets
from issuer_server.service import http_application
from issuer_server.storage.port import StorageError
from issuer_server.storage.records import NewEnrolmentCode
from issuer_server.webhooks.messages import payment_ended, payment_refunded
from protocol.enrolment import EnrolmentKind
from protocol.messages import NotSettled, ReaderEnrolment
from protocol.signing import SigningKey, sign_message
from tests.unit.issuer_bench import ISSUER, NOON, PHONE, b64
from tests.unit.issuer_house import BODY, House, house
from tests.unit.schema_check import conforms

Answers = set[tuple[str, int, str | None]]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {
        operation["operationId"]: (method, path, operation)
        for path, item in OPENAPI["paths"].items()
        for method, operation in item.items()
    }


def documented() -> Answers:
    """Every (operation, status, code) of the description; the code of a success is None."""
    found: Answers = set()
    for name, (_, _, operation) in operations().items():
        for status, answer in operation["responses"].items():
            schema = next(iter(answer["content"].values()))["schema"]
            codes = [None] if "$ref" in schema else schema["allOf"][1]["properties"]["code"]["enum"]
            assert len(set(codes)) == len(codes), (name, status)
            found |= {(name, int(status), code) for code in codes}
    return found


def test_every_route_is_described_and_nothing_else(home: House) -> None:
    readiness = Readiness(home.issuer.application, home.issuer.storage, lambda: asyncio.sleep(0))
    app = http_application(home.issuer.application, home.issuer.channel, home.issuer.storage, readiness)
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    of_the_api = {(method, path) for method, path in routes if path.startswith("/v1/") or path.endswith("z")}
    assert of_the_api - {("get", "/v1/handset/channel")} == {
        (method, path) for method, path, _ in operations().values()
    }, "the WebSocket is described in docs/handset-channel.asyncapi.json"


class Caller:
    """Calls operations by name, holds each answer to its description, and notes what was answered."""

    def __init__(self, home: House) -> None:
        self.home = home
        self.seen: Answers = set()

    async def __call__(self, name: str, wanted: int, code: str | None = None, **call: Any) -> Any:
        method, path, operation = operations()[name]
        address = path.replace("{id}", call.pop("id", "pay_none")) + call.pop("query", "")
        headers = call.pop("headers", {})
        if "key" in call:
            headers = {**headers, "Idempotency-Key": call.pop("key")}
        status, body, response = await self.home.call(method.upper(), address, headers=headers, **call)
        got = body.get("code") if status >= 400 else None
        assert (status, got) == (wanted, code), (name, body)
        described = operation["responses"][str(status)]
        assert response.content_type in described["content"]
        conforms(body, described["content"][response.content_type]["schema"], OPENAPI, name)
        for header in described["headers"]:
            assert header in response.headers
        self.seen.add((name, status, got))
        return body


async def test_every_documented_code_is_really_answered(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Caller(home)
    await payments(call)
    await refunds(call)
    await pages(call)
    await enrolments(call)
    await call("health", 200)
    await call("readiness", 200)
    await what_all_share(call, monkeypatch)
    assert documented() - call.seen == set(), "documented, and never answered"
    assert call.seen - documented() == set()


async def payments(call: Caller) -> None:
    made = await call("createPayment", 201, json=BODY, key="first")
    await call("createPayment", 422, "idempotency_key_reused", json={**BODY, "amount": 1}, key="first")
    await call("createPayment", 400, "idempotency_key_missing", json=BODY)
    await call("createPayment", 400, "idempotency_key_invalid", json=BODY, key="\t\u00e9")
    await call("createPayment", 400, "malformed_json", data=b"{", key="k")
    await call("createPayment", 413, "body_too_large", data=b" " * 20_000, key="k")
    for changes, code in (
        ({"phone": "x"}, "invalid_phone"),
        ({"phone": "+819099999999"}, "unknown_phone"),
        ({"amount": "1"}, "invalid_amount"),
        ({"amount": 0}, "amount_not_positive"),
        ({"amount": 10**12}, "amount_too_large"),
        ({"currency": 1}, "invalid_currency"),
        ({"currency": "XXX"}, "unknown_currency"),
        ({"order": ""}, "invalid_order"),
        ({"tip": 1}, "unknown_field"),
    ):
        await call("createPayment", 422, code, json={**BODY, **changes}, key="k")
    await call("showPayment", 200, id=made["id"])
    await call("showPayment", 422, "invalid_wait", id=made["id"], query="?wait=61")
    await call("showPayment", 422, "invalid_seen", id=made["id"], query="?wait=1&seen=lost")
    await call("cancelPayment", 200, id=made["id"])
    for name in ("showPayment", "cancelPayment", "listRefunds"):
        await call(name, 404, "payment_not_found")


async def paid(home: House) -> str:
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.pay(home.reader, payment_id)
    return payment_id


async def refunds(call: Caller) -> None:
    payment, unpaid = await paid(call.home), await call.home.charge()
    await call("cancelPayment", 409, "payment_not_cancellable", id=payment)
    await call("refundPayment", 201, id=payment, json={"amount": 1}, key="first")
    await call("refundPayment", 422, "idempotency_key_reused", id=payment, json={}, key="first")
    await call("refundPayment", 400, "idempotency_key_missing", id=payment, json={})
    await call("refundPayment", 400, "idempotency_key_invalid", id=payment, json={}, key="x" * 256)
    await call("refundPayment", 400, "malformed_json", id=payment, data=b"[]", key="k")
    await call("refundPayment", 413, "body_too_large", id=payment, data=b" " * 20_000, key="k")
    await call("refundPayment", 404, "payment_not_found", json={}, key="k")
    await call("refundPayment", 409, "payment_not_refundable", id=unpaid, json={}, key="k")
    for fields, code in (
        ({"amount": 1200}, "refund_too_large"),
        ({"amount": "1"}, "invalid_amount"),
        ({"amount": 0}, "amount_not_positive"),
        ({"amount": 10**12}, "amount_too_large"),
        ({"why": "cold"}, "unknown_field"),
    ):
        await call("refundPayment", 422, code, id=payment, json=fields, key="k")
    page = await call("listRefunds", 200, id=payment)
    assert len(page["refunds"]) == 1


async def pages(call: Caller) -> None:
    page = await call("listPayments", 200, query="?limit=1")
    assert page["next_cursor"]
    for name in ("listPayments", "listRefunds"):
        await call(name, 422, "invalid_limit", query="?limit=0")
        await call(name, 422, "invalid_cursor", query="?cursor=x")


async def enrolments(call: Caller) -> None:
    home = call.home

    async def code(kind: EnrolmentKind, life: float = 60.0) -> bytes:
        secret = os.urandom(16)
        new = NewEnrolmentCode(secret_digest(secret), kind, home.cardholder, NOON + life)
        await home.issuer.storage.add_enrolment_code(new)
        return secret

    def proof(challenge: bytes, key: SigningKey) -> dict[str, str]:
        message = ReaderEnrolment(ISSUER, challenge, key.public_key, "pi-1")
        return {"proof": b64(sign_message(key, message))}

    key = SigningKey.from_seed(os.urandom(32))
    phone, reader = await code(EnrolmentKind.HANDSET), await code(EnrolmentKind.READER)
    late_phone, late_reader = await code(EnrolmentKind.HANDSET, -1), await code(EnrolmentKind.READER, -1)
    another = await code(EnrolmentKind.READER)
    for name, status, refusal, body in (
        ("enrolHandset", 201, None, {"secret": b64(phone)}),
        ("enrolHandset", 409, "enrolment_code_used", {"secret": b64(phone)}),
        ("enrolHandset", 410, "enrolment_code_expired", {"secret": b64(late_phone)}),
        ("enrolHandset", 404, "enrolment_code_unknown", {"secret": b64(os.urandom(16))}),
        ("enrolHandset", 422, "invalid_secret", {"secret": "!"}),
        ("enrolHandset", 422, "unknown_field", {"secret": "", "x": 1}),
        ("enrolReader", 201, None, proof(reader, key)),
        ("enrolReader", 409, "enrolment_code_used", proof(reader, SigningKey.from_seed(os.urandom(32)))),
        ("enrolReader", 409, "reader_already_enrolled", proof(another, key)),
        ("enrolReader", 410, "enrolment_code_expired", proof(late_reader, SigningKey.from_seed(bytes(32)))),
        (
            "enrolReader",
            404,
            "enrolment_code_unknown",
            proof(os.urandom(16), SigningKey.from_seed(bytes(32))),
        ),
        ("enrolReader", 422, "invalid_proof", {"proof": "!"}),
        ("enrolReader", 422, "unknown_field", {"proof": "", "x": 1}),
    ):
        await call(name, status, refusal, json=body)
    for name in ("enrolHandset", "enrolReader"):
        await call(name, 400, "malformed_json", data=b"nothing")
        await call(name, 413, "body_too_large", data=b" " * 20_000)


async def what_all_share(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    home = call.home
    storage = home.issuer.storage
    body = {
        "createPayment": {"json": BODY, "key": "new"},
        "refundPayment": {"json": {}, "key": "new"},
        "enrolHandset": {"json": {"secret": b64(bytes(16))}},
        "enrolReader": {"json": {"proof": _proof()}},
    }
    of_merchants = [name for name, (_, _, operation) in operations().items() if "security" not in operation]
    for name in of_merchants:
        await call(
            name, 401, "unauthorized", headers={"Authorization": "Bearer nobody"}, **body.get(name, {})
        )
    await storage.set_merchant_blocked(home.merchant.id, True)
    for name in of_merchants:
        await call(name, 403, "merchant_blocked", **body.get(name, {}))
    await storage.set_merchant_blocked(home.merchant.id, False)
    for error, status, code in (
        (StorageError("disk full"), 503, "storage_unavailable"),
        (RuntimeError("a bug"), 500, "internal_error"),
    ):
        monkeypatch.setattr("issuer_server.operations.readiness.ANSWER_HOLDS", 0.0)
        for method in (
            "merchant_by_key_digest",
            "redeem_handset_code",
            "redeem_reader_code",
            "check_writable",
        ):
            monkeypatch.setattr(type(storage), method, _failing(error))
        for name in [*of_merchants, "enrolHandset", "enrolReader", "readiness"]:
            await call(name, status, code, **body.get(name, {}))
        monkeypatch.undo()
    monkeypatch.setattr(TokenBuckets, "take", lambda buckets, key, now: 2.5 if buckets.shut == key else 0.0)
    monkeypatch.setattr(TokenBuckets, "shut", PHONE, raising=False)
    await call("createPayment", 429, "too_many_calls", json=BODY, key="often")
    monkeypatch.setattr(TokenBuckets, "shut", home.merchant.id)
    for name in of_merchants:
        await call(name, 429, "rate_limited", **body.get(name, {}))
    monkeypatch.undo()
    monkeypatch.setattr("issuer_server.operations.readiness.ANSWER_HOLDS", 0.0)
    monkeypatch.setattr("issuer_server.service._try_keys", lambda parts: 1 / 0)
    await call("readiness", 503, "keys_unavailable")
    monkeypatch.undo()
    home.issuer.application._stopping.set()
    await call("createPayment", 503, "issuer_stopping", json=BODY, key="stopping")
    await call("readiness", 503, "issuer_stopping")


def _proof() -> str:
    key = SigningKey.from_seed(bytes(32))
    return b64(sign_message(key, ReaderEnrolment(ISSUER, bytes(16), key.public_key, "pi-1")))


def _failing(error: Exception) -> Any:
    async def fail(*_: object) -> None:
        raise error

    return fail


async def test_webhooks_are_as_described(home: House) -> None:
    payment = await paid(home)
    _, refund, _ = await home.call(
        "POST", f"/v1/payments/{payment}/refunds", headers={"Idempotency-Key": "k"}, json={"amount": 5}
    )
    record = await home.issuer.storage.payment(payment)
    (given_back,) = await home.issuer.storage.refunds(payment, None, 10)
    assert record is not None
    assert given_back.id == refund["id"]
    declined = replace(record, state=PaymentState.NOT_SETTLED, reason=NotSettled.DECLINED)
    told = set()
    for message in (payment_ended(record), payment_refunded(record, given_back), payment_ended(declined)):
        document = json.loads(message.payload)
        schema = OPENAPI["webhooks"][document["type"]]["post"]["requestBody"]["content"]["application/json"]
        conforms(document, schema["schema"], OPENAPI)
        told.add(document["type"])
    assert told == set(OPENAPI["webhooks"])


async def test_it_is_served_whole(home: House) -> None:
    status, document, response = await home.call("GET", "/openapi.json", headers={"Authorization": "none"})
    assert (status, response.content_type) == (200, "application/json")
    assert document == json.loads(json.dumps(OPENAPI))
    assert document["openapi"].startswith("3.1.")


def test_every_reference_leads_somewhere() -> None:
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(OPENAPI)):
        assert name in OPENAPI["components"]["schemas"]


async def test_the_page_loads_nothing_from_elsewhere(home: House) -> None:
    texts = {}
    for path in ("/docs", "/docs/page.js", "/docs/page.css"):
        async with home.http.get(home.url + path) as answer:
            assert answer.status == 200
            texts[path] = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"https?://", texts[path])
    page = texts["/docs"]
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) == {
        "/docs/page.css",
        "/docs/page.js",
        "/openapi.json",
    }
    assert "style=" not in page
    assert not re.search(r"\son\w+=", page)
    assert "<script>" not in page
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"):
        assert sink not in texts["/docs/page.js"]
