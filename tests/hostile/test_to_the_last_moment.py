"""A phone that holds each message back to its deadline: until then it counts, from then on it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from issuer_server.payment import Deadlines, PaymentState
from protocol.identifiers import PaymentId
from protocol.messages import NotSettled
from tests.unit.issuer_bench import Bench, bench, unb64

DEADLINES = Deadlines(call=7.0, approval=11.0, card=13.0, pin=17.0)
A_MOMENT = 0.001
Answer = dict[str, Any] | None
Held = tuple[PaymentId, Callable[[], Awaitable[Answer]]]


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, deadlines=DEADLINES) as made:
        yield made


async def called(issuer: Bench) -> Held:
    """The phone is away when it is called."""
    await issuer.phone.disconnect()
    payment_id = await issuer.charge()

    async def arrive() -> Answer:
        await issuer.phone.connect()
        if not (await issuer.shown(payment_id)).state.is_final:
            await issuer.phone.heard("payment_request", payment_id)
        return None

    return payment_id, arrive


async def approved(issuer: Bench) -> Held:
    payment_id = await issuer.ringing()
    return payment_id, lambda: issuer.approve(payment_id)


async def swiped(issuer: Bench) -> Held:
    payment_id = await issuer.offered()
    card = issuer.reader.swipe()
    return payment_id, lambda: issuer.from_reader(payment_id, "card_envelope", card)


async def typed(issuer: Bench) -> Held:
    payment_id, request = await issuer.pin_asked()
    pin = issuer.reader.type_pin(request)
    return payment_id, lambda: issuer.from_reader(payment_id, "pin_envelope", pin)


WAITS = [
    pytest.param(called, DEADLINES.call, NotSettled.HANDSET_UNREACHABLE, PaymentState.CALLING, id="call"),
    pytest.param(
        approved, DEADLINES.approval, NotSettled.APPROVAL_TIMEOUT, PaymentState.KEY_OFFERED, id="approval"
    ),
    pytest.param(swiped, DEADLINES.card, NotSettled.CARD_TIMEOUT, PaymentState.PIN_REQUESTED, id="card"),
    pytest.param(typed, DEADLINES.pin, NotSettled.PIN_TIMEOUT, PaymentState.COMPLETED, id="PIN"),
]
Get = Callable[[Bench], Awaitable[Held]]


@pytest.mark.parametrize(("get", "seconds", "reason", "after"), WAITS)
async def test_bring_it_at_the_last_moment(
    issuer: Bench, get: Get, seconds: float, reason: NotSettled, after: PaymentState
) -> None:
    payment_id, bring = await get(issuer)
    issuer.timers.advance(seconds - A_MOMENT)
    assert await bring() is None
    assert (await issuer.shown(payment_id)).state is after
    # The clock that was about to strike does not strike the next wait.
    issuer.timers.advance(2 * A_MOMENT)
    assert (await issuer.shown(payment_id)).state is after


@pytest.mark.parametrize(("get", "seconds", "reason", "after"), WAITS)
async def test_bring_it_too_late(
    issuer: Bench, get: Get, seconds: float, reason: NotSettled, after: PaymentState
) -> None:
    before = await issuer.balances()
    payment_id, bring = await get(issuer)
    issuer.timers.advance(seconds)
    ended = await issuer.ended(payment_id)
    assert (ended.state, ended.reason) == (PaymentState.NOT_SETTLED, reason)
    reply = await bring()
    if reply is not None:
        assert (reply["type"], reply["reason"]) == ("payment_over", reason)
    assert (await issuer.shown(payment_id)).reason == reason
    assert await issuer.balances() == before
    assert await issuer.storage.claim_pin_try(issuer.card) == 2


async def test_stretch_a_payment_over_every_deadline(issuer: Bench) -> None:
    """All four at the last moment: the longest that a phone can keep a shop waiting, and it is paid."""
    payment_id, arrive = await called(issuer)
    issuer.timers.advance(DEADLINES.call - A_MOMENT)
    await arrive()
    issuer.timers.advance(DEADLINES.approval - A_MOMENT)
    assert await issuer.approve(payment_id) is None
    issuer.reader.take_offer(unb64((await issuer.phone.heard("key_offer", payment_id))["data"]))
    issuer.timers.advance(DEADLINES.card - A_MOMENT)
    assert await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe()) is None
    request = unb64((await issuer.phone.heard("pin_request", payment_id))["data"])
    issuer.timers.advance(DEADLINES.pin - A_MOMENT)
    assert await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request)) is None
    assert (await issuer.ended(payment_id)).state is PaymentState.COMPLETED
