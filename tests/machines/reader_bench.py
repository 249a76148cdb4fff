"""A reader's session on a bench: an issuer to sign for it, and a way into each of its states."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, TypeVar

from protocol.identifiers import Digest, IssuerId, MerchantId, Nonce, PaymentId, ReaderId, mint, reader_id
from protocol.messages import (
    CardEnvelope,
    KeyOffer,
    Message,
    MessageType,
    NotSettled,
    Outcome,
    PinEnvelope,
    PinRequest,
    Refusal,
    Verdict,
)
from protocol.money import Money, currency
from protocol.sealing import PaymentKey
from protocol.signing import SigningKey, digest, open_message, sign_message
from protocol.track_data import TrackFault
from reader_peripheral import effects as fx
from reader_peripheral.owed_outcomes import OwedOutcome
from reader_peripheral.screens import Bill, Screen
from reader_peripheral.session import Session
from reader_peripheral.settings import Limits
from reader_peripheral.transitions import State

M = TypeVar("M", bound=Message)
F = TypeVar("F")

ISSUER = SigningKey.from_seed(b"\x01" * 32)
READER = SigningKey.from_seed(b"\x02" * 32)
STRANGER = SigningKey.from_seed(b"\x03" * 32)
PAYMENT_KEY = PaymentKey.from_seed(bytes(range(96)))
ISSUER_ID = IssuerId("test-bank")
READER_ID = reader_id(READER.public_key)
NONCE = Nonce(b"\x10" * 16)
OTHER_NONCE = Nonce(b"\x20" * 16)
BILL = Bill("Kissaten Ao", Money(1200, currency("JPY")), "2 coffees")
OLD_OFFER = Digest(b"\x77" * 32)
OLD_MESSAGE = Digest(b"\x78" * 32)
NEWER_OFFER = Digest(b"\x79" * 32)
NEWER_MESSAGE = Digest(b"\x7a" * 32)
OLD_BILL = Bill("Yesterday's shop", Money(900, currency("JPY")), "1 tea")
SEALED_CARD = bytes(1264)
SEALED_PIN = bytes(1152)


def key_offer(**changes: Any) -> KeyOffer:
    """A good offer for the bench's reader, or one with something changed."""
    good = KeyOffer(
        issuer_id=ISSUER_ID,
        payment_id=PaymentId(mint("pay", b"\x01" * 16)),
        reader_id=ReaderId(READER_ID),
        nonce=NONCE,
        merchant_id=MerchantId(mint("mer", b"\x02" * 16)),
        merchant_name=BILL.merchant,
        order=BILL.order,
        amount=BILL.amount,
        public_key=PAYMENT_KEY.public_key,
        seconds_to_live=60,
    )
    return dataclasses.replace(good, **changes)


def signed_offer(**changes: Any) -> bytes:
    """A good offer as the issuer sends it."""
    return sign_message(ISSUER, key_offer(**changes))


def owed_payment() -> OwedOutcome:
    """A payment of yesterday that was left without an outcome."""
    return OwedOutcome(OLD_OFFER, OLD_BILL, (OLD_MESSAGE,), unknown=True)


def newer_payment() -> OwedOutcome:
    """Another, at the same shop and price, for which the person swiped later."""
    return OwedOutcome(NEWER_OFFER, OLD_BILL, (NEWER_MESSAGE,), unknown=True)


class Bench:
    """One session, its time, and all effects so far."""

    def __init__(self, *, swipes: int = 3, owed: tuple[OwedOutcome, ...] = ()) -> None:
        self.limits = Limits(swipes=swipes)
        self.session = Session(READER, ISSUER_ID, ISSUER.public_key, self.limits, owed)
        self.now = 1000.0
        self.offer = signed_offer()
        self.effects: list[fx.Effects] = []

    @property
    def state(self) -> State:
        return self.session.state

    def do(self, effects: list[fx.Effects]) -> list[fx.Effects]:
        """Note effects; gives them back."""
        self.effects += effects
        return effects

    def all_of(self, kind: type[F]) -> list[F]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def sent(self, kind: type[M]) -> tuple[bytes, M]:
        """The last message of a kind that was sent: its signed bytes, and the message, verified."""
        sent = [send.payload for send in self.all_of(fx.Send) if send.message_type is kind.TYPE]
        assert sent, f"no {kind.__name__} was sent"
        payload = sent[-1]
        return payload, open_message(READER.public_key, payload, kind)

    def sent_types(self) -> list[MessageType]:
        return [effect.message_type for effect in self.all_of(fx.Send)]

    @property
    def screen(self) -> Screen:
        return self.all_of(fx.Show)[-1].screen

    def memory(self) -> dict[str, Any]:
        """Everything the session remembers, to compare: 'state kept' means all of it."""
        fixed = {"_key", "_issuer", "_limits"}
        memory = {name: value for name, value in vars(self.session).items() if name not in fixed}
        memory |= {name: vars(memory[name]) for name in ("_owed", "_alarms")}
        return copy.deepcopy(memory)

    # What happens, in the order of a payment.

    def greet(self, nonce: Nonce = NONCE) -> list[fx.Effects]:
        return self.do(self.session.session_started(nonce, self.now))

    def take_offer(self, offer: bytes | None = None) -> list[fx.Effects]:
        return self.message(MessageType.KEY_OFFER, self.offer if offer is None else offer)

    def message(self, message_type: MessageType, signed: bytes) -> list[fx.Effects]:
        return self.do(self.session.message(message_type, signed, self.now))

    def swipe(self) -> list[fx.Effects]:
        return self.do(self.session.card_read(self.now))

    def bad_swipe(self, fault: TrackFault = TrackFault.TRACK_ERROR) -> list[fx.Effects]:
        return self.do(self.session.swipe_failed(fault, self.now))

    def card_sealed(self) -> list[fx.Effects]:
        return self.do(self.session.card_sealed(SEALED_CARD, self.now))

    def ask_pin(self, signed: bytes | None = None) -> list[fx.Effects]:
        return self.message(MessageType.PIN_REQUEST, signed or self.pin_request())

    def type_pin(self, digits: int = 4) -> list[fx.Effects]:
        for _ in range(digits):
            self.do(self.session.digit_typed(self.now))
        return self.do(self.session.enter_typed(self.now))

    def pin_sealed(self) -> list[fx.Effects]:
        return self.do(self.session.pin_sealed(SEALED_PIN, self.now))

    def cancel(self) -> list[fx.Effects]:
        return self.do(self.session.cancel_typed(self.now))

    def wait(self) -> list[fx.Effects]:
        """Until the next deadline."""
        deadline = self.session.deadline()
        assert deadline is not None
        self.now = deadline
        return self.do(self.session.handle_timer(self.now))

    def pin_request(self, **changes: Any) -> bytes:
        """The request that fits what the reader sent so far."""
        kinds = self.sent_types()
        card = digest(self.sent(CardEnvelope)[0]) if MessageType.CARD_ENVELOPE in kinds else Digest(bytes(32))
        before = digest(self.sent(PinEnvelope)[0]) if MessageType.PIN_ENVELOPE in kinds else None
        request = PinRequest(digest(self.offer), card, before, last_four="3184", tries_left=3)
        return sign_message(ISSUER, dataclasses.replace(request, **changes))

    def last_digest(self) -> Digest | None:
        """H of the last message sent for the payment in hand."""
        for effect in reversed(self.all_of(fx.Send)):
            if effect.message_type in (
                MessageType.CARD_ENVELOPE,
                MessageType.PIN_ENVELOPE,
                MessageType.REFUSAL,
            ):
                return digest(effect.payload)
        return None

    def approval(self, **changes: Any) -> bytes:
        outcome = Outcome(digest(self.offer), self.last_digest() or OLD_MESSAGE, Verdict.APPROVED, None)
        return sign_message(ISSUER, dataclasses.replace(outcome, **changes))

    def refused(self, **changes: Any) -> bytes:
        outcome = Outcome(
            digest(self.offer), self.last_digest(), Verdict.NOT_SETTLED, NotSettled.INSUFFICIENT_FUNDS
        )
        return sign_message(ISSUER, dataclasses.replace(outcome, **changes))

    def bring(self, outcome: bytes) -> list[fx.Effects]:
        return self.message(MessageType.OUTCOME, outcome)

    def refusal(self) -> Refusal:
        return self.sent(Refusal)[1]


def bench_in(state: State, *, swipes: int = 3, owed: tuple[OwedOutcome, ...] = ()) -> Bench:
    """A bench whose session has come to `state` by the shortest honest way."""
    bench = Bench(swipes=swipes, owed=owed)
    if state is State.IDLE:
        return bench
    bench.greet()
    if state is State.GREETED:
        return bench
    bench.take_offer()
    if state is State.REFUSED:
        bench.cancel()
    if state in (State.AWAITING_SWIPE, State.REFUSED):
        return bench
    bench.swipe()
    if state is State.SEALING_CARD:
        return bench
    bench.card_sealed()
    if state is State.AWAITING_PIN_REQUEST:
        return bench
    bench.ask_pin()
    if state is State.ENTERING_PIN:
        return bench
    bench.type_pin()
    if state is State.SEALING_PIN:
        return bench
    bench.pin_sealed()
    if state is State.SHOWING_RESULT:
        bench.bring(bench.approval())
    if state is State.OUTCOME_UNKNOWN:
        bench.wait()
    return bench
