"""Payments in flight: what one process holds of them in memory, and nowhere else.

The payment's secret key, the ciphertexts, the clear card data and the PIN are in `PaymentSecrets` and are
dropped together (S26, 213). Python cannot promise to overwrite what it copied; the claim is that they are
held in one process, dropped at the end and never written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from issuer_server.bus.port import Subscription
from issuer_server.deadlines import Timer
from issuer_server.payment import Effect, PaymentState
from issuer_server.storage.records import CardRecord, PaymentRecord, ReaderRecord
from protocol.identifiers import CardholderId, Digest, HandsetId, PaymentId
from protocol.messages import CardEnvelope, KeyOffer, NotSettled, PinEnvelope, ReaderHello
from protocol.sealing import PaymentKey
from protocol.signing import Signer
from protocol.track_data import CardData


@dataclass(slots=True, repr=False)
class PaymentSecrets:
    """Everything that dies with the payment."""

    key: PaymentKey | None = None
    card_envelope: CardEnvelope | None = None
    pin_envelope: PinEnvelope | None = None
    card_plaintext: bytearray | None = None
    card: CardData | None = None
    pin: bytearray | None = None

    def drop(self) -> None:
        """Wipe what can be wiped and let go of the rest; safe to repeat."""
        if self.key is not None:
            self.key.drop()
        if self.card is not None:
            self.card.wipe()
        if self.card_plaintext is not None:  # also one that was no card data
            self.card_plaintext[:] = bytes(len(self.card_plaintext))
        self.drop_pin()
        self.key = self.card_envelope = self.pin_envelope = self.card_plaintext = self.card = None

    def drop_pin(self) -> None:
        """Wipe the clear PIN alone: it is needed for one comparison."""
        if self.pin is not None:
            self.pin[:] = bytes(len(self.pin))
        self.pin = None

    def __repr__(self) -> str:
        return "PaymentSecrets(…)"


@dataclass(slots=True, eq=False)
class LivePayment:
    """One payment in flight. `record` is what the database holds; `state` may be ahead of it.

    Whoever moves the payment holds `lock`, from the event to the last of its effects.
    """

    record: PaymentRecord
    state: PaymentState = PaymentState.REQUESTED
    reason: NotSettled | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    pending: deque[Effect] = field(default_factory=deque)
    subscription: Subscription | None = field(default=None, repr=False)
    timer: Timer | None = field(default=None, repr=False)
    deadline: float = 0.0
    secrets: PaymentSecrets = field(default_factory=PaymentSecrets)
    # the phone that took the call
    handset_id: HandsetId | None = None
    hello: ReaderHello | None = field(default=None, repr=False)
    reader: ReaderRecord | None = field(default=None, repr=False)
    # the version of the issuer's key that this reader trusts
    signer: Signer | None = field(default=None, repr=False)
    offer: KeyOffer | None = field(default=None, repr=False)
    signed_offer: bytes = field(default=b"", repr=False)
    # hashes of signed messages: what each next message is bound to
    offer_digest: Digest | None = field(default=None, repr=False)
    card_envelope_digest: Digest | None = field(default=None, repr=False)
    pin_request_digest: Digest | None = field(default=None, repr=False)
    pin_envelope_digest: Digest | None = field(default=None, repr=False)
    last_message_digest: Digest | None = field(default=None, repr=False)
    card: CardRecord | None = field(default=None, repr=False)
    card_last_four: str | None = field(default=None, repr=False)
    pin_tries_left: int = 0
    pin_attempts: int = 0
    dropped_messages: int = 0
    outcome_wanted: bool = False

    @property
    def id(self) -> PaymentId:
        return self.record.id

    @property
    def shown_state(self) -> PaymentState:
        """What may be told: an ending only once it is committed."""
        return self.record.state if self.state.is_final else self.state

    def seconds_left(self, now: float) -> float:
        """Until the deadline of the present state; 0 where nobody is waited for."""
        return max(0.0, self.deadline - now) if self.timer is not None else 0.0

    def forget_deadline(self) -> None:
        """The issuer waits for nobody any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class LivePayments:
    """The payments that this process owns, found by id and by the person who is called."""

    def __init__(self) -> None:
        self._by_id: dict[PaymentId, LivePayment] = {}
        self._by_cardholder: dict[CardholderId, dict[PaymentId, LivePayment]] = {}
        self.none_left = asyncio.Event()
        self.none_left.set()

    def add(self, live: LivePayment) -> None:
        self._by_id[live.id] = live
        self.none_left.clear()
        self._by_cardholder.setdefault(live.record.cardholder_id, {})[live.id] = live

    def get(self, payment_id: PaymentId) -> LivePayment | None:
        return self._by_id.get(payment_id)

    def of_cardholder(self, cardholder_id: CardholderId) -> tuple[LivePayment, ...]:
        """Oldest first."""
        return tuple(self._by_cardholder.get(cardholder_id, {}).values())

    def forget(self, live: LivePayment) -> None:
        self._by_id.pop(live.id, None)
        if not self._by_id:
            self.none_left.set()
        theirs = self._by_cardholder.get(live.record.cardholder_id, {})
        theirs.pop(live.id, None)
        if not theirs:
            self._by_cardholder.pop(live.record.cardholder_id, None)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[LivePayment]:
        return iter(tuple(self._by_id.values()))
