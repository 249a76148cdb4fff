"""Steps S1 to S5, S9, S31 to S33 and S46: the merchant asks, the phone rings, the person decides."""

# ruff: noqa: N802 - the steps are named as the patent writes them

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import aiohttp

from handset_client.effects import End
from handset_client.issuer_frames import Approve, Decline, DeclineReason, PaymentRequest
from issuer_server.payment import Deadlines
from issuer_server.seed import MERCHANT_NAME
from protocol.identifiers import PaymentId
from protocol.messages import MessageType, NotSettled, ReaderHello
from protocol.money import Money
from tests.journey.parties import JPY, PHONE, PRICE, Parties, Times, parties
from tests.journey.person import Person
from tests.journey.taps import Way
from tests.journey.told import assert_merchant_alone_is_told

BODY = {"phone": PHONE, "amount": PRICE, "currency": "JPY", "order": "2 coffees"}


async def post(world: Parties, api_key: str, **headers: str) -> tuple[int, str, Any]:
    """POST /v1/payments as any merchant's software may; status, content type and document."""
    authorization = {"Authorization": f"Bearer {api_key}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            world.issuer.url + "/v1/payments", json=BODY, headers={**authorization, **headers}
        ) as answer,
    ):
        return answer.status, answer.content_type, await answer.json()


def rang(world: Parties) -> bool:
    """Whether the issuer called the phone at all."""
    return any(isinstance(frame, PaymentRequest) for _, frame in world.phone.wire.entries)


async def test_201_S1_the_merchant_asks_with_number_amount_and_its_identity(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(approves=None)) as world:
        key = {"Idempotency-Key": secrets.token_hex(8)}
        status, _, payment = await post(world, world.seeded.merchant.api_key, **key)
        assert (status, payment["status"], payment["amount"], payment["phone"]) == (
            201,
            "requested",
            PRICE,
            PHONE,
        )
        # The same request again is the same payment, and the phone rings once.
        status, _, again = await post(world, world.seeded.merchant.api_key, **key)
        assert (status, again["id"]) == (201, payment["id"])
        await world.status(PaymentId(payment["id"]), "calling")
        await world.phone.caught_up()
        assert len(world.phone.heard(PaymentRequest, payment["id"])) == 1


async def test_S1_without_an_idempotency_key_nothing_is_asked(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        status, kind, problem = await post(world, world.seeded.merchant.api_key)
        assert (status, kind, problem["code"]) == (400, "application/problem+json", "idempotency_key_missing")
        await world.phone.caught_up()
        assert not rang(world)


async def test_S2_S3_S9_unknown_merchant_is_dropped_and_told(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        status, kind, problem = await post(world, "brm_" + "A" * 43, **{"Idempotency-Key": "one"})
        assert (status, kind, problem["code"]) == (401, "application/problem+json", "unauthorized")
        assert problem["request_id"]
        await world.phone.caught_up()
        assert not rang(world)
        assert (await world.merchant.payments()).payments == ()


async def test_S2_S3_S9_blocked_merchant_is_dropped_and_told(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        await world.issuer.running.storage.set_merchant_blocked(world.seeded.merchant.id, True)
        status, kind, problem = await post(world, world.seeded.merchant.api_key, **{"Idempotency-Key": "one"})
        assert (status, kind, problem["code"]) == (403, "application/problem+json", "merchant_blocked")
        await world.phone.caught_up()
        assert not rang(world)


async def test_202_S4_S31_the_phone_shows_amount_and_registered_merchant(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(approves=None)) as world:
        payment_id = await world.ask(order="2 tickets, row 5")
        shown = await world.person.phone.asked.until(lambda request: request.payment_id == payment_id)
        assert shown.merchant_name == MERCHANT_NAME  # table 31's, never text from the request
        assert shown.amount == Money(PRICE, JPY)
        assert shown.order == "2 tickets, row 5"
        assert (await world.merchant.payment(payment_id)).status == "calling"


async def test_S4_a_phone_that_is_not_connected_is_unreachable_after_a_grace_time(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(issuer=Deadlines(call=0.3))) as world:
        await world.phone.stop()
        payment = await world.pay()
        assert payment.reason == NotSettled.HANDSET_UNREACHABLE
        assert not rang(world)


async def test_S4_a_phone_that_comes_within_the_grace_time_is_called(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        await world.phone.stop()
        payment_id = await world.ask()
        again = world.another_phone()
        await again.start()
        try:
            assert (await world.outcome(payment_id)).status == "completed"
        finally:
            await again.stop()


async def test_S32_S46_a_decline_reaches_the_merchant(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(approves=False)) as world:
        payment_id = await world.ask()
        await assert_merchant_alone_is_told(world, payment_id, NotSettled.DECLINED)
        ending = await world.person.phone.endings.until(lambda end: end.request.payment_id == payment_id)
        assert (ending.end, ending.reason) == (End.NOT_SETTLED, NotSettled.DECLINED)
        assert (Way.TO_ISSUER, Decline(payment_id, DeclineReason.DECLINED)) in world.phone.wire.entries


async def test_S32_S46_no_answer_in_the_set_time_is_another_reason(tmp_path: Path) -> None:
    # The phone is given whole seconds: 1 here, and the issuer waits somewhat longer.
    async with parties(tmp_path, Times(issuer=Deadlines(approval=1.9)), Person(approves=None)) as world:
        payment_id = await world.ask()
        await assert_merchant_alone_is_told(world, payment_id, NotSettled.NO_RESPONSE)
        assert (Way.TO_ISSUER, Decline(payment_id, DeclineReason.NO_RESPONSE)) in world.phone.wire.entries


async def test_S5_S9_no_approval_in_time_ends_it_whatever_the_phone_says(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(issuer=Deadlines(approval=0.3)), Person(approves=None)) as world:
        payment_id = await world.ask()
        await assert_merchant_alone_is_told(world, payment_id, NotSettled.APPROVAL_TIMEOUT)
        # An approval that comes now is late: it changes nothing.
        request = world.person.phone.asked.entries[0]
        world.person.phone.press(request, approved=True)
        await world.phone.wire.until(lambda passed: isinstance(passed[1], Approve))
        await world.phone.caught_up()
        assert (await world.merchant.payment(payment_id)).reason == NotSettled.APPROVAL_TIMEOUT
        assert not world.phone.brought(MessageType.KEY_OFFER, payment_id)


async def test_S33_the_approval_carries_the_readers_identity_and_nonce(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(card=None)) as world:
        payment_id = await world.ask()
        await world.status(payment_id, "key_offered")
        way, approval = await world.phone.wire.until(lambda passed: isinstance(passed[1], Approve))
        assert way is Way.TO_ISSUER
        assert isinstance(approval, Approve)
        hello = ReaderHello.decode(approval.reader_hello)
        assert hello.reader_id == world.reader.id
        assert len(hello.nonce) == 16
