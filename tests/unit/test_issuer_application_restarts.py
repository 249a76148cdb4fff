"""Phones that come back, outcomes wanted later, and an issuer that stops or was stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from issuer_server.application import (
    IssuerApplication,
    IssuerStopping,
)
from issuer_server.bus.local import LocalBus
from issuer_server.key_custody.file_keys import IssuerKeys
from issuer_server.payment import PaymentState
from protocol.identifiers import PaymentId
from protocol.messages import NotSettled, Verdict
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import Bench, BusPhone, ManualTimers, bench, unb64


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


async def test_a_phone_that_forgot_the_call_is_called_again(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    issuer.timers.advance(20)
    await issuer.phone.connect()
    again = await issuer.phone.heard("payment_request", payment_id, 2)
    assert again["approve_within_seconds"] == 40  # its time does not begin anew
    await issuer.approve(payment_id)
    await issuer.phone.heard("key_offer", payment_id)


async def test_a_phone_that_forgot_an_approved_payment_ends_it(issuer: Bench) -> None:
    payment_id, _ = await issuer.pin_asked()
    await issuer.phone.connect()
    assert (await issuer.ended(payment_id)).reason is NotSettled.HANDSET_FAULT


async def test_a_phone_that_resumes_goes_on(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    await issuer.phone.connect(resumed=True)
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    assert (await issuer.ended(payment_id)).state is PaymentState.COMPLETED


async def test_an_outcome_wanted_before_the_end_comes_with_the_end(issuer: Bench) -> None:
    payment_id = await issuer.offered()
    assert await issuer.phone.say("outcome_wanted", payment_id) is None
    issuer.timers.advance(60)  # S9 would tell the phone nothing
    assert (await issuer.outcome(payment_id)).reason is NotSettled.CARD_TIMEOUT


async def test_an_outcome_wanted_later_is_signed_again(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    first = await issuer.phone.heard("outcome", payment_id)
    again = await issuer.phone.say("outcome_wanted", payment_id)
    assert again is not None
    assert again["data"] == first["data"]


async def restarted(issuer: Bench) -> tuple[IssuerApplication, BusPhone]:
    """Another process over the same database, the first one gone without a word."""
    parts = issuer.parts
    new = type(parts)(
        issuer_id=parts.issuer_id,
        keys=parts.keys,
        storage=issuer.storage,
        bus=LocalBus(),
        timers=ManualTimers(),
        clock=parts.clock,
    )
    application = IssuerApplication(new)
    await application.start()
    phone = BusPhone(new, issuer.phone.handset)
    await phone.connect()
    return application, phone


@pytest.mark.parametrize("at", ["ringing", "offered", "pin_asked"])
async def test_a_restart_ends_what_was_in_flight(issuer: Bench, at: str) -> None:
    made = await getattr(issuer, at)()
    payment_id = made[0] if isinstance(made, tuple) else made
    application, phone = await restarted(issuer)
    payment = await application.payment(issuer.merchant.id, payment_id)
    assert (payment.state, payment.reason) == (PaymentState.NOT_SETTLED, NotSettled.ISSUER_RESTARTED)
    frame = await phone.say("outcome_wanted", payment_id)
    assert frame is not None
    if at == "ringing":  # no offer, no outcome
        assert frame == {"type": "payment_over", "payment_id": payment_id, "reason": "issuer_restarted"}
    else:
        outcome = issuer.reader.read_outcome(unb64(frame["data"]))
        assert (outcome.verdict, outcome.reason) == (Verdict.NOT_SETTLED, NotSettled.ISSUER_RESTARTED)
    await application.stop(0)


async def test_a_restart_after_settlement_still_says_approved(issuer: Bench) -> None:
    from protocol.signing import digest

    payment_id, request = await issuer.pin_asked()
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    await issuer.ended(payment_id)
    application, phone = await restarted(issuer)
    frame = await phone.say("outcome_wanted", payment_id)
    assert frame is not None
    outcome = issuer.reader.read_outcome(unb64(frame["data"]))
    assert outcome.verdict is Verdict.APPROVED
    assert outcome.last_message == digest(issuer.reader.last_sent)
    await application.stop(0)


async def test_outcome_of_a_payment_nobody_knows(issuer: Bench) -> None:
    unknown = PaymentId("pay_" + "a" * 26)
    assert await issuer.phone.say("outcome_wanted", unknown) == {
        "type": "payment_over",
        "payment_id": unknown,
        "reason": "unknown_payment",
    }


async def test_a_stop_ends_payments_at_once_and_not_one_after_another(
    issuer: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = [await issuer.offered() for _ in range(3)]
    all_ask = asyncio.Barrier(len(payments))

    async def answer_when_all_ask(_: IssuerKeys, work: Callable[[], bytes]) -> bytes:
        async with asyncio.timeout(5):
            await all_ask.wait()
        return work()

    monkeypatch.setattr(IssuerKeys, "ask", answer_when_all_ask)
    await issuer.application.stop(0)
    for payment_id in payments:
        assert (await issuer.shown(payment_id)).reason is NotSettled.ISSUER_RESTARTED
        assert "outcome" in issuer.phone.heard_kinds(payment_id)


async def test_a_graceful_stop_waits_and_then_ends_what_is_left(issuer: Bench) -> None:
    first, request = await issuer.pin_asked()
    second = await issuer.ringing()
    waiting = asyncio.create_task(issuer.application.wait(issuer.merchant.id, second, 30))
    await eventually(lambda: issuer.is_polled(second))
    stopping = asyncio.create_task(issuer.application.stop(0.3))
    await eventually(lambda: issuer.application.stopping)
    with pytest.raises(IssuerStopping):
        await issuer.charge()
    assert (await waiting).state is PaymentState.CALLING
    await issuer.from_reader(first, "pin_envelope", issuer.reader.type_pin(request))
    assert (await issuer.ended(first)).state is PaymentState.COMPLETED
    await stopping
    payment = await issuer.shown(second)
    assert payment.reason is NotSettled.ISSUER_RESTARTED
    assert (await issuer.phone.heard("result", second))["reason"] == "issuer_restarted"
    assert issuer.application.in_flight == 0
