"""What the storage port takes and gives back: frozen records, times in epoch seconds, amounts exact."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from issuer_server.payment import PaymentState
from issuer_server.storage.key_records import SealedSecret
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import (
    CardholderId,
    CardId,
    Digest,
    HandsetId,
    MerchantId,
    PaymentId,
    PhoneNumber,
    PublicKey,
    ReaderId,
    RefundId,
    WebhookEndpointId,
)
from protocol.messages import NotSettled
from protocol.money import Currency, Money

LONGEST_IDEMPOTENCY_KEY = 255
"""Characters; the IETF draft sets no limit, and an index row needs one."""


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment as asked for. The merchant's name is not here: the database copies it from its own table."""

    id: PaymentId
    merchant_id: MerchantId
    cardholder_id: CardholderId
    phone: PhoneNumber
    money: Money
    order: str
    created_at: float


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """One `Idempotency-Key` of a merchant, and the SHA-256 of the canonical payload sent under it."""

    key: str
    payload_digest: Digest

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= LONGEST_IDEMPOTENCY_KEY:
            raise ValueError(f"an idempotency key has 1 to {LONGEST_IDEMPOTENCY_KEY} characters")
        if len(self.payload_digest) != 32:
            raise ValueError("a payload digest has 32 bytes")


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """A payment as stored. The digests are of signed messages: an Outcome can be signed again from them."""

    id: PaymentId
    merchant_id: MerchantId
    merchant_name: str
    cardholder_id: CardholderId
    phone: PhoneNumber
    money: Money
    order: str
    state: PaymentState
    reason: NotSettled | None
    card_last_four: str | None
    reader_id: ReaderId | None
    offer_digest: Digest | None
    last_message_digest: Digest | None
    created_at: float
    updated_at: float
    refunded: int = 0
    """Minor units given back so far."""

    def as_created(self) -> PaymentRecord:
        """The payment as its first answer showed it: what a repeated request with the same key gets again."""
        return replace(
            self,
            state=PaymentState.REQUESTED,
            reason=None,
            card_last_four=None,
            reader_id=None,
            offer_digest=None,
            last_message_digest=None,
            updated_at=self.created_at,
            refunded=0,
        )


@dataclass(frozen=True, slots=True)
class PaymentChanges:
    """What a step writes beside the state; None leaves it. `reason` goes with not settled, always."""

    reason: NotSettled | None = None
    card_last_four: str | None = None
    reader_id: ReaderId | None = None
    offer_digest: Digest | None = None
    last_message_digest: Digest | None = None


NO_CHANGES = PaymentChanges()


@dataclass(frozen=True, slots=True)
class Created:
    """The payment is new and stored."""

    payment: PaymentRecord


@dataclass(frozen=True, slots=True)
class Replayed:
    """This key made a payment before, with the same payload. `payment` is its present state."""

    payment: PaymentRecord

    @property
    def first_answer(self) -> PaymentRecord:
        """The payment as the first request saw it."""
        return self.payment.as_created()


@dataclass(frozen=True, slots=True)
class NewRefund:
    """Money to give back; `amount` in minor units of the payment's currency, None for all that is left."""

    id: RefundId
    merchant_id: MerchantId
    payment_id: PaymentId
    amount: int | None
    created_at: float


@dataclass(frozen=True, slots=True)
class RefundRecord:
    """Money given back, as stored."""

    id: RefundId
    payment_id: PaymentId
    money: Money
    created_at: float


class HoldResult(Enum):
    """Whether the money is there and set aside. In every case but HELD nothing was written."""

    HELD = "held"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    """Less is available than the payment asks for: the balance, less what other payments hold of it."""
    STALE = "stale"
    """The payment was no longer in the expected state."""


class SettleResult(Enum):
    """How a settlement ended. In every case but SETTLED no money moved."""

    SETTLED = "settled"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    STALE = "stale"
    """The payment was no longer in the expected state."""
    CARD_REFUSED = "card_refused"
    """The card or its cardholder was blocked meanwhile, or the card is not this payment's cardholder's."""
    READER_REFUSED = "reader_refused"
    """The reader that took the offer was blocked meanwhile."""


@dataclass(frozen=True, slots=True)
class MerchantRecord:
    """A line of the patent's table 31."""

    id: MerchantId
    name: str
    blocked: bool


@dataclass(frozen=True, slots=True)
class CardholderRecord:
    """A person of the patent's table 32, reached by one telephone number."""

    id: CardholderId
    name: str
    phone: PhoneNumber
    blocked: bool


@dataclass(frozen=True, slots=True)
class CardRecord:
    """A card. `expiry` is YYMM as on the stripe (ISO/IEC 7813); `blocked` also where the cardholder is."""

    id: CardId
    cardholder_id: CardholderId
    last_four: str
    expiry: str
    pin_verifier: bytes = field(repr=False)
    pin_tries_left: int
    blocked: bool
    pin_key: int = 1
    """The version of the pepper that made the verifier."""


@dataclass(frozen=True, slots=True)
class HandsetRecord:
    """An enrolled phone. `phone` is the cardholder's number; `blocked` also where the cardholder is."""

    id: HandsetId
    cardholder_id: CardholderId
    phone: PhoneNumber
    blocked: bool


@dataclass(frozen=True, slots=True)
class ReaderRecord:
    """An enrolled reader and the key it proved to hold. `blocked` also where the cardholder is."""

    id: ReaderId
    cardholder_id: CardholderId
    public_key: PublicKey
    model: str
    blocked: bool
    issuer_key: int = 1
    """The version of the issuer's signing key that it pinned when it was enrolled."""


@dataclass(frozen=True, slots=True)
class NewMerchant:
    """A merchant to add; the API key is kept as its SHA-256 only."""

    id: MerchantId
    name: str
    key_digest: Digest = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewCardholder:
    """A cardholder to add."""

    id: CardholderId
    name: str
    phone: PhoneNumber


@dataclass(frozen=True, slots=True)
class NewCard:
    """A card to add: not its PAN and PIN, only the keyed index of one and the keyed verifier of the other."""

    id: CardId
    cardholder_id: CardholderId
    pan_index: Digest = field(repr=False)
    last_four: str
    expiry: str
    pin_verifier: bytes = field(repr=False)
    pin_try_limit: int
    pan_key: int = 1
    pin_key: int = 1
    earlier_indexes: tuple[Digest, ...] = field(default=(), repr=False)
    """What the same number would be stored under if it was added before a rotation."""


@dataclass(frozen=True, slots=True)
class NewEnrolmentCode:
    """A one-time code to remember, by the SHA-256 of its secret."""

    secret_digest: Digest = field(repr=False)
    kind: EnrolmentKind
    cardholder_id: CardholderId
    expires_at: float
    issuer_key: int = 1
    """The version of the signing key that the code tells the device to trust."""


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's balance in minor units; negative is possible for the issuer's own funding account only."""

    owner: str
    kind: str
    currency: Currency
    minor: int
    held: int = 0
    """Of it, what payments in flight have set aside."""

    @property
    def available(self) -> int:
        """What a new payment can still ask for."""
        return self.minor - self.held


@dataclass(frozen=True, slots=True)
class NewWebhookEndpoint:
    """Where a merchant wants to be told of its payments, and the secret that signs what is told there."""

    id: WebhookEndpointId
    merchant_id: MerchantId
    url: str
    secret: SealedSecret


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An endpoint as stored. `waiting` and `failed` count its messages that did not arrive (yet)."""

    id: WebhookEndpointId
    merchant_id: MerchantId
    url: str
    disabled: bool
    waiting: int
    failed: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class DueWebhook:
    """A message to send now: byte for byte `payload`, signed with each of `secrets`."""

    message_id: str
    endpoint_id: WebhookEndpointId
    url: str
    secrets: tuple[SealedSecret, ...]
    payload: str = field(repr=False)
    attempts: int
    """Failed ones so far."""
    due_at: float
    """With `attempts` this tells whether anything was done with the message since it was looked at."""


@dataclass(frozen=True, slots=True)
class UndeliveredWebhook:
    """A message that has not arrived. Without `next_at` it was given up."""

    message_id: str
    event: str
    attempts: int
    next_at: float | None
    problem: str | None
    created_at: float


@dataclass(frozen=True, slots=True)
class Outbox:
    """Webhooks that have not arrived: those to be sent (again), and those that were given up."""

    waiting: int
    given_up: int
    oldest_at: float | None
    """Since when the longest waiting one waits."""
