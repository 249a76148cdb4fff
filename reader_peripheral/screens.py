"""What the reader's display can say, as values. Display adapters decide how it looks, texts.py the words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from protocol.messages import NotSettled as NotSettledReason
from protocol.money import Money
from protocol.track_data import TrackFault


@dataclass(frozen=True, slots=True)
class Bill:
    """Who is paid, how much and for what: always and only from the offer that the issuer signed."""

    merchant: str
    amount: Money
    order: str


class EndedHere(StrEnum):
    """Why this reader itself ended a payment, where no outcome of the issuer says it."""

    CONNECTION_LOST = "connection_lost"
    PHONE_CANCELLED = "phone_cancelled"


class PinHint(Enum):
    """What is wrong with the digits typed so far."""

    NONE = "none"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"


@dataclass(frozen=True, slots=True)
class Idle:
    """Ready; nobody pays."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The signed offer, and the request to swipe a card for it (patent step S35)."""

    bill: Bill


@dataclass(frozen=True, slots=True)
class BadSwipe:
    """The swipe could not be used; so many are left before the reader gives up (at least one)."""

    bill: Bill
    fault: TrackFault
    swipes_left: int
    again: bool = False  # the swipe before could not be used either


@dataclass(frozen=True, slots=True)
class EnterPin:
    """The PIN is asked for (S40). `stars` is how many digits are typed; the digits are nowhere near."""

    bill: Bill
    last_four: str
    tries_left: int
    stars: int
    hint: PinHint = PinHint.NONE
    again: bool = False  # the PIN before was wrong


@dataclass(frozen=True, slots=True)
class Working:
    """Something was sent; the issuer's answer is awaited."""

    bill: Bill


@dataclass(frozen=True, slots=True)
class Cancelling:
    """The reader has refused; the issuer's outcome is awaited."""

    bill: Bill
    reason: NotSettledReason


@dataclass(frozen=True, slots=True)
class Approved:
    """The issuer signed that this payment is settled."""

    bill: Bill


@dataclass(frozen=True, slots=True)
class NotSettled:
    """The payment is over and no money moved: the issuer signed so, or no PIN ever left this reader."""

    bill: Bill
    reason: NotSettledReason | EndedHere | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The last message went out and no outcome came back: do not pay again."""

    bill: Bill


Screen = Idle | Offer | BadSwipe | EnterPin | Working | Cancelling | Approved | NotSettled | Unknown
