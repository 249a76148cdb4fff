"""The merchant API over real HTTP: creating, waiting, listing, cancelling, every refusal with its code."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from issuer_server.bus.port import moved_subject
from issuer_server.storage.port import StorageError
from issuer_server.storage.records import NewMerchant
from protocol.identifiers import MerchantId, mint
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import NOON, PHONE
from tests.unit.issuer_house import BODY, House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


def is_problem(answer: tuple[int, Any, Any], status: int, code: str) -> None:
    """RFC 9457 with our two extensions, nothing of our inside in it."""
    got, body, response = answer
    assert (got, body["code"]) == (status, code), body
    assert response.content_type == "application/problem+json"
    assert (body["type"], body["status"]) == ("about:blank", status)
    assert set(body) == {"type", "title", "status", "detail", "code", "request_id"}
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert "Traceback" not in json.dumps(body)


async def test_s1_creating_a_payment(home: House) -> None:
    status, payment, response = await home.create()
    assert status == 201
    assert re.fullmatch(r"pay_[a-z2-7]{26}", payment["id"])
    assert response.headers["Location"] == f"/v1/payments/{payment['id']}"
    assert payment == {
        "id": payment["id"],
        "status": "requested",
        "reason": None,
        "amount": 1200,
        "refunded_amount": 0,
        "currency": "JPY",
        "order": "2 coffees",
        "phone": PHONE,
        "card_last_four": None,
        "created_at": "2026-11-22T12:00:00.000Z",
        "updated_at": "2026-11-22T12:00:00.000Z",
    }


async def test_s24_the_merchant_waits_and_learns_the_end(home: House) -> None:
    async with home.phone() as phone:
        payment_id = await home.charge()
        waiting = asyncio.create_task(home.call("GET", f"/v1/payments/{payment_id}?wait=30"))
        await phone.pay(home.reader, payment_id)
        status, payment, _ = await waiting
    assert (status, payment["status"], payment["reason"]) == (200, "completed", None)
    assert payment["card_last_four"] == "7899"


async def test_waiting_is_over_after_its_time(home: House) -> None:
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.heard("payment_request")
        _, payment, _ = await home.call("GET", f"/v1/payments/{payment_id}?wait=0.05")
        assert payment["status"] == "calling"
        _, payment, _ = await home.call("GET", f"/v1/payments/{payment_id}?wait=30&seen=requested")
        assert payment["status"] == "calling"


async def test_the_phones_number_may_be_written_as_people_do(home: House) -> None:
    status, payment, _ = await home.create(phone="+81 (90) 1234-5678")
    assert (status, payment["phone"]) == (201, PHONE)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 0}, "amount_not_positive"),
        ({"amount": -1}, "amount_not_positive"),
        ({"amount": 10**12}, "amount_too_large"),
        ({"amount": 12.5}, "invalid_amount"),
        ({"amount": 1200.0}, "invalid_amount"),
        ({"amount": "1200"}, "invalid_amount"),
        ({"amount": True}, "invalid_amount"),
        ({"amount": None}, "invalid_amount"),
        ({"currency": "XYZ"}, "unknown_currency"),
        ({"currency": "jpy"}, "unknown_currency"),
        ({"currency": 392}, "invalid_currency"),
        ({"phone": "090-1234-5678"}, "invalid_phone"),
        ({"phone": 819012345678}, "invalid_phone"),
        ({"phone": "+819099999999"}, "unknown_phone"),
        ({"order": ""}, "invalid_order"),
        ({"order": "x" * 81}, "invalid_order"),
        ({"order": "tea\nand cake"}, "invalid_order"),
        ({"order": "price \u202e0021"}, "invalid_order"),
        ({"order": None}, "invalid_order"),
        ({"merchant_name": "Somebody else"}, "unknown_field"),
    ],
)
async def test_each_bad_field_has_its_own_code(home: House, changes: dict[str, Any], code: str) -> None:
    is_problem(await home.create(**changes), 422, code)
    status, page, _ = await home.call("GET", "/v1/payments")
    assert (status, page) == (200, {"payments": [], "next_cursor": None})


@pytest.mark.parametrize("missing", BODY)
async def test_each_missing_field_has_its_own_code(home: House, missing: str) -> None:
    body = {name: value for name, value in BODY.items() if name != missing}
    answer = await home.call("POST", "/v1/payments", headers={"Idempotency-Key": "k"}, json=body)
    is_problem(answer, 422, f"invalid_{missing}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"amount": NaN}',
        b'{"amount": 1, "amount": 2}',
        b"[" * 5000,
        b'{"a":' * 3000,
    ],
)
async def test_malformed_json_is_refused_as_such(home: House, body: bytes) -> None:
    answer = await home.call("POST", "/v1/payments", headers={"Idempotency-Key": "k"}, data=body)
    is_problem(answer, 400, "malformed_json")


async def test_a_number_too_long_to_convert_is_malformed(home: House) -> None:
    body = b'{"amount": ' + b"9" * 5000 + b"}"
    answer = await home.call("POST", "/v1/payments", headers={"Idempotency-Key": "k"}, data=body)
    is_problem(answer, 400, "malformed_json")


@pytest.mark.parametrize("size", [16 * 1024 + 1, 10_000_000])
async def test_a_body_too_large_is_refused_unread(home: House, size: int) -> None:
    body = json.dumps({**BODY, "order": "x" * size}).encode()
    answer = await home.call("POST", "/v1/payments", headers={"Idempotency-Key": "k"}, data=io.BytesIO(body))
    is_problem(answer, 413, "body_too_large")
    assert (await home.create())[0] == 201


@pytest.mark.parametrize(
    "credential",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer wrong", "Bearer " + "x" * 5000, "Bearer \xe9\xe9"],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_s2_s9_an_unknown_merchant_gets_401_and_no_phone_rings(
    home: House, credential: str, method: str
) -> None:
    async with home.phone() as phone:
        answer = await home.call(
            method, "/v1/payments", headers={"Authorization": credential, "Idempotency-Key": "k"}, json=BODY
        )
        is_problem(answer, 401, "unauthorized")
        assert answer[2].headers["WWW-Authenticate"] == "Bearer"
        payment_id = await home.charge()
        assert (await phone.heard("payment_request"))["payment_id"] == payment_id
        assert len(phone.frames) == 1


async def test_a_blocked_merchant(home: House) -> None:
    await home.issuer.storage.set_merchant_blocked(home.merchant.id, True)
    is_problem(await home.create(), 403, "merchant_blocked")


async def test_a_lost_answer_is_given_again_though_the_cardholder_was_blocked_since(home: House) -> None:
    _, first, _ = await home.create("k")
    await home.issuer.storage.set_cardholder_blocked(home.cardholder, True)
    status, again, _ = await home.create("k")
    assert (status, again["id"]) == (201, first["id"])
    is_problem(await home.create("k", amount=1201), 422, "idempotency_key_reused")
    is_problem(await home.create("another"), 422, "unknown_phone")


async def test_idempotency_key_missing_and_invalid(home: House) -> None:
    is_problem(await home.call("POST", "/v1/payments", json=BODY), 400, "idempotency_key_missing")
    for key in ("", "x" * 256, "schl\xfcssel"):
        answer = await home.call("POST", "/v1/payments", headers={"Idempotency-Key": key}, json=BODY)
        is_problem(answer, 400, "idempotency_key_invalid")


async def test_the_same_key_gives_the_first_answer_again(home: House) -> None:
    first = await home.create("k")
    await home.call("POST", f"/v1/payments/{first[1]['id']}/cancel")
    again = await home.create("k")
    assert again[:2] == first[:2]
    assert (await home.create("k", phone="+81 90 1234 5678"))[1]["id"] == first[1]["id"]
    is_problem(await home.create("k", amount=1201), 422, "idempotency_key_reused")


async def test_fifty_concurrent_creates_with_one_key_make_one_payment(home: House) -> None:
    answers = await asyncio.gather(*(home.create("one") for _ in range(50)))
    assert {status for status, _, _ in answers} == {201}
    assert len({payment["id"] for _, payment, _ in answers}) == 1
    _, page, _ = await home.call("GET", "/v1/payments")
    assert len(page["payments"]) == 1


async def test_two_merchants_may_use_the_same_key(home: House) -> None:
    import hashlib

    from protocol.identifiers import Digest

    other = NewMerchant(MerchantId(mint("mer", b"m" * 16)), "Other", Digest(hashlib.sha256(b"k2").digest()))
    await home.issuer.storage.add_merchant(other, NOON)
    _, first, _ = await home.create("k")
    headers = {"Idempotency-Key": "k", "Authorization": "Bearer k2"}
    status, second, _ = await home.call("POST", "/v1/payments", headers=headers, json=BODY)
    assert status == 201
    assert first["id"] != second["id"]
    for path in (f"/v1/payments/{first['id']}", f"/v1/payments/{first['id']}?wait=1"):
        is_problem(
            await home.call("GET", path, headers={"Authorization": "Bearer k2"}), 404, "payment_not_found"
        )


@pytest.mark.parametrize("payment_id", ["pay_" + "a" * 26, "pay_x", "%00", "x" * 500])
async def test_a_payment_that_is_not_there(home: House, payment_id: str) -> None:
    is_problem(await home.call("GET", f"/v1/payments/{payment_id}"), 404, "payment_not_found")
    is_problem(await home.call("GET", f"/v1/payments/{payment_id}?wait=1"), 404, "payment_not_found")
    is_problem(await home.call("POST", f"/v1/payments/{payment_id}/cancel"), 404, "payment_not_found")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("wait=61", "invalid_wait"),
        ("wait=-1", "invalid_wait"),
        ("wait=nan", "invalid_wait"),
        ("wait=1e1", "invalid_wait"),
        ("wait=", "invalid_wait"),
        ("wait=1&seen=paid", "invalid_seen"),
    ],
)
async def test_a_wait_that_cannot_be(home: House, query: str, code: str) -> None:
    payment_id = await home.charge()
    is_problem(await home.call("GET", f"/v1/payments/{payment_id}?{query}"), 422, code)


async def test_cancelling(home: House) -> None:
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.heard("payment_request")
        for _ in range(2):  # again is no error
            status, payment, _ = await home.call("POST", f"/v1/payments/{payment_id}/cancel")
            assert (status, payment["status"], payment["reason"]) == (
                200,
                "not_settled",
                "cancelled_by_merchant",
            )
        assert (await phone.heard("result"))["reason"] == "cancelled_by_merchant"
        payment_id = await home.charge()
        await phone.pay(home.reader, payment_id)
        answer = await home.call("POST", f"/v1/payments/{payment_id}/cancel")
        is_problem(answer, 409, "payment_not_cancellable")
        assert "completed" in answer[1]["detail"]


async def test_listing_page_by_page(home: House) -> None:
    ids = [await home.charge() for _ in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        _, page, _ = await home.call("GET", f"/v1/payments?limit=2{cursor}")
        seen += [payment["id"] for payment in page["payments"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == sorted(ids)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_limit"),
        ("limit=101", "invalid_limit"),
        ("limit=x", "invalid_limit"),
        ("limit=99999999999999999999", "invalid_limit"),
        ("limit=\u0665", "invalid_limit"),
        ("cursor=abc", "invalid_cursor"),
    ],
)
async def test_a_page_that_cannot_be(home: House, query: str, code: str) -> None:
    is_problem(await home.call("GET", f"/v1/payments?{query}"), 422, code)


async def test_addresses_and_methods_that_are_not_there(home: House) -> None:
    is_problem(await home.call("GET", "/v2/payments"), 404, "route_not_found")
    answer = await home.call("DELETE", "/v1/payments")
    is_problem(answer, 405, "method_not_allowed")
    assert answer[2].headers["Allow"] == "GET,HEAD,POST"


async def test_request_ids(home: House) -> None:
    _, body, _ = await home.call("GET", "/nowhere", headers={"X-Request-Id": "mine-1"})
    assert body["request_id"] == "mine-1"
    _, body, _ = await home.call("GET", "/nowhere", headers={"X-Request-Id": "<script>"})
    assert re.fullmatch(r"req_[0-9a-f]{16}", body["request_id"])


async def test_health_and_readiness(home: House) -> None:
    assert (await home.call("GET", "/healthz"))[:2] == (200, {"status": "ok"})
    assert (await home.call("GET", "/readyz"))[:2] == (200, {"status": "ready"})
    home.issuer.application._stopping.set()
    is_problem(await home.call("GET", "/readyz"), 503, "issuer_stopping")
    answer = await home.create()
    is_problem(answer, 503, "issuer_stopping")
    assert answer[2].headers["Retry-After"] == "5"
    assert (await home.call("GET", "/healthz"))[0] == 200


async def test_a_failing_database_is_503_and_a_bug_is_500_and_neither_shows_our_inside(
    home: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise StorageError("/var/lib/secret-path is full")

    monkeypatch.setattr(home.issuer.storage, "cardholder_by_phone", fail)
    answer = await home.create()
    is_problem(answer, 503, "storage_unavailable")
    assert "secret-path" not in json.dumps(answer[1]) + caplog.text

    async def bug(*_: object) -> None:
        raise ZeroDivisionError("4000001234567899")

    monkeypatch.setattr(home.issuer.storage, "cardholder_by_phone", bug)
    answer = await home.create()
    is_problem(answer, 500, "internal_error")
    assert "4000001234567899" not in json.dumps(answer[1]) + caplog.text


async def test_a_long_poll_ends_when_the_issuer_stops(home: House) -> None:
    payment_id = await home.charge()
    waiting = asyncio.create_task(home.call("GET", f"/v1/payments/{payment_id}?wait=60"))
    listeners = home.issuer.application.parts.bus._listeners  # type: ignore[attr-defined]
    await eventually(lambda: listeners.get(moved_subject(payment_id)))
    await home.issuer.application.stop(0)
    async with asyncio.timeout(10):
        status, payment, _ = await waiting
    assert (status, payment["id"]) == (200, payment_id)
    _, payment, _ = await home.call("GET", f"/v1/payments/{payment_id}")
    assert payment["reason"] == "issuer_restarted"
