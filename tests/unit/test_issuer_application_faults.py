"""The issuer when things break: the database fails, answers get lost, phones forget, the process restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from issuer_server import payment_effects
from issuer_server.application import (
    NotCancellable,
    PaymentNotFound,
)
from issuer_server.payment import PaymentState
from issuer_server.payment_steps import TRY_AGAIN_AFTER
from issuer_server.storage.port import IdempotencyMismatch, StorageError
from issuer_server.storage.sqlite import SqliteStorage
from protocol.errors import InputError
from protocol.identifiers import MerchantId, PhoneNumber
from protocol.messages import NotSettled, Verdict
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import Bench, bench, unb64


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


class FailingStorage:
    """The real storage, of which named methods fail: before their transaction, or with their answer lost."""

    def __init__(self, real: SqliteStorage) -> None:
        self.real = real
        self.failures: dict[str, list[str]] = {}

    def fail(self, method: str, *how: str) -> None:
        """`before` or `after` for each of the next calls."""
        self.failures[method] = list(how)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.real, name)
        if not asyncio.iscoroutinefunction(real):
            return real

        async def call(*arguments: Any, **named: Any) -> Any:
            how = self.failures.get(name)
            now = how.pop(0) if how else None
            if now == "before":
                raise StorageError("disk full")
            answer = await real(*arguments, **named)
            if now == "after":
                raise StorageError("connection lost")
            return answer

        return call


@pytest.fixture
async def failing(tmp_path: Path) -> AsyncIterator[tuple[Bench, FailingStorage]]:
    made: list[FailingStorage] = []

    def wrap(storage: SqliteStorage) -> Any:
        made.append(FailingStorage(storage))
        return made[0]

    async with bench(tmp_path, wrap_storage=wrap) as issuer:
        yield issuer, made[0]


@pytest.mark.parametrize("how", ["before", "after"])
async def test_storage_that_fails_at_the_offer_ends_the_payment(
    failing: tuple[Bench, FailingStorage], how: str
) -> None:
    issuer, storage = failing
    payment_id = await issuer.ringing()
    storage.fail("advance", how)
    await issuer.approve(payment_id)
    payment = await issuer.ended(payment_id)
    assert payment.reason is NotSettled.INTERNAL_ERROR
    assert "key_offer" not in issuer.phone.heard_kinds(payment_id)
    assert (await issuer.storage.payment(payment_id)) == payment


async def test_settlement_that_fails_posts_nothing_and_is_one_line_of_the_log(
    failing: tuple[Bench, FailingStorage], caplog: pytest.LogCaptureFixture
) -> None:
    issuer, storage = failing
    payment_id, request = await issuer.pin_asked()
    storage.fail("settle", "before")
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    assert (await issuer.ended(payment_id)).reason is NotSettled.INTERNAL_ERROR
    assert (await issuer.balances())["cardholder"] == 100_000
    [line] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.getMessage() == f"payment {payment_id}: settle failed: StorageError"
    told: dict[str, object] = vars(line)
    assert (told["payment_id"], told["effect"]) == (payment_id, "settle")


async def test_settlement_whose_answer_is_lost_is_told_as_it_is(
    failing: tuple[Bench, FailingStorage],
) -> None:
    issuer, storage = failing
    payment_id, request = await issuer.pin_asked()
    storage.fail("settle", "after")
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    assert (await issuer.ended(payment_id)).state is PaymentState.COMPLETED
    assert (await issuer.outcome(payment_id)).verdict is Verdict.APPROVED
    assert (await issuer.phone.heard("result", payment_id))["outcome"] == "completed"
    assert (await issuer.balances())["merchant"] == 1200


async def test_an_ending_that_cannot_be_committed_is_not_told_until_it_is(
    failing: tuple[Bench, FailingStorage],
) -> None:
    issuer, storage = failing
    payment_id = await issuer.offered()
    storage.fail("advance", "before", "before", "after")
    with pytest.raises(StorageError):
        await issuer.application.cancel(issuer.merchant.id, payment_id)
    assert (await issuer.shown(payment_id)).state is PaymentState.KEY_OFFERED
    assert "result" not in issuer.phone.heard_kinds(payment_id)
    live = issuer.application._payments.get(payment_id)
    assert live is not None
    assert live.secrets.key is None  # the key does not wait for the database
    ending = asyncio.create_task(issuer.ended(payment_id))

    def tried_again() -> bool:
        issuer.timers.advance(TRY_AGAIN_AFTER)
        return ending.done()

    await eventually(tried_again)
    assert (await ending).reason is NotSettled.CANCELLED_BY_MERCHANT
    assert issuer.phone.heard_kinds(payment_id).count("result") == 1


async def test_a_creation_whose_answer_is_lost_is_taken_on(failing: tuple[Bench, FailingStorage]) -> None:
    issuer, storage = failing
    storage.fail("create_payment", "after")
    await issuer.ringing()
    storage.fail("create_payment", "before")
    with pytest.raises(StorageError):
        await issuer.charge()
    assert issuer.application.in_flight == 1


async def test_a_pin_check_that_fails_after_the_claim_keeps_the_try_used(
    failing: tuple[Bench, FailingStorage],
) -> None:
    issuer, storage = failing
    payment_id, request = await issuer.pin_asked()
    storage.fail("claim_pin_try", "after")
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    assert (await issuer.ended(payment_id)).reason is NotSettled.INTERNAL_ERROR
    assert await issuer.storage.claim_pin_try(issuer.card) == 1


async def test_an_outcome_that_cannot_be_signed_holds_nobody_up(
    issuer: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = await issuer.offered()
    await issuer.phone.say("outcome_wanted", payment_id)
    poll = asyncio.create_task(issuer.application.wait(issuer.merchant.id, payment_id, 60))
    await eventually(lambda: issuer.is_polled(payment_id))

    def fail(*_: object) -> None:
        raise OSError("the key is out of reach")

    monkeypatch.setattr(payment_effects, "outcome_of", fail)
    await issuer.application.cancel(issuer.merchant.id, payment_id)
    async with asyncio.timeout(10):
        assert (await poll).reason is NotSettled.CANCELLED_BY_MERCHANT
    assert issuer.application.in_flight == 0
    assert issuer.application._payments.get(payment_id) is None


async def test_a_payment_that_somebody_else_ended_is_taken_as_it_is(issuer: Bench) -> None:
    payment_id = await issuer.offered()
    await issuer.storage.sweep(1.0)
    await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe())
    payment = await issuer.ended(payment_id)
    assert payment.reason is NotSettled.ISSUER_RESTARTED
    assert (await issuer.phone.heard("result", payment_id))["reason"] == "issuer_restarted"


async def test_fifty_creations_under_one_key_make_one_payment(issuer: Bench) -> None:
    ids = await asyncio.gather(*(issuer.charge(key="same") for _ in range(50)))
    assert len(set(ids)) == 1
    assert issuer.application.in_flight == 1
    await issuer.phone.heard("payment_request", ids[0])
    assert issuer.phone.heard_kinds(ids[0]) == ["payment_request"]


async def test_a_replay_gives_the_first_answer_and_rings_nobody(issuer: Bench) -> None:
    from issuer_server.application import PaymentRequest
    from issuer_server.storage.records import IdempotencyClaim
    from protocol.identifiers import Digest
    from protocol.money import Money
    from tests.unit.issuer_bench import PHONE, YEN

    payment_id = await issuer.ringing(key="k")
    request = PaymentRequest(PHONE, Money(1200, YEN), "2 coffees")
    again = await issuer.application.create_payment(
        issuer.merchant, request, IdempotencyClaim("k", Digest(bytes(32)))
    )
    assert (again.id, again.state) == (payment_id, PaymentState.REQUESTED)
    with pytest.raises(IdempotencyMismatch):
        await issuer.application.create_payment(
            issuer.merchant, request, IdempotencyClaim("k", Digest(b"x" * 32))
        )
    assert issuer.phone.heard_kinds(payment_id) == ["payment_request"]


async def test_an_unknown_and_a_blocked_cardholder_look_alike(issuer: Bench) -> None:
    from issuer_server.application import PaymentRequest
    from issuer_server.storage.records import IdempotencyClaim
    from protocol.identifiers import Digest
    from protocol.money import Money
    from tests.unit.issuer_bench import PHONE, YEN

    texts = []
    for phone in (PhoneNumber("+818099999999"), PHONE):
        await issuer.storage.set_cardholder_blocked(issuer.cardholder, True)
        with pytest.raises(InputError) as refusal:
            await issuer.application.create_payment(
                issuer.merchant,
                PaymentRequest(phone, Money(1, YEN), "tea"),
                IdempotencyClaim("k", Digest(bytes(32))),
            )
        texts.append((refusal.value.code, str(refusal.value)))
    assert texts[0] == texts[1]
    assert texts[0][0] == "unknown_phone"


@pytest.mark.parametrize("at", ["ringing", "offered", "pin_asked"])
async def test_a_merchant_cancels(issuer: Bench, at: str) -> None:
    made = await getattr(issuer, at)()
    payment_id = made[0] if isinstance(made, tuple) else made
    payment = await issuer.application.cancel(issuer.merchant.id, payment_id)
    assert payment.reason is NotSettled.CANCELLED_BY_MERCHANT
    assert (await issuer.phone.heard("result", payment_id))["reason"] == "cancelled_by_merchant"
    assert ("outcome" in issuer.phone.heard_kinds(payment_id)) is (at != "ringing")
    assert await issuer.application.cancel(issuer.merchant.id, payment_id) == payment


async def test_a_cancel_before_the_phone_was_reached_tells_it_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, connect=False) as issuer:
        payment_id = await issuer.charge()
        await issuer.application.cancel(issuer.merchant.id, payment_id)
        await issuer.phone.connect()
        assert issuer.phone.heard_kinds(payment_id) == []


async def test_a_settled_payment_cannot_be_cancelled(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request))
    await issuer.ended(payment_id)
    with pytest.raises(NotCancellable) as refusal:
        await issuer.application.cancel(issuer.merchant.id, payment_id)
    assert refusal.value.payment.state is PaymentState.COMPLETED


async def test_a_cancel_that_meets_the_settlement_changes_nothing(issuer: Bench) -> None:
    payment_id, request = await issuer.pin_asked()
    signed = issuer.reader.type_pin(request)
    paid, cancelled = await asyncio.gather(
        issuer.from_reader(payment_id, "pin_envelope", signed),
        issuer.application.cancel(issuer.merchant.id, payment_id),
        return_exceptions=True,
    )
    payment = await issuer.ended(payment_id)
    if payment.state is PaymentState.COMPLETED:
        assert isinstance(cancelled, NotCancellable)
        assert (await issuer.balances())["merchant"] == 1200
    else:
        assert paid is None or not isinstance(paid, BaseException)
        assert (await issuer.balances())["cardholder"] == 100_000


async def test_another_merchants_payment_is_not_found(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    other = MerchantId("mer_" + "a" * 26)
    for ask in (issuer.application.payment, issuer.application.cancel):
        with pytest.raises(PaymentNotFound):
            await ask(other, payment_id)
    with pytest.raises(PaymentNotFound):
        await issuer.application.wait(other, payment_id, 1)


async def test_waiting_wakes_at_the_end_and_with_seen_at_any_move(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    end = asyncio.create_task(issuer.application.wait(issuer.merchant.id, payment_id, 30))
    move = asyncio.create_task(
        issuer.application.wait(issuer.merchant.id, payment_id, 30, PaymentState.CALLING)
    )
    await eventually(lambda: issuer.is_polled(payment_id, by=2))
    await issuer.approve(payment_id)
    assert (await move).state in (PaymentState.APPROVED, PaymentState.KEY_OFFERED)
    assert not end.done()
    await issuer.application.cancel(issuer.merchant.id, payment_id)
    assert (await end).state is PaymentState.NOT_SETTLED
    at_once = await issuer.application.wait(issuer.merchant.id, payment_id, 30, PaymentState.NOT_SETTLED)
    assert at_once.state is PaymentState.NOT_SETTLED
    assert not issuer.parts.bus._listeners.keys() & {f"moved.{payment_id}", f"payment.{payment_id}"}  # type: ignore[attr-defined]


async def test_waiting_gives_up_after_its_time(issuer: Bench) -> None:
    payment_id = await issuer.ringing()
    payment = await issuer.application.wait(issuer.merchant.id, payment_id, 0.01)
    assert payment.state is PaymentState.CALLING


async def test_twenty_parallel_wrong_pins_use_exactly_the_tries_there_are(issuer: Bench) -> None:
    from tests.unit.issuer_bench import Reader, enrol_reader

    asked = []
    for _ in range(20):
        reader = Reader(issuer.reader.issuer_key)
        await enrol_reader(issuer.storage, issuer.cardholder, reader.key)
        payment_id = await issuer.ringing()
        await issuer.approve(payment_id, reader)
        reader.take_offer(unb64((await issuer.phone.heard("key_offer", payment_id))["data"]))
        await issuer.from_reader(payment_id, "card_envelope", reader.swipe())
        request = unb64((await issuer.phone.heard("pin_request", payment_id))["data"])
        asked.append((payment_id, reader.type_pin(request, "9999")))
    await asyncio.gather(*(issuer.from_reader(pid, "pin_envelope", signed) for pid, signed in asked))
    reasons = [(await issuer.ended(payment_id)).reason for payment_id, _ in asked]
    assert reasons.count(NotSettled.WRONG_PIN) == 3
    assert reasons.count(NotSettled.PIN_BLOCKED) == 17
