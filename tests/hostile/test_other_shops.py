"""A shop that looks for, cancels and refunds what is another's: to it none of that is there."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from issuer_server import administration
from tests.unit.issuer_bench import NOON
from tests.unit.issuer_house import House, house


async def test_meddle_with_another_shops_payment(tmp_path: Path) -> None:
    async with house(tmp_path) as home, home.phone() as phone:
        paid = await home.charge()
        await phone.pay(home.reader, paid)
        waiting = await home.charge()
        crook = await administration.add_merchant(
            home.issuer.storage, "Quite another", secrets.token_bytes, NOON
        )

        async def as_crook(method: str, path: str, **body: Any) -> tuple[int, str]:
            headers = {"Authorization": f"Bearer {crook.api_key}", "Idempotency-Key": secrets.token_hex(8)}
            status, said, _ = await home.call(method, path, headers=headers, **body)
            return status, said.get("code", "")

        for payment_id in (paid, waiting):
            path = f"/v1/payments/{payment_id}"
            not_there = (404, "payment_not_found")
            assert await as_crook("GET", path) == not_there
            assert await as_crook("POST", f"{path}/cancel") == not_there
            assert await as_crook("POST", f"{path}/refunds", json={"amount": 1}) == not_there
            assert await as_crook("GET", f"{path}/refunds") == not_there
        _, page, _ = await home.call(
            "GET", "/v1/payments", headers={"Authorization": f"Bearer {crook.api_key}"}
        )
        assert page["payments"] == []
        assert await status(home, paid) == "completed"
        assert await status(home, waiting) not in ("completed", "not_settled")


async def status(home: House, payment_id: str) -> str:
    _, payment, _ = await home.call("GET", f"/v1/payments/{payment_id}")
    return str(payment["status"])


async def test_ring_a_person_who_blocked_the_shop(tmp_path: Path) -> None:
    """To the shop the person is not there: it does not learn that it is the one who is refused."""
    async with house(tmp_path) as home, home.phone() as phone:
        payment_id = await home.charge()
        await phone.heard("payment_request", payment_id)
        await phone.say("decline", payment_id, reason="declined", block_merchant=True)
        await phone.heard("ack")
        for _ in range(3):
            answer, said, _ = await home.create()
            assert (answer, said.get("code")) == (422, "unknown_phone")
        _, page, _ = await home.call("GET", "/v1/payments")
        assert [payment["id"] for payment in page["payments"]] == [payment_id]
