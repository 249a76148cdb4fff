"""The frames between the phone and its issuer, as values.

Text JSON on the WebSocket of ``GET /v1/handset/channel``. What is inside ``data`` is opaque here:
the phone gets bytes for the reader and bytes for the issuer, and forwards them as they are.

:func:`parse_issuer_frame` takes one decoded JSON object and raises
:class:`~protocol.errors.MessageError` that names the bad field and never its value.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.errors import InputError, MessageError
from protocol.identifiers import PaymentId, check_payment_id
from protocol.messages import LONGEST_MERCHANT_NAME, LONGEST_ORDER, MessageType
from protocol.money import Money, currency
from protocol.text import shown

LARGEST_PAYLOAD: Final = 4096
"""The framing's largest message (protocol.framing); nothing larger can reach a reader."""

LONGEST_REASON: Final = 40
LONGEST_WAIT: Final = 3600
"""Seconds. A countdown beyond an hour is an error at the issuer, not a wish."""

Json = Mapping[str, object]


class Outcome(StrEnum):
    """What the issuer says became of a payment."""

    COMPLETED = "completed"
    NOT_SETTLED = "not_settled"


class DeclineReason(StrEnum):
    """Why the phone refuses: the person said no, or said nothing."""

    DECLINED = "declined"
    NO_RESPONSE = "no_response"


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """The issuer calls: a merchant wants `amount` for `order`. `approve_within` is in seconds."""

    payment_id: PaymentId
    merchant_name: str
    amount: Money
    order: str
    approve_within: float


@dataclass(frozen=True, slots=True)
class ToReader:
    """One message for the reader, to be forwarded unread. `seconds_left` is the issuer's patience."""

    payment_id: PaymentId
    kind: MessageType
    data: bytes
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Result:
    """How a payment ended, for the phone's screen."""

    payment_id: PaymentId
    outcome: Outcome
    reason: str | None
    last_four: str | None


@dataclass(frozen=True, slots=True)
class PaymentOver:
    """The issuer's answer to something late or unknown: that payment is over, for this reason."""

    payment_id: PaymentId
    reason: str


@dataclass(frozen=True, slots=True)
class IssuerComplaint:
    """The issuer could not take what the phone sent."""

    code: str
    detail: str


IssuerFrame = PaymentRequest | ToReader | Result | PaymentOver | IssuerComplaint


@dataclass(frozen=True, slots=True)
class Approve:
    """The person approved; the reader's hello goes along unread."""

    payment_id: PaymentId
    reader_hello: bytes

    def to_json(self) -> Json:
        """As the wire has it."""
        return {"type": "approve", "payment_id": self.payment_id, "reader_hello": _encode(self.reader_hello)}


@dataclass(frozen=True, slots=True)
class Decline:
    """The person declined, or the countdown ran out. `block_merchant`: no more calls for this merchant."""

    payment_id: PaymentId
    reason: DeclineReason
    block_merchant: bool = False

    def __post_init__(self) -> None:
        if self.block_merchant and self.reason is not DeclineReason.DECLINED:
            raise ValueError("only a person blocks a merchant: not somebody who gave no answer")

    def to_json(self) -> Json:
        """As the wire has it."""
        block = {"block_merchant": True} if self.block_merchant else {}
        return {"type": "decline", "payment_id": self.payment_id, "reason": self.reason.value, **block}


@dataclass(frozen=True, slots=True)
class FromReader:
    """One message of the reader, forwarded unread."""

    payment_id: PaymentId
    kind: MessageType
    data: bytes

    def __post_init__(self) -> None:
        if self.kind not in FROM_READER:
            raise ValueError(f"{self.kind.name} does not travel from the reader inside a payment")

    def to_json(self) -> Json:
        """As the wire has it."""
        return {
            "type": "from_reader",
            "payment_id": self.payment_id,
            "kind": self.kind.name.lower(),
            "data": _encode(self.data),
        }


@dataclass(frozen=True, slots=True)
class ReaderUnavailable:
    """The phone cannot reach the reader, or the reader has forgotten the payment."""

    payment_id: PaymentId

    def to_json(self) -> Json:
        """As the wire has it."""
        return {"type": "reader_unavailable", "payment_id": self.payment_id}


@dataclass(frozen=True, slots=True)
class OutcomeWanted:
    """The reader, or the person, was never told how the payment ended: ask for outcome and result."""

    payment_id: PaymentId

    def to_json(self) -> Json:
        """As the wire has it."""
        return {"type": "outcome_wanted", "payment_id": self.payment_id}


PhoneFrame = Approve | Decline | FromReader | ReaderUnavailable | OutcomeWanted

TO_READER: Final = frozenset({MessageType.KEY_OFFER, MessageType.PIN_REQUEST, MessageType.OUTCOME})
FROM_READER: Final = frozenset({MessageType.CARD_ENVELOPE, MessageType.PIN_ENVELOPE, MessageType.REFUSAL})


def parse_issuer_frame(frame: Json) -> IssuerFrame:
    """Check one frame from the issuer. Raises MessageError naming the field that is wrong."""
    match _text(frame, "type", 40):
        case "payment_request":
            return _payment_request(frame)
        case "to_reader":
            return _to_reader(frame)
        case "result":
            return _result(frame)
        case "payment_over":
            return PaymentOver(_payment_id(frame), _reason(frame) or "unknown")
        case "error":
            return IssuerComplaint(
                shown(_text(frame, "code", LONGEST_REASON)), shown(_text(frame, "detail", 200), 200)
            )
        case _:
            raise MessageError("type", "not a frame this phone knows")


def _payment_request(frame: Json) -> PaymentRequest:
    merchant = shown(_text(frame, "merchant_name", 4 * LONGEST_MERCHANT_NAME), LONGEST_MERCHANT_NAME)
    order = shown(_text(frame, "order", 4 * LONGEST_ORDER), LONGEST_ORDER)
    if not merchant:
        raise MessageError("merchant_name", "nothing in it can be shown")
    if not order:
        raise MessageError("order", "nothing in it can be shown")
    return PaymentRequest(
        _payment_id(frame), merchant, _amount(frame), order, _seconds(frame, "approve_within_seconds")
    )


def _to_reader(frame: Json) -> ToReader:
    kind = _kind(frame)
    if kind not in TO_READER:
        raise MessageError("kind", "does not travel to the reader")
    return ToReader(_payment_id(frame), kind, _bytes(frame, "data"), _seconds(frame, "seconds_left"))


def _result(frame: Json) -> Result:
    try:
        outcome = Outcome(_text(frame, "outcome", 20))
    except ValueError:
        raise MessageError("outcome", "neither completed nor not_settled") from None
    last_four = frame.get("last_four")
    if last_four is not None and not (
        isinstance(last_four, str) and len(last_four) == 4 and last_four.isascii() and last_four.isdigit()
    ):
        raise MessageError("last_four", "not four digits")
    return Result(_payment_id(frame), outcome, _reason(frame), last_four)


def _amount(frame: Json) -> Money:
    amount = frame.get("amount")
    if not isinstance(amount, dict):
        raise MessageError("amount", "not an object")
    minor, exponent = amount.get("minor"), amount.get("exponent")
    if not isinstance(minor, int) or isinstance(minor, bool):
        raise MessageError("amount.minor", "not a whole number")
    try:
        money = Money(minor, currency(_text(amount, "currency", 3)))
    except (InputError, ValueError):
        raise MessageError("amount", "not an amount of a known currency") from None
    # Both sides must show the same figure, so a different idea of the decimals is an error.
    if isinstance(exponent, bool) or exponent != money.currency.exponent:
        raise MessageError("amount.exponent", "not the one of ISO 4217")
    return money


def _payment_id(frame: Json) -> PaymentId:
    try:
        return check_payment_id(_text(frame, "payment_id", 40))
    except (InputError, ValueError):
        raise MessageError("payment_id", "not a payment id") from None


def _kind(frame: Json) -> MessageType:
    name = _text(frame, "kind", 40)
    try:
        return MessageType[name.upper()]
    except KeyError:
        raise MessageError("kind", "not a message this phone knows") from None


def _reason(frame: Json) -> str | None:
    reason = frame.get("reason")
    if reason is None:
        return None
    if not isinstance(reason, str):
        raise MessageError("reason", "not text")
    return shown(reason, LONGEST_REASON)


def _seconds(frame: Json, field: str) -> float:
    value = frame.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_WAIT:
        raise MessageError(field, "not a number of seconds")
    return float(value)


def _text(frame: Mapping[str, object], field: str, limit: int) -> str:
    value = frame.get(field)
    if not isinstance(value, str):
        raise MessageError(field, "not text")
    if len(value) > limit:
        raise MessageError(field, f"longer than {limit} characters")
    return value


def _bytes(frame: Json, field: str) -> bytes:
    text = _text(frame, field, 4 * (LARGEST_PAYLOAD // 3 + 1))
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise MessageError(field, "not base64url") from None
    if not 0 < len(data) <= LARGEST_PAYLOAD:
        raise MessageError(field, f"empty, or longer than {LARGEST_PAYLOAD} bytes")
    return data


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
