"""A real issuer process, and in the test itself a shop, a phone and a reader that call it."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from protocol.enrolment import EnrolmentCode
from protocol.messages import ReaderEnrolment
from protocol.signing import sign_message
from tests.journey.programs import Programs, free_port
from tests.unit.issuer_bench import ISSUER, Reader, b64
from tests.unit.issuer_house import SocketPhone


@dataclass
class Shop:
    """A merchant at a running issuer, and the cardholder's things."""

    http: aiohttp.ClientSession
    url: str
    api_key: str
    phone: SocketPhone
    reader: Reader
    number: str
    pin: str

    async def call(self, method: str, path: str, **body: Any) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": os.urandom(8).hex()}
        async with self.http.request(method, self.url + path, headers=headers, **body) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def charge(self) -> tuple[int, Any, Any]:
        body = {"phone": self.number, "amount": 1200, "currency": "JPY", "order": "2 coffees"}
        return await self.call("POST", "/v1/payments", json=body)

    async def ring(self) -> str:
        status, payment, _ = await self.charge()
        assert status == 201, payment
        await self.phone.heard("payment_request", payment["id"])
        return str(payment["id"])

    async def finish(self, payment_id: str) -> Any:
        """What phone and reader do once it rings; the phone's result."""
        self.phone.unread.append({"type": "payment_request", "payment_id": payment_id})
        return await self.phone.pay(self.reader, payment_id, self.pin)

    async def pay(self) -> str:
        """A whole payment; its id."""
        payment_id = await self.ring()
        assert (await self.finish(payment_id))["outcome"] == "completed"
        return payment_id


def set_up(them: Programs, settings: str = "") -> tuple[str, Any]:
    """An issuer's data with people in it, made by its own commands; its address and what `seed` printed."""
    port = free_port()
    them.run("issuer-server", "init", "--issuer-id", ISSUER, "--port", str(port))
    with (them.folder / "issuer-data" / "issuer.toml").open("a") as file:
        file.write(settings)
    return f"http://127.0.0.1:{port}", json.loads(them.run("issuer-server", "seed", "--json"))


@asynccontextmanager
async def open_shop(url: str, seeded: Any) -> AsyncIterator[Shop]:
    """Enrol a phone and a reader as their programs do, and connect the phone."""
    owner = seeded["cardholders"][0]
    card = next(card for card in owner["cards"] if card["label"] == "good")
    async with aiohttp.ClientSession() as http:
        handset = EnrolmentCode.parse(owner["handset_code"])
        body = {"secret": b64(handset.secret)}
        async with http.post(f"{url}/v1/enrolments/handset", json=body) as answer:
            token = (await answer.json())["token"]
        code = EnrolmentCode.parse(owner["reader_code"])
        reader = Reader(code.issuer_public_key)
        proof = ReaderEnrolment(ISSUER, code.secret, reader.key.public_key, "pi-1")
        body = {"proof": b64(sign_message(reader.key, proof))}
        async with http.post(f"{url}/v1/enrolments/reader", json=body) as answer:
            assert answer.status == 201, await answer.text()
        swipe = functools.partial(reader.swipe, card["pan"], card["expiry"])
        reader.swipe = swipe  # type: ignore[method-assign]
        async with SocketPhone(http, url, token) as phone:
            yield Shop(http, url, seeded["merchant"]["api_key"], phone, reader, owner["phone"], card["pin"])
