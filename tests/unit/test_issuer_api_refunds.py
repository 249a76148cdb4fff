"""Refunds over real HTTP: what comes back, every refusal with its code, many at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from issuer_server.storage.records import NewMerchant
from protocol.identifiers import Digest, MerchantId, PaymentId, mint
from tests.unit.issuer_house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
async def paid(home: House) -> PaymentId:
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.pay(home.reader, payment_id)
    return payment_id


async def refund(home: House, payment: str, key: str, **body: Any) -> tuple[int, Any]:
    status, answer, _ = await home.call(
        "POST", f"/v1/payments/{payment}/refunds", headers={"Idempotency-Key": key}, json=body
    )
    return status, answer


async def test_parts_of_a_payment_go_back(home: House, paid: PaymentId) -> None:
    status, first = await refund(home, paid, "a", amount=200)
    assert status == 201
    assert re.fullmatch(r"ref_[a-z2-7]{26}", first["id"])
    assert first == {
        "id": first["id"],
        "payment_id": paid,
        "amount": 200,
        "currency": "JPY",
        "created_at": "2026-11-22T12:00:00.000Z",
    }
    _, payment, _ = await home.call("GET", f"/v1/payments/{paid}")
    assert (payment["status"], payment["amount"], payment["refunded_amount"]) == ("completed", 1200, 200)
    status, rest = await refund(home, paid, "b")
    assert (status, rest["amount"]) == (201, 1000)
    assert await refund(home, paid, "a", amount=200) == (201, first), "the first answer again"
    _, page, _ = await home.call("GET", f"/v1/payments/{paid}/refunds?limit=1")
    _, second, _ = await home.call("GET", f"/v1/payments/{paid}/refunds?cursor={page['next_cursor']}")
    assert {each["id"] for each in page["refunds"] + second["refunds"]} == {first["id"], rest["id"]}
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"amount": 1201}, 422, "refund_too_large"),
        ({"amount": 0}, 422, "amount_not_positive"),
        ({"amount": -5}, 422, "amount_not_positive"),
        ({"amount": 10**12}, 422, "amount_too_large"),
        ({"amount": True}, 422, "invalid_amount"),
        ({"amount": "5"}, 422, "invalid_amount"),
        ({"amount": None}, 422, "invalid_amount"),
        ({"amount": 5, "reason": "cold"}, 422, "unknown_field"),
    ],
)
async def test_bad_requests(
    home: House, paid: PaymentId, body: dict[str, Any], status: int, code: str
) -> None:
    got, problem = await refund(home, paid, "k", **body)
    assert (got, problem["code"]) == (status, code)
    _, payment, _ = await home.call("GET", f"/v1/payments/{paid}")
    assert payment["refunded_amount"] == 0


async def test_a_payment_that_did_not_complete_is_not_refunded(home: House) -> None:
    payment_id = await home.charge()
    status, problem = await refund(home, payment_id, "k")
    assert (status, problem["code"]) == (409, "payment_not_refundable")


async def test_keys(home: House, paid: PaymentId) -> None:
    status, problem, _ = await home.call("POST", f"/v1/payments/{paid}/refunds", json={})
    assert (status, problem["code"]) == (400, "idempotency_key_missing")
    await refund(home, paid, "k", amount=1)
    status, problem = await refund(home, paid, "k", amount=2)
    assert (status, problem["code"]) == (422, "idempotency_key_reused")
    status, problem, _ = await home.call(
        "POST", f"/v1/payments/{paid}/refunds", headers={"Idempotency-Key": "n"}, data=b"[1]"
    )
    assert (status, problem["code"]) == (400, "malformed_json")


async def test_another_merchants_payment_is_not_there(home: House, paid: PaymentId) -> None:
    key = "brm_another-merchant-of-the-town"
    from issuer_server.enrolments import secret_digest

    await home.issuer.storage.add_merchant(
        NewMerchant(MerchantId(mint("mer", bytes(16))), "Bar", Digest(secret_digest(key))), 1.0
    )
    for method in ("POST", "GET"):
        status, problem, _ = await home.call(
            method,
            f"/v1/payments/{paid}/refunds",
            headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "k"},
            json={},
        )
        assert (status, problem["code"]) == (404, "payment_not_found")
    status, problem = await refund(home, "pay_nonsense", "k")
    assert (status, problem["code"]) == (404, "payment_not_found")


async def test_fifty_at_once_give_back_no_more_than_was_paid(home: House, paid: PaymentId) -> None:
    answers = await asyncio.gather(*(refund(home, paid, f"k{n}", amount=100) for n in range(50)))
    assert sorted({status for status, _ in answers}) == [201, 422]
    assert sum(status == 201 for status, _ in answers) == 12
    _, payment, _ = await home.call("GET", f"/v1/payments/{paid}")
    assert payment["refunded_amount"] == 1200


async def test_strange_pages_are_refused(home: House, paid: PaymentId) -> None:
    for query, code in (
        ("limit=0", "invalid_limit"),
        ("limit=0001000", "invalid_limit"),
        ("limit=1" + "0" * 5000, "invalid_limit"),
        ("cursor=pay_x", "invalid_cursor"),
    ):
        for path in (f"/v1/payments/{paid}/refunds", "/v1/payments"):
            status, problem, _ = await home.call("GET", f"{path}?{query}")
            assert (status, problem["code"]) == (422, code)
