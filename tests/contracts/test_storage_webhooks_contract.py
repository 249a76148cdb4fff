"""What any storage promises of webhooks: laid out with what they tell of, kept until they arrived."""

from __future__ import annotations

import json
import os

import pytest

from issuer_server.payment import PaymentState
from issuer_server.storage.key_records import SealedSecret
from issuer_server.storage.port import NotFound, RefundRefused
from issuer_server.storage.records import NewWebhookEndpoint, Outbox, PaymentChanges, SettleResult
from protocol.identifiers import WebhookEndpointId, mint
from protocol.messages import NotSettled

S = PaymentState


async def endpoint(world, merchant=None, url="https://shop.example/hooks"):
    new = NewWebhookEndpoint(
        WebhookEndpointId(mint("whe", os.urandom(16))),
        merchant or world.merchant,
        url,
        SealedSecret(1, os.urandom(60)),
    )
    await world.storage.add_webhook_endpoint(new, world.now)
    return new


async def due(world, later=0.0, each=100):
    return await world.storage.due_webhooks(world.now + later, each)


async def test_each_end_of_a_payment_is_told_to_each_endpoint_of_its_merchant(world):
    mine = {(await endpoint(world)).id for _ in range(2)}
    await endpoint(world, await world.add_merchant())
    paid = await world.settled()
    declined = await world.create()
    await world.advance(declined, S.CALLING)
    assert len(await due(world)) == 2, "nothing is told of a payment that goes on"
    await world.advance(
        await world.storage.payment(declined.id), S.NOT_SETTLED, PaymentChanges(NotSettled.DECLINED)
    )
    left = await world.create()
    await world.storage.sweep(world.now)
    found = await due(world)
    assert {each.endpoint_id for each in found} == mine
    told = {each.message_id: json.loads(each.payload) for each in found}
    assert len(found) == 2 * len(told) == 6
    assert told[f"msg_{paid.id}"]["type"] == "payment.completed"
    assert told[f"msg_{declined.id}"]["data"]["payment"]["reason"] == "declined"
    assert told[f"msg_{left.id}"]["data"]["payment"]["reason"] == "issuer_restarted"
    assert {body["type"] for body in told.values()} == {"payment.completed", "payment.not_settled"}


async def test_the_outbox_counts_what_waits_and_what_was_given_up(world):
    assert await world.storage.outbox() == Outbox(0, 0, None)
    await endpoint(world)
    await world.settled()
    await world.settled()
    first, second = await due(world)
    before = await world.storage.outbox()
    assert (before.waiting, before.given_up) == (2, 0)
    assert before.oldest_at == pytest.approx(world.now, abs=0.001)
    await world.storage.webhook_failed(first, None, "HTTP status 500")
    await world.storage.webhook_delivered(second.message_id, second.endpoint_id)
    assert await world.storage.outbox() == Outbox(0, 1, None)


async def test_that_it_can_be_written_changes_nothing(world):
    payment = await world.create()
    await world.storage.check_writable()
    assert await world.storage.payment(payment.id) == payment


async def test_a_refund_is_told_once_and_a_refused_one_never(world):
    await endpoint(world)
    payment = await world.settled()
    refund = await world.refund(payment, 200, "k")
    assert await world.refund(payment, 200, "k") == refund
    with pytest.raises(RefundRefused):
        await world.refund(payment, 1_001)
    told = [json.loads(each.payload) for each in await due(world) if "ref_" in each.message_id]
    assert [body["type"] for body in told] == ["payment.refunded"]
    assert told[0]["data"]["refund"]["id"] == refund.id
    assert told[0]["data"]["payment"]["refunded_amount"] == 200


async def test_a_settlement_that_fails_is_not_told(world):
    await endpoint(world)
    payment = await world.create(world.yen(10_001))
    result = await world.storage.settle(payment.id, payment.state, world.card, world.now)
    assert result is SettleResult.INSUFFICIENT_FUNDS
    assert await due(world) == []


async def test_what_arrived_is_gone_and_what_failed_comes_back_in_its_time(world):
    await endpoint(world)
    await world.settled()
    (message,) = await due(world)
    await world.storage.webhook_failed(message, world.now + 60, "HTTP status 500")
    assert await due(world, 59) == []
    (again,) = await due(world, 60)
    assert (again.payload, again.attempts) == (message.payload, 1)
    (shown,) = await world.storage.webhook_endpoints(world.merchant)
    assert (shown.waiting, shown.failed, shown.problem) == (1, 0, "HTTP status 500")
    await world.storage.webhook_delivered(message.message_id, message.endpoint_id)
    assert await due(world, 1e6) == []


async def test_what_is_given_up_is_kept_to_be_seen(world):
    await endpoint(world)
    await world.settled()
    (message,) = await due(world)
    await world.storage.webhook_failed(message, None, "no answer in time")
    assert await due(world, 1e6) == []
    (shown,) = await world.storage.webhook_endpoints()
    assert (shown.waiting, shown.failed) == (0, 1)


async def test_one_silent_endpoint_does_not_stand_before_another(world):
    silent, other = await endpoint(world), None
    for _ in range(6):
        await world.settled(world.yen(1))
        world.now += 1
        if other is None:
            other = await endpoint(world)
    found = await due(world, each=2)
    assert [each.endpoint_id for each in found].count(silent.id) == 2
    assert [each.endpoint_id for each in found].count(other.id) == 2


async def test_both_secrets_sign_until_the_old_one_is_over(world):
    first = await endpoint(world)
    await world.settled()
    await world.storage.rotate_webhook_secret(first.id, SealedSecret(1, b"n" * 60), world.now + 100)
    assert (await due(world))[0].secrets == (SealedSecret(1, b"n" * 60), first.secret)
    assert (await due(world, 100))[0].secrets == (SealedSecret(1, b"n" * 60),)


async def test_an_endpoint_that_is_gone_is_left_alone(world):
    first = await endpoint(world)
    await world.settled()
    await world.storage.disable_webhook_endpoint(first.id)
    await world.settled()
    assert await due(world) == []
    assert (await world.storage.webhook_endpoints())[0].disabled


async def test_removing_an_endpoint_and_what_waits_for_it(world):
    first = await endpoint(world)
    await world.settled()
    await world.storage.remove_webhook_endpoint(first.id)
    assert await due(world) == []
    assert await world.storage.webhook_endpoints() == []
    for refused in (
        world.storage.remove_webhook_endpoint(first.id),
        world.storage.rotate_webhook_secret(first.id, SealedSecret(1, b"n" * 60), world.now),
        endpoint(world, "mer_nobody"),
    ):
        with pytest.raises(NotFound):
            await refused


async def test_what_did_not_arrive_is_seen_and_sent_again(world):
    first = await endpoint(world)
    undelivered = world.storage.undelivered
    assert await undelivered.of_endpoint(first.id, 10) == []
    paid = await world.settled()
    world.now += 1
    await world.settled()
    lost, waits = await due(world)
    await world.storage.webhook_failed(lost, None, "no answer in time")
    await world.storage.webhook_failed(waits, world.now + 3600, "HTTP status 500")
    given_up, later = await undelivered.of_endpoint(first.id, 10)
    assert (given_up.message_id, given_up.event) == (f"msg_{paid.id}", "payment.completed")
    assert (given_up.next_at, given_up.attempts, given_up.problem) == (None, 1, "no answer in time")
    assert later.next_at == pytest.approx(world.now + 3600, abs=0.001)
    assert await undelivered.of_endpoint(first.id, 1) == [given_up]
    assert await undelivered.send_again(first.id, waits.message_id, world.now) == 1
    assert [each.message_id for each in await due(world)] == [waits.message_id]
    assert await undelivered.send_again(first.id, None, world.now) == 2
    assert {(each.message_id, each.attempts) for each in await due(world)} == {
        (each.message_id, 0) for each in (lost, waits)
    }
    other = await endpoint(world)
    for refused in (
        undelivered.send_again(other.id, waits.message_id, world.now),
        undelivered.send_again(WebhookEndpointId("whe_nobody"), None, world.now),
        undelivered.of_endpoint(WebhookEndpointId("whe_nobody"), 1),
    ):
        with pytest.raises(NotFound):
            await refused


@pytest.mark.parametrize("next_in", [60.0, None])
async def test_an_attempt_that_failed_undoes_nothing_that_was_done_meanwhile(world, next_in):
    next_at = None if next_in is None else world.now + next_in
    first = await endpoint(world)
    await world.settled()
    (message,) = await due(world)
    assert await world.storage.webhook_failed(message, world.now + 5, "HTTP status 500")
    (message,) = await due(world, 5)
    await world.storage.undelivered.send_again(first.id, None, world.now + 5)  # due as before, and anew
    assert not await world.storage.webhook_failed(message, next_at, "no answer in time")
    (again,) = await due(world, 5)
    assert again.attempts == 0
    await world.storage.undelivered.send_again(first.id, None, world.now + 6)
    assert not await world.storage.webhook_failed(again, next_at, "no answer in time")
    (again,) = await due(world, 6)
    await world.storage.disable_webhook_endpoint(first.id)
    assert not await world.storage.webhook_failed(again, next_at, "no answer in time")
    outbox = await world.storage.outbox()
    assert (outbox.waiting, outbox.given_up) == (0, 1)
    await world.storage.remove_webhook_endpoint(first.id)
    assert not await world.storage.webhook_failed(again, next_at, "no answer in time")


async def test_an_endpoint_that_was_gone_comes_back_when_it_is_sent_to_again(world):
    first = await endpoint(world)
    await world.settled()
    await world.storage.disable_webhook_endpoint(first.id)
    assert await world.storage.undelivered.send_again(first.id, None, world.now) == 1
    await world.settled()
    assert len(await due(world)) == 2
    assert not (await world.storage.webhook_endpoints())[0].disabled


async def test_what_was_given_up_is_dropped_in_its_time_and_what_waits_is_not(world):
    await endpoint(world)
    await world.settled()
    await world.settled()
    lost, waits = await due(world)
    await world.storage.webhook_failed(lost, None, "no answer in time")
    assert await world.storage.undelivered.drop_given_up(world.now) == 0
    assert await world.storage.undelivered.drop_given_up(world.now + 1) == 1
    assert [each.message_id for each in await due(world)] == [waits.message_id]
