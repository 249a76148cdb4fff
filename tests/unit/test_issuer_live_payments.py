"""Payments in memory: found, counted, forgotten with nothing left; clocks that no longer matter; no words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from issuer_server.live_payments import LivePayment, LivePayments, PaymentSecrets
from issuer_server.operations.observing import Observer
from issuer_server.payment import Effect, PaymentEvent, PaymentState
from issuer_server.payment_steps import TRY_AGAIN_AFTER
from issuer_server.storage.port import StorageError
from issuer_server.storage.records import PaymentRecord
from protocol.identifiers import CardholderId, MerchantId, PaymentId, PhoneNumber
from protocol.messages import NotSettled
from protocol.money import Money, currency
from tests.explorer.payments_table import requested
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import Bench, bench
from tests.unit.manual_timers import ManualTimers
from tests.unit.test_issuer_application_faults import FailingStorage

ALICE, BOB = CardholderId("chd_alice"), CardholderId("chd_bob")


def live(payment: str, cardholder: CardholderId) -> LivePayment:
    money, phone = Money(1200, currency("JPY")), PhoneNumber("+819012345678")
    return LivePayment(
        requested(PaymentId(payment), MerchantId("mer"), "Cafe", cardholder, phone, money, "tea", 1.0)
    )


def test_payments_are_found_by_id_and_by_person_and_leave_nothing_behind() -> None:
    payments = LivePayments()
    first, second, other = live("one", ALICE), live("two", ALICE), live("three", BOB)
    for each in (first, second, other):
        payments.add(each)
    assert not payments.none_left.is_set()
    assert (payments.get(first.id), payments.get(PaymentId("four"))) == (first, None)
    assert payments.of_cardholder(ALICE) == (first, second)
    assert payments.of_cardholder(CardholderId("chd_nobody")) == ()
    for each in (first, first, other):
        payments.forget(each)
        assert not payments.none_left.is_set()
    assert payments.of_cardholder(ALICE) == (second,)
    payments.forget(second)
    payments.forget(second)
    assert payments.none_left.is_set()
    assert (len(payments), list(payments)) == (0, [])
    assert vars(payments)["_by_cardholder"] == {}, "who never pays again takes no memory"


def test_seconds_are_left_while_somebody_is_waited_for() -> None:
    payment = live("one", ALICE)
    payment.deadline = 100.0
    assert payment.seconds_left(90.0) == 0.0
    payment.timer = ManualTimers().call_later(100.0, print)
    assert [payment.seconds_left(now) for now in (90.0, 99.5, 101.0)] == [10.0, 0.5, 0.0]


def test_secrets_show_nothing() -> None:
    secrets = PaymentSecrets(pin=bytearray(b"1234"), card_plaintext=bytearray(b";4000001234567899"))
    assert repr(secrets) == "PaymentSecrets(…)"


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, pin_attempts=2) as made:
        yield made


async def test_a_clock_that_struck_while_its_message_was_heard_strikes_nobody_else(issuer: Bench) -> None:
    """It waits for the lock that the message holds; by then the next PIN is waited for, or nobody."""
    payment_id, request = await issuer.pin_asked()
    payment = issuer.application._payments.get(payment_id)
    assert payment is not None
    state, deadline = payment.state, payment.deadline
    issuer.timers.advance(1.0)
    await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request, "9999"))
    assert (payment.state, payment.deadline) == (PaymentState.PIN_REQUESTED, deadline + 1.0)
    await issuer.application._steps._time_over(payment, state, deadline)
    await issuer.application._steps._time_over(payment, PaymentState.KEY_OFFERED, payment.deadline)
    assert (await issuer.shown(payment_id)).state is PaymentState.PIN_REQUESTED


async def test_an_ending_is_looked_up_until_it_can_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its commit went through and the answer was lost; the database then does not even tell."""
    made: list[FailingStorage] = []

    def wrap(storage: object) -> FailingStorage:
        made.append(FailingStorage(storage))  # type: ignore[arg-type]
        return made[0]

    async with bench(tmp_path, wrap_storage=wrap) as issuer:  # type: ignore[arg-type]
        [storage] = made
        payment_id = await issuer.offered()
        storage.fail("advance", "after")
        with pytest.raises(StorageError):
            await issuer.application.cancel(issuer.merchant.id, payment_id)
        storage.fail("payment", "before")
        issuer.timers.advance(TRY_AGAIN_AFTER)
        await eventually(lambda: not storage.failures["payment"])
        poll = asyncio.create_task(issuer.ended(payment_id))

        def tried_again() -> bool:
            issuer.timers.advance(TRY_AGAIN_AFTER)
            return poll.done()

        await eventually(tried_again)
        assert (await poll).reason is NotSettled.CANCELLED_BY_MERCHANT
        assert issuer.application.in_flight == 0
        said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert f"payment {payment_id}: cannot be read: StorageError" in said


class Watcher(Observer):
    """Remembers what it is told of moves and effects."""

    def __init__(self) -> None:
        self.moves: list[tuple[PaymentId, PaymentEvent, PaymentState]] = []
        self.effects: list[tuple[PaymentId, Effect]] = []

    def payment_moved(self, payment: PaymentRecord, event: PaymentEvent, state: PaymentState) -> None:
        self.moves.append((payment.id, event, state))

    @contextmanager
    def effect(self, payment: PaymentRecord, effect: Effect) -> Iterator[None]:
        self.effects.append((payment.id, effect))
        yield


async def test_each_move_is_one_line_of_the_log_and_told_to_who_watches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "issuer_server")
    async with bench(tmp_path, observer=(watcher := Watcher())) as issuer:
        payment_id = await issuer.ringing()
        await issuer.phone.say("decline", payment_id, reason="declined")
        await issuer.ended(payment_id)
    lines = [record for record in caplog.records if hasattr(record, "event")]
    assert [record.getMessage() for record in lines] == [
        f"payment {payment_id}: phone_reached, calling",
        f"payment {payment_id}: declined, not_settled (declined)",
    ]
    told: list[dict[str, object]] = [vars(record) for record in lines]
    assert [(each["payment_id"], each["event"], each["state"], each["reason"]) for each in told] == [
        (payment_id, "phone_reached", "calling", None),
        (payment_id, "declined", "not_settled", "declined"),
    ]
    assert watcher.moves == [
        (payment_id, PaymentEvent.PHONE_REACHED, PaymentState.CALLING),
        (payment_id, PaymentEvent.DECLINED, PaymentState.NOT_SETTLED),
    ]
    assert (payment_id, Effect.TELL_MERCHANT) in watcher.effects
    assert {payment for payment, _ in watcher.effects} == {payment_id}
