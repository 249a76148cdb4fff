"""What the session machine asks of the world, as values; service.py carries them out in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.gatt import Status
from protocol.messages import MessageType
from reader_peripheral.owed_outcomes import OwedOutcome
from reader_peripheral.screens import Screen


@dataclass(frozen=True, slots=True)
class Show:
    """Put this screen on the display."""

    screen: Screen


@dataclass(frozen=True, slots=True)
class TellStatus:
    """Tell the phone what the reader is doing."""

    status: Status


@dataclass(frozen=True, slots=True)
class Send:
    """Send one message to the phone."""

    message_type: MessageType
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ArmSwiper:
    """The next swipe counts."""


@dataclass(frozen=True, slots=True)
class DisarmSwiper:
    """No swipe is wanted; card data that was read is wiped."""


@dataclass(frozen=True, slots=True)
class WantPin:
    """A PIN is wanted from now on, beginning with no digits."""


@dataclass(frozen=True, slots=True)
class EndPin:
    """No PIN is wanted; digits that were typed are wiped."""


@dataclass(frozen=True, slots=True)
class KeepDigit:
    """The digit just typed belongs to the PIN."""


@dataclass(frozen=True, slots=True)
class DropDigit:
    """The last digit of the PIN is taken back."""


@dataclass(frozen=True, slots=True)
class SealCard:
    """Seal the card just read to this payment's key, then call `Session.card_sealed`."""

    public_key: bytes = field(repr=False)
    info: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealPin:
    """Seal the PIN just typed to this payment's key, then call `Session.pin_sealed`."""

    public_key: bytes = field(repr=False)
    info: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ForgetSession:
    """The resume window is over: the link starts again with whoever comes."""


@dataclass(frozen=True, slots=True)
class KeepOwed:
    """Keep these where they survive a power cut, in place of those kept before."""

    records: tuple[OwedOutcome, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something the log should have: no value of a peer in it."""

    text: str


Effects = (
    Show
    | TellStatus
    | Send
    | ArmSwiper
    | DisarmSwiper
    | WantPin
    | EndPin
    | KeepDigit
    | DropDigit
    | SealCard
    | SealPin
    | ForgetSession
    | KeepOwed
    | Note
)
