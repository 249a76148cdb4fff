"""The whole issuer against a simple model: any order of what people, clock, network and crashes can do.

Clock and network are simulated, database and cryptography are real. A failure prints the steps and how to
replay them; `--hypothesis-seed=N` fixes the choices, and BLIND_RELAY_EXAMPLES=2000 looks further.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from issuer_server.application import IssuerApplication, NotCancellable, PaymentRequest
from issuer_server.bus.local import LocalBus
from issuer_server.ledger import check_trial_balance
from issuer_server.payment import Deadlines
from issuer_server.storage.port import IdempotencyMismatch, RefundRefused
from issuer_server.storage.records import IdempotencyClaim
from protocol.identifiers import Digest, PaymentId
from protocol.messages import RefusalReason, Verdict
from protocol.money import Money
from tests.machines.issuer_expected import SPEAKING, Expected
from tests.unit.issuer_bench import NOON, PHONE, PIN, YEN, Bench, ManualTimers, Reader, b64, bench, unb64

T = TypeVar("T")
EXAMPLES = int(os.environ.get("BLIND_RELAY_EXAMPLES", "4"))
FUNDS = 1_000
TRIES = 3
WAITS = Deadlines(call=10, approval=60, card=60, pin=60)
OWN, NOBODYS = "4000001234567899", "4000009999999999"
PAYMENT = st.sampled_from([0, 0, 0, 1, 2, 4])  # which of the payments, counted from the latest


class Issuer(RuleBasedStateMachine):
    """Every rule does a thing to the issuer and to the model; the invariants compare them."""

    @initialize(steps=st.permutations([1, 2, 2]))
    def begin(self, steps: list[int]) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        folder = self.stack.enter_context(TemporaryDirectory())
        world = bench(Path(folder), deadlines=WAITS, funds=FUNDS)
        self.here: Bench = self.run(self.stack.enter_async_context(world))
        self.payments: list[Expected] = []
        self.keys: dict[str, tuple[int, Expected]] = {}
        self.refund_keys: dict[str, tuple[PaymentId, int, str]] = {}
        self.said: list[tuple[str, PaymentId, dict[str, str]]] = []
        self.balance, self.tries, self.blocked, self.connected = FUNDS, TRIES, False, True
        for key, then in zip("abc", steps, strict=True):  # together they ask for more than there is
            self.charge(key, 400, then)

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.run(self.stack.aclose())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Until it is done, and all that it set going."""

        async def whole() -> T:
            result = await work
            if hasattr(self, "here"):
                await self.here.application._background.idle()
            return result

        return self.loop.run_until_complete(whole())

    # -- the model's own arithmetic

    @property
    def available(self) -> int:
        return self.balance - sum(payment.holds for payment in self.payments)

    def chosen(self, which: int) -> Expected | None:
        return self.payments[-1 - which] if which < len(self.payments) else None

    def move(self, payment: Expected, status: str, wait: float = 0.0) -> None:
        payment.status, payment.deadline = status, self.here.timers.now() + wait

    def end(self, payment: Expected, reason: str) -> None:
        payment.status, payment.reason = "not_settled", reason

    def say(self, payment: Expected, frame_type: str, **fields: str) -> dict[str, Any] | None:
        """A word of the phone, remembered so that the network can bring it again."""
        self.said.append((frame_type, payment.id, fields))
        return self.run(self.here.phone.say(frame_type, payment.id, **fields))

    def from_reader(self, payment: Expected, kind: str, signed: bytes) -> None:
        self.say(payment, "from_reader", kind=kind, data=b64(signed))

    def heard(self, payment: Expected, kind: str) -> bytes:
        frame = self.run(self.here.phone.heard(kind, payment.id))
        return unb64(frame["data"])

    # -- the shop

    @rule(
        key=st.sampled_from("abcdefghijklmnop"),
        amount=st.sampled_from([300, 1, 400, 1_001]),
        then=st.sampled_from([3, 2, 1, 0]),
    )
    def charge(self, key: str, amount: int, then: int) -> None:
        """And so many honest steps: left to chance alone, hardly a payment would ever be paid."""
        request = PaymentRequest(PHONE, Money(amount, YEN), "2 coffees")
        claim = IdempotencyClaim(key, Digest(amount.to_bytes(32, "big")))
        asked = self.here.application.create_payment(self.here.merchant, request, claim)
        known = self.keys.get(key)
        if known is not None and known[0] != amount:
            try:
                self.run(asked)
                raise AssertionError("a key was taken for another request")
            except IdempotencyMismatch:
                return
        answer = self.run(asked)
        assert answer.state.value == "requested"
        if known is not None:
            assert answer.id == known[1].id
            return
        reader = Reader(self.here.reader.issuer_key)
        reader.key = self.here.reader.key
        payment = Expected(answer.id, amount, reader, "requested", self.here.timers.now() + WAITS.call)
        if self.connected:
            self.move(payment, "calling", WAITS.approval)
        self.payments.append(payment)
        self.keys[key] = amount, payment
        if self.connected:
            self.go_on(0, then)

    @rule(which=PAYMENT)
    def cancel(self, which: int) -> None:
        if (payment := self.chosen(which)) is None:
            return
        again = payment.over and payment.reason != "cancelled_by_merchant"
        try:
            self.run(self.here.application.cancel(self.here.merchant.id, payment.id))
            assert not again
        except NotCancellable:
            assert again
        if not payment.over:
            self.end(payment, "cancelled_by_merchant")

    @rule(which=PAYMENT, key=st.sampled_from("xyz"), amount=st.sampled_from([1, 200, 400]))
    def refund(self, which: int, key: str, amount: int) -> None:
        if (payment := self.chosen(which)) is None:
            return
        claim = IdempotencyClaim(key, Digest(f"{payment.id}{amount:02}".encode()[-32:].rjust(32)))
        asked = self.here.application.refund(self.here.merchant.id, payment.id, amount, claim)
        known = self.refund_keys.get(key)
        fits = payment.status == "completed" and amount <= payment.amount - payment.refunded
        try:
            refund = self.run(asked)
        except IdempotencyMismatch:
            assert known is not None
            assert known[:2] != (payment.id, amount)
        except RefundRefused:
            assert known is None
            assert not fits
        else:
            if known is not None:
                assert known == (payment.id, amount, refund.id)
                return
            assert fits
            payment.refunded += amount
            self.balance += amount
            self.refund_keys[key] = payment.id, amount, refund.id

    # -- the cardholder

    @precondition(lambda self: self.connected)
    @rule(which=PAYMENT)
    def approve(self, which: int) -> None:
        if (payment := self.chosen(which)) is None:
            return
        self.say(payment, "approve", reader_hello=b64(payment.reader.hello()))
        if payment.status != "calling":
            return
        self.move(payment, "key_offered", WAITS.card)
        payment.reader.take_offer(self.heard(payment, "key_offer"))

    @precondition(lambda self: self.connected)
    @rule(which=PAYMENT, pan=st.sampled_from([OWN, OWN, OWN, NOBODYS]))
    def swipe(self, which: int, pan: str) -> None:
        payment = self.chosen(which)
        if payment is None or payment.reader.offer is None:
            return
        self.from_reader(payment, "card_envelope", payment.reader.swipe(pan))
        if payment.status != "key_offered":
            return
        if pan == NOBODYS:
            self.end(payment, "unknown_card")
        elif self.blocked:
            self.end(payment, "blocked_card")
        elif self.tries == 0:
            self.end(payment, "pin_blocked")
        elif payment.amount > self.available:
            self.end(payment, "insufficient_funds")
        else:
            self.move(payment, "pin_requested", WAITS.pin)

    @precondition(lambda self: self.connected and self.payments)
    @rule(which=PAYMENT, steps=st.sampled_from([1, 2, 3, 3, 3]))
    def go_on(self, which: int, steps: int) -> None:
        """What honest people do next."""
        for _ in range(steps):
            match payment.status if (payment := self.chosen(which)) is not None else None:
                case "calling":
                    self.approve(which)
                case "key_offered":
                    self.swipe(which, OWN)
                case "pin_requested":
                    self.type_pin(which, True)

    @precondition(lambda self: self.connected)
    @rule(which=PAYMENT, right=st.booleans())
    def type_pin(self, which: int, right: bool) -> None:
        payment = self.chosen(which)
        if payment is None or payment.status != "pin_requested":
            return
        request = self.heard(payment, "pin_request")
        self.from_reader(payment, "pin_envelope", payment.reader.type_pin(request, PIN if right else "9999"))
        if self.tries == 0:
            self.end(payment, "pin_blocked")
        elif not right:
            self.tries -= 1
            self.end(payment, "wrong_pin")
        else:
            self.tries = TRIES
            if self.blocked:
                self.end(payment, "blocked_card")
            else:
                self.balance -= payment.amount
                payment.status = "completed"

    @precondition(lambda self: self.connected)
    @rule(which=PAYMENT)
    def lose_card_in_the_middle(self, which: int) -> None:
        """It is reported lost between swipe and PIN; the posting looks at it again."""
        payment = self.chosen(which)
        if payment is not None and payment.status == "pin_requested":
            self.block_card(True)
            self.type_pin(which, True)
            self.block_card(False)

    @precondition(lambda self: self.connected)
    @rule(which=PAYMENT, reason=st.sampled_from(["declined", "no_response"]))
    def decline(self, which: int, reason: str) -> None:
        if (payment := self.chosen(which)) is None:
            return
        self.say(payment, "decline", reason=reason)
        if payment.status == "calling" or (payment.status in SPEAKING and reason == "declined"):
            self.end(payment, reason)

    @precondition(lambda self: self.connected)
    @rule(which=PAYMENT, reason=st.sampled_from(list(RefusalReason)))
    def refuse(self, which: int, reason: RefusalReason) -> None:
        payment = self.chosen(which)
        if payment is None or payment.reader.offer is None:
            return
        self.from_reader(payment, "refusal", payment.reader.refuse(reason))
        if payment.status in SPEAKING:
            self.end(payment, f"refused_{reason.value}")

    @precondition(lambda self: self.connected)
    @rule(which=PAYMENT)
    def lose_reader(self, which: int) -> None:
        if (payment := self.chosen(which)) is None:
            return
        self.say(payment, "reader_unavailable")
        if payment.status in ("calling", *SPEAKING):
            self.end(payment, "reader_unavailable")

    @precondition(lambda self: self.connected)
    @rule(which=PAYMENT)
    def want_outcome(self, which: int) -> None:
        payment = self.chosen(which)
        if payment is None or not payment.over or payment.reader.offer is None:
            return
        signed = self.say(payment, "outcome_wanted")
        assert signed is not None
        outcome = payment.reader.read_outcome(unb64(signed["data"]))
        assert (outcome.verdict is Verdict.APPROVED) is (payment.status == "completed")
        assert outcome.reason == payment.reason

    # -- clock, network, crashes, administration

    @rule(seconds=st.sampled_from([1, 2, 5, 9, 30, 61]))
    def pass_time(self, seconds: float) -> None:
        async def later() -> None:
            self.here.timers.advance(seconds)

        self.run(later())
        over = {
            "requested": "handset_unreachable",
            "calling": "approval_timeout",
            "key_offered": "card_timeout",
            "pin_requested": "pin_timeout",
        }
        for payment in self.payments:
            if not payment.over and payment.deadline <= self.here.timers.now():
                self.end(payment, over[payment.status])

    @precondition(lambda self: self.connected and self.said)
    @rule(data=st.data())
    def bring_again(self, data: st.DataObject) -> None:
        """The network delivers an old word once more; it moves nothing that it has moved before."""
        frame_type, payment_id, fields = data.draw(st.sampled_from(self.said[-8:]))
        payment = next(each for each in self.payments if each.id == payment_id)
        fresh = payment.status == "calling" or (payment.status in SPEAKING and frame_type != "approve")
        if fresh and frame_type != "from_reader":
            return  # it would still be news: `approve`, `decline` and `lose_reader` say it themselves
        if payment.status == "key_offered" and fields.get("kind") == "card_envelope":
            return
        self.run(self.here.phone.say(frame_type, payment_id, **fields))

    @precondition(lambda self: self.connected)
    @rule()
    def lose_network(self) -> None:
        self.run(self.here.phone.disconnect())
        self.connected = False

    @rule(remembers=st.booleans())
    def find_network(self, remembers: bool) -> None:
        self.run(self.here.phone.connect(resumed=remembers))
        self.connected = True
        for payment in self.payments:
            if payment.status == "requested":
                self.move(payment, "calling", WAITS.approval)
            elif payment.status in SPEAKING and not remembers:
                self.end(payment, "handset_fault")

    @rule(seldom=st.integers(0, 3), gracefully=st.booleans())
    def restart(self, seldom: int, gracefully: bool) -> None:
        """Stopped, or killed: then nothing of the old process does anything any more."""
        if seldom < 3:
            return
        if gracefully:
            self.run(self.here.application.stop(0))
        timers = ManualTimers()
        timers.advance(self.here.timers.now() - timers.now())
        began = NOON - timers.now()
        parts = replace(self.here.parts, bus=LocalBus(), timers=timers, clock=lambda: began + timers.now())
        here = self.here
        here.parts, here.timers, here.phone.parts = parts, timers, parts
        here.application = IssuerApplication(parts)
        swept = self.run(here.application.start())
        assert not (gracefully and swept)
        here.phone.subscriptions = []
        self.connected = False
        for payment in self.payments:
            if not payment.over:
                self.end(payment, "issuer_restarted")
        self.find_network(False)

    @rule(blocked=st.booleans())
    def block_card(self, blocked: bool) -> None:
        self.run(self.here.storage.set_card_blocked(self.here.card, blocked))
        self.blocked = blocked
        self.tries = self.tries if blocked else TRIES

    @rule(amount=st.sampled_from([1, 500]))
    def fund(self, amount: int) -> None:
        self.run(self.here.storage.fund(self.here.cardholder, Money(amount, YEN), NOON))
        self.balance += amount

    @invariant()
    def books_and_model_agree(self) -> None:
        if not hasattr(self, "here"):
            return
        balances = self.run(self.here.storage.balances())
        check_trial_balance(balances)
        [own] = [each for each in balances if each.kind == "cardholder"]
        assert (own.minor, own.available) == (self.balance, self.available)
        for payment in self.payments:
            shown = self.run(self.here.shown(payment.id))
            found = (shown.state.value, shown.reason, shown.refunded)
            assert found == (payment.status, payment.reason, payment.refunded)
        in_flight = [payment for payment in self.payments if not payment.over]
        assert self.here.application.in_flight == len(in_flight)


Issuer.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
TestIssuer = pytest.mark.timeout(60 + 5 * EXAMPLES)(Issuer.TestCase)
