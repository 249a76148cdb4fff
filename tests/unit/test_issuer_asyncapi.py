"""docs/handset-channel.asyncapi.json against the frames of real payments, in both directions."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from protocol.messages import NotSettled, RefusalReason
from tests.unit.issuer_bench import b64, unb64
from tests.unit.issuer_house import TOKEN, House, SocketPhone, house
from tests.unit.schema_check import conforms

ROOT = Path(__file__).resolve().parents[2]
ASYNCAPI: dict[str, Any] = json.loads((ROOT / "docs/handset-channel.asyncapi.json").read_text("utf-8"))


def messages_of(operation: str) -> dict[str, str]:
    """Frame type to message name, of one direction."""
    names = [each["$ref"].rpartition("/")[2] for each in ASYNCAPI["operations"][operation]["messages"]]
    listed = {
        ASYNCAPI["components"]["messages"][name]["payload"]["properties"]["type"]["const"]: name
        for name in names
    }
    assert len(listed) == len(names)
    return listed


TYPES = {direction: messages_of(direction) for direction in ("fromPhone", "toPhone")}


class CheckedPhone(SocketPhone):
    """A phone all of whose frames, sent and received, are held to the description."""

    seen: set[str] = set()  # noqa: RUF012 - shared on purpose: one record for every phone of the test

    async def raw(self, text: str) -> None:
        self._check("fromPhone", json.loads(text))
        await super().raw(text)

    async def next_frame(self) -> dict[str, Any]:
        frame = await super().next_frame()
        self._check("toPhone", frame)
        return frame

    def _check(self, direction: str, frame: dict[str, Any]) -> None:
        name = TYPES[direction][frame["type"]]
        conforms(frame, ASYNCAPI["components"]["messages"][name]["payload"], ASYNCAPI, name)
        self.seen.add(name)

    async def mangled(self, text: str) -> None:
        """A frame that is not as described, on purpose."""
        await super().raw(text)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


async def test_every_message_of_real_payments_is_described_and_every_described_one_is_real(
    home: House,
) -> None:
    CheckedPhone.seen.clear()
    async with CheckedPhone(home.http, home.url, TOKEN) as phone:
        paid = await home.charge()
        await phone.pay(home.reader, paid)
        await phone.say("outcome_wanted", paid)
        await phone.heard("outcome", paid)

        declined = await home.charge()
        await phone.heard("payment_request", declined)
        await phone.say("decline", declined, reason="declined", block_merchant=False)
        await phone.say("decline", declined, reason="no_response")
        await phone.heard("payment_over", declined)

        refused = await home.charge()
        await phone.heard("payment_request", refused)
        await phone.say("approve", refused, reader_hello=b64(home.reader.hello()))
        home.reader.take_offer(unb64((await phone.heard("key_offer", refused))["data"]))
        refusal = home.reader.refuse(RefusalReason.NO_SWIPE)
        await phone.say("from_reader", refused, kind="refusal", data=b64(refusal))
        await phone.heard("result", refused)

        lost = await home.charge()
        await phone.heard("payment_request", lost)
        await phone.say("reader_unavailable", lost)
        assert (await phone.heard("result", lost))["reason"] == NotSettled.READER_UNAVAILABLE

        phone.sent += 1
        await phone.mangled(json.dumps({"type": "approve", "seq": phone.sent, "payment_id": "pay_x"}))
        await phone.heard("error")
        odd = await home.charge()
        await phone.heard("payment_request", odd)
        await phone.say("from_reader", odd, kind="card_envelope", data=b64(os.urandom(40)))
        assert (await phone.heard("error"))["payment_id"] == odd
    assert CheckedPhone.seen == set(ASYNCAPI["components"]["messages"])


def test_it_hangs_together() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    channel = ASYNCAPI["channels"]["handset"]
    assert channel["address"] == "/v1/handset/channel"
    assert set(channel["messages"]) == set(ASYNCAPI["components"]["messages"])
    assert {name for listed in TYPES.values() for name in listed.values()} == set(channel["messages"])


def test_it_knows_exactly_the_reasons_there_are() -> None:
    reasons = ASYNCAPI["components"]["messages"]["result"]["payload"]["properties"]["reason"]["enum"]
    assert set(reasons) == {None, *(reason.value for reason in NotSettled)}
