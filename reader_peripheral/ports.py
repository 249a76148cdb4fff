"""What the service needs of the world, three to five verbs a port. adapters/ has a file for each kind.

All callbacks are called on the event loop's thread. Times are seconds of the loop's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from protocol.gatt import Status
from protocol.identifiers import IssuerId, PublicKey
from protocol.messages import MessageType
from protocol.track_data import Swipe, TrackFault
from reader_peripheral.owed_outcomes import OwedOutcome
from reader_peripheral.screens import Screen


class Key(Enum):
    """A key of the keypad. Digits have the value of their digit."""

    DIGIT_0 = 0
    DIGIT_1 = 1
    DIGIT_2 = 2
    DIGIT_3 = 3
    DIGIT_4 = 4
    DIGIT_5 = 5
    DIGIT_6 = 6
    DIGIT_7 = 7
    DIGIT_8 = 8
    DIGIT_9 = 9
    ENTER = "enter"
    CLEAR = "clear"
    CANCEL = "cancel"

    def __repr__(self) -> str:
        """Never the digit: a log of key presses would be the PIN."""
        return "<Key>"

    __str__ = __repr__


SwipeResult = Swipe | TrackFault


class Swiper(Protocol):
    """A magnetic stripe reader. Between swipes that are wanted, what it reads is thrown away."""

    async def open(self, on_swipe: Callable[[SwipeResult], None]) -> None:
        """Take the device. `on_swipe` gets a swipe (the receiver wipes it) or what was wrong with it."""

    def arm(self) -> None:
        """From now on the next swipe counts. Arming twice is arming once."""

    def disarm(self) -> None:
        """No swipe is wanted: forget and wipe what was half read."""

    async def close(self) -> None:
        """Give the device back."""


class Keypad(Protocol):
    """Keys for the PIN, and Cancel."""

    async def open(self, on_key: Callable[[Key], None]) -> None:
        """Take the device."""

    def want_pin(self, wanted: bool) -> None:
        """Whether a PIN is being asked for. A scripted keypad waits for this, a real one may beep."""

    async def close(self) -> None:
        """Give the device back."""


class Display(Protocol):
    """Shows one screen at a time."""

    async def open(self) -> None:
        """Take the device."""

    def show(self, screen: Screen) -> None:
        """Show it, replacing what was there. Never blocks the loop."""

    async def close(self) -> None:
        """Blank the display and give it back."""


class LinkHandlers(Protocol):
    """What a link tells the service."""

    def session_started(self) -> None:
        """A phone opened a new session: whatever was before is over."""

    def session_resumed(self) -> None:
        """The phone is back and the session goes on where it stopped."""

    def link_lost(self) -> None:
        """The phone is gone; it may come back within the resume window."""

    def session_over(self) -> None:
        """The session broke and cannot be resumed; the phone will start another."""

    def message(self, message_type: MessageType, payload: bytes) -> None:
        """One whole message from the phone, opaque and unverified."""

    def cancelled(self) -> None:
        """The phone asks to end the payment."""


class Link(Protocol):
    """The reader's end of the BLE link to one phone."""

    async def start(self, handlers: LinkHandlers) -> None:
        """Put up the service and advertise it. Raises RadioError with a text for a person."""

    def send(self, message_type: MessageType, payload: bytes) -> None:
        """Queue one message; it survives a disconnect until the session is forgotten."""

    def set_status(self, status: Status) -> None:
        """Tell the phone what the reader waits for; repeated as KEEPALIVE while it waits for a person."""

    def forget_session(self) -> None:
        """The resume window is over: a phone that comes back starts again."""

    async def stop(self) -> None:
        """Hang up and take the service down."""


@dataclass(frozen=True, slots=True)
class PinnedIssuer:
    """The one issuer whose signature this reader believes, as written at enrolment."""

    issuer_id: IssuerId
    public_key: PublicKey
    url: str


class OwedStore(Protocol):
    """Remembers, over power cuts, which payments wait for an outcome."""

    def load(self) -> tuple[OwedOutcome, ...]:
        """What was kept last."""

    def keep(self, records: tuple[OwedOutcome, ...]) -> None:
        """Replace what is kept; it is on the disk when this returns."""


class KeyStore(Protocol):
    """The reader's lasting secrets."""

    def seed(self) -> bytes | None:
        """The 32-byte seed of the identity key, or None before enrolment."""

    def issuer(self) -> PinnedIssuer | None:
        """The pinned issuer, or None before enrolment is complete."""

    def candidate(self) -> bytes | None:
        """A seed that was kept beside an enrolled identity, and is not enrolled itself."""

    def keep_seed(self, seed: bytes) -> None:
        """Store a new identity: beside the present one, and no more than that, where that one is enrolled."""

    def pin_issuer(self, issuer: PinnedIssuer, reader: PublicKey) -> None:
        """Enrolment is complete: from now on be `reader`, whose seed was kept, and believe this issuer.

        One step: whenever the power fails, the old pair or the new one is what is there.
        """
