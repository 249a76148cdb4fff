"""The storage port: every method is one transaction, and its answer comes after the commit.

Times are epoch seconds (stored as whole milliseconds). A method that fails has changed nothing, with one
exception that no database can avoid: after a StorageError from a commit, or a cancelled await, ask again
before acting on it.
"""

from __future__ import annotations

from typing import Protocol

from issuer_server.payment import PaymentState
from issuer_server.storage.key_records import SealedSecret
from issuer_server.storage.records import (
    NO_CHANGES,
    Balance,
    CardholderRecord,
    CardRecord,
    Created,
    DueWebhook,
    HandsetRecord,
    HoldResult,
    IdempotencyClaim,
    MerchantRecord,
    NewCard,
    NewCardholder,
    NewEnrolmentCode,
    NewMerchant,
    NewPayment,
    NewRefund,
    NewWebhookEndpoint,
    Outbox,
    PaymentChanges,
    PaymentRecord,
    ReaderRecord,
    RefundRecord,
    Replayed,
    SettleResult,
    UndeliveredWebhook,
    WebhookEndpoint,
)
from protocol.errors import BlindRelayError, InputError
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
from protocol.money import Money


class StorageError(BlindRelayError):
    """The database did not do it: disk full, locked, damaged, a rule of the schema. Nothing is half done."""


class IdempotencyMismatch(BlindRelayError):  # noqa: N818 - says it
    """The idempotency key was used before with another payload."""


class RefundRefused(InputError):  # noqa: N818 - says it
    """No money goes back; `.code`: payment_not_refundable (it did not complete), refund_too_large."""


class CallsLimited(BlindRelayError):  # noqa: N818 - says it
    """As many payments call this phone as may."""


class MerchantRefused(BlindRelayError):  # noqa: N818 - says it
    """The cardholder has blocked this merchant."""


class AlreadyExists(InputError):  # noqa: N818 - says it
    """Something that must be unique is there already; `.code` names it (phone_in_use, card_exists …)."""


class NotFound(InputError):  # noqa: N818 - says it
    """A row named by the caller is not there; `.code` names it (unknown_cardholder …)."""


class EnrolmentRefused(InputError):  # noqa: N818 - says it
    """A one-time code is not redeemed; `.code`: enrolment_code_unknown, enrolment_code_used,
    enrolment_code_expired, reader_already_enrolled, invalid_proof.
    """


class Storage(Protocol):
    """What payments need."""

    async def create_payment(
        self, new: NewPayment, idempotency: IdempotencyClaim, most_in_flight: int | None = None
    ) -> Created | Replayed:
        """Insert a payment in state requested, or find the one this key made; raises IdempotencyMismatch.

        A new one raises CallsLimited where `most_in_flight` payments of the cardholder have not ended (0:
        nothing new at all), and MerchantRefused where the cardholder has blocked the merchant.
        """
        ...

    async def replay(self, merchant_id: MerchantId, idempotency: IdempotencyClaim) -> Replayed | None:
        """The payment that this key made, if it made one; raises IdempotencyMismatch."""
        ...

    async def advance(
        self,
        payment_id: PaymentId,
        expected: PaymentState,
        to: PaymentState,
        changes: PaymentChanges,
        now: float,
    ) -> bool:
        """Compare and set the state (`expected` may equal `to`); False where the payment is not in it."""
        ...

    async def hold(
        self,
        payment_id: PaymentId,
        expected: PaymentState,
        now: float,
        changes: PaymentChanges = NO_CHANGES,
    ) -> HoldResult:
        """Set the payment's amount aside and set the state pin_requested, both or neither.

        Whatever ends the payment releases the hold in the same transaction.
        """
        ...

    async def settle(
        self,
        payment_id: PaymentId,
        expected: PaymentState,
        card_id: CardId,
        now: float,
        changes: PaymentChanges = NO_CHANGES,
    ) -> SettleResult:
        """Post cardholder to merchant, out of the hold, and set the state completed; both or neither.

        The PIN was right: unless the answer is STALE the card has its full number of tries again.
        """
        ...

    async def refund(self, new: NewRefund, idempotency: IdempotencyClaim) -> RefundRecord:
        """Post merchant to cardholder, or find the refund that this key made.

        Raises NotFound (unknown_payment; also another merchant's), RefundRefused, IdempotencyMismatch.
        """
        ...

    async def refunds(self, payment_id: PaymentId, before: RefundId | None, limit: int) -> list[RefundRecord]:
        """A payment's refunds, newest first, older than `before` where given (unknown: none)."""
        ...

    async def payment(self, payment_id: PaymentId) -> PaymentRecord | None: ...

    async def payments(
        self, merchant_id: MerchantId, before: PaymentId | None, limit: int
    ) -> list[PaymentRecord]:
        """A merchant's payments, newest first, older than `before` where given (unknown: none)."""
        ...

    async def merchant_by_key_digest(self, key_digest: Digest, now: float) -> MerchantRecord | None:
        """Whose API key it is; for some time after it was replaced, too."""
        ...

    async def cardholder_by_phone(self, phone: PhoneNumber) -> CardholderRecord | None: ...

    async def handset_by_token_digest(self, token_digest: Digest) -> HandsetRecord | None: ...

    async def reader(self, reader_id: ReaderId) -> ReaderRecord | None: ...

    async def card_by_index(self, pan_index: Digest) -> CardRecord | None: ...

    async def block_merchant(self, cardholder_id: CardholderId, merchant_id: MerchantId, now: float) -> None:
        """The cardholder is not called for this merchant again; safe to repeat."""
        ...

    async def claim_pin_try(self, card_id: CardId) -> int | None:
        """Use up one PIN try, before verifying: tries left after it, or None where there was none to use."""
        ...

    async def sweep(self, now: float) -> list[PaymentRecord]:
        """End every payment in flight as not settled, issuer_restarted; gives them as they now are."""
        ...

    async def close(self) -> None:
        """Finish what is queued, then let the database go."""
        ...


class EnrolmentStore(Protocol):
    """What redeems one-time codes: the code is used up and the device stored in the same transaction."""

    async def redeem_handset_code(
        self, secret_digest: Digest, handset_id: HandsetId, token_digest: Digest, now: float
    ) -> HandsetRecord:
        """Raises EnrolmentRefused."""
        ...

    async def redeem_reader_code(
        self, secret_digest: Digest, reader_id: ReaderId, public_key: PublicKey, model: str, now: float
    ) -> ReaderRecord:
        """Raises EnrolmentRefused; also where this key was ever enrolled before."""
        ...


class WebhookStore(Protocol):
    """What delivers webhooks. The messages themselves are written by whatever ends or refunds a payment."""

    async def due_webhooks(self, now: float, for_each_endpoint: int) -> list[DueWebhook]:
        """The longest waiting messages that are due, at most so many for each endpoint."""
        ...

    async def webhook_delivered(self, message_id: str, endpoint_id: WebhookEndpointId) -> None: ...

    async def webhook_failed(self, due: DueWebhook, next_at: float | None, problem: str) -> bool:
        """Count a failed attempt; without `next_at` the message is given up.

        False, with nothing changed, where it is not due as it was any more: its endpoint was disabled or
        removed during the attempt, or an operator had it sent again.
        """
        ...

    async def disable_webhook_endpoint(self, endpoint_id: WebhookEndpointId) -> None:
        """It said that it is gone: nothing is sent there any more, and nothing waits."""
        ...


class UndeliveredWebhooks(Protocol):
    """What an operator does with webhooks that did not arrive."""

    async def of_endpoint(self, endpoint_id: WebhookEndpointId, limit: int) -> list[UndeliveredWebhook]:
        """The longest waiting first, those that were given up among them; raises NotFound."""
        ...

    async def send_again(self, endpoint_id: WebhookEndpointId, message_id: str | None, now: float) -> int:
        """All of them, or one, are due now and have all their attempts; how many. Raises NotFound.

        An endpoint that had said that it is gone is told of what happens from now on, too.
        """
        ...

    async def drop_given_up(self, before: float) -> int:
        """Forget what was made before that time and was given up; how many."""
        ...


class Watched(Protocol):
    """What readiness and metrics ask."""

    async def check_writable(self) -> None:
        """Write to the disk, changing nothing; raises StorageError where that does not work."""
        ...

    async def outbox(self) -> Outbox: ...


class Administration(Protocol):
    """What the administration command needs. Additions raise AlreadyExists or NotFound.

    Whatever is changed stands in the audit log, where the storage was opened in an operator's name.
    """

    async def add_merchant(self, new: NewMerchant, now: float) -> None: ...

    async def replace_api_key(
        self, merchant_id: MerchantId, key_digest: Digest, previous_until: float
    ) -> None:
        """Another API key of a merchant; the one before is good until then. Raises NotFound."""
        ...

    async def add_cardholder(self, new: NewCardholder, now: float) -> None: ...

    async def add_card(self, new: NewCard, now: float) -> None: ...

    async def add_enrolment_code(self, new: NewEnrolmentCode) -> None: ...

    async def fund(self, cardholder_id: CardholderId, money: Money, now: float) -> None:
        """Move money from the issuer's funding account to the cardholder's."""
        ...

    async def set_merchant_blocked(self, merchant_id: MerchantId, blocked: bool) -> None: ...

    async def set_cardholder_blocked(self, cardholder_id: CardholderId, blocked: bool) -> None: ...

    async def set_card_blocked(self, card_id: CardId, blocked: bool) -> None:
        """Unblocking also gives the card its PIN tries back."""
        ...

    async def set_handset_blocked(self, handset_id: HandsetId, blocked: bool) -> None: ...

    async def set_reader_blocked(self, reader_id: ReaderId, blocked: bool) -> None: ...

    async def unblock_merchant(self, cardholder_id: CardholderId, merchant_id: MerchantId) -> None:
        """Raises NotFound where it was not blocked by this cardholder."""
        ...

    async def blocked_merchants(self, cardholder_id: CardholderId) -> list[MerchantRecord]:
        """Whom this cardholder has blocked, latest first."""
        ...

    async def merchants(self) -> list[MerchantRecord]: ...

    async def cardholders(self) -> list[CardholderRecord]: ...

    async def cards(self) -> list[CardRecord]: ...

    async def handsets(self) -> list[HandsetRecord]: ...

    async def readers(self) -> list[ReaderRecord]: ...

    async def balances(self, owner: str | None = None) -> list[Balance]: ...

    async def add_webhook_endpoint(self, new: NewWebhookEndpoint, now: float) -> None: ...

    async def webhook_endpoints(self, merchant_id: MerchantId | None = None) -> list[WebhookEndpoint]: ...

    async def rotate_webhook_secret(
        self, endpoint_id: WebhookEndpointId, secret: SealedSecret, previous_until: float
    ) -> None:
        """Sign with `secret` from now on, and until `previous_until` with the one before it as well."""
        ...

    async def remove_webhook_endpoint(self, endpoint_id: WebhookEndpointId) -> None:
        """Forget an endpoint and what waits for it."""
        ...
