"""What the relay machine asks its shell to do, and what the screen is told: values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Final

from handset_client.issuer_frames import PaymentRequest, PhoneFrame
from protocol.identifiers import PaymentId, ReaderId
from protocol.messages import MessageType


class Step(Enum):
    """The progress line of the phone's screen, in the order of a good payment."""

    LOOKING_FOR_READER = auto()
    READER_READY = auto()
    APPROVED_LOOKING_FOR_READER = auto()
    WAITING_FOR_ISSUER = auto()
    SWIPE_NOW = auto()
    CARD_SENT = auto()
    ENTER_PIN = auto()
    PIN_SENT = auto()
    CALLED_OFF = auto()
    READER_LOST = auto()
    READER_MISSING = auto()
    ASKING_FOR_OUTCOME = auto()


UNDECIDED: Final = frozenset({Step.LOOKING_FOR_READER, Step.READER_READY})
"""Steps at which the person can still approve or decline."""

REVOCABLE: Final = frozenset(
    {
        Step.APPROVED_LOOKING_FOR_READER,
        Step.WAITING_FOR_ISSUER,
        Step.SWIPE_NOW,
        Step.CARD_SENT,
        Step.ENTER_PIN,
    }
)
"""Steps at which an approved payment can be called off."""


class End(StrEnum):
    """How a payment ended as far as the phone can tell; the words of the history file."""

    COMPLETED = "completed"
    NOT_SETTLED = "not_settled"
    UNKNOWN = "unknown"
    """No word from the issuer: the person must not pay again before asking."""
    SEE_READER = "see_reader"
    """The reader has a signed outcome that the phone cannot read."""

    @property
    def in_doubt(self) -> bool:
        """Whether the person still has to hear how it ended."""
        return self in (End.UNKNOWN, End.SEE_READER)


class HowDeclined(StrEnum):
    """How a request was declined on this phone; the words of the history file."""

    BY_PERSON = "declined"
    AND_BLOCKED = "declined_and_blocked"
    """And the shop is not to call this phone again."""
    BY_RULE = "declined_by_rule"
    """Nobody was asked: --approve-below."""
    BY_STOPPING = "declined_by_stopping"
    """The program was stopped before it was paid."""


SWITCHED_OFF: Final = "switched_off"
"""The reason of an end that is unknown because the program was stopped before it; for the history file."""


class WhyAway(StrEnum):
    """Why there is no connection to the issuer, as a person can make use of it; the log says more."""

    REFUSED = "refused"
    """Nobody listens there."""
    NO_ANSWER = "no_answer"
    NO_NETWORK = "no_network"
    NO_SUCH_NAME = "no_such_name"
    CERTIFICATE = "certificate"
    IN_TROUBLE = "in_trouble"
    """It answers with an error, or not as an issuer does."""
    HUNG_UP = "hung_up"
    FAILED = "failed"
    """Anything else."""


class TurnedAway(StrEnum):
    """Why the issuer wants no more of this phone."""

    REPLACED = "replaced"
    """Another program connected with the same credential."""
    CREDENTIAL_UNKNOWN = "credential_unknown"
    BLOCKED = "blocked"


class NoticeKind(Enum):
    """What happens around payments: the connections, and what a person can do about them."""

    ISSUER_CONNECTED = auto()
    ISSUER_AWAY = auto()
    """The detail is one of WhyAway."""
    ISSUER_RETRY = auto()
    """Another attempt failed; the detail is the whole seconds until the next."""
    ISSUER_COMPLAINED = auto()
    PAYMENT_WAITING = auto()
    PAYMENT_WITHDRAWN = auto()
    READER_FOUND = auto()
    READER_NOT_FOUND = auto()
    READER_ABSENT = auto()
    """The one that is chosen, or that has this payment, is not heard."""
    SEVERAL_READERS = auto()
    READER_CONNECTION_LOST = auto()
    READER_RESUMED = auto()
    READER_FAILED = auto()
    READER_BUSY = auto()
    OTHER_READER = auto()
    READER_TOO_NEW = auto()
    BLUETOOTH_OFF = auto()
    BLUETOOTH_DENIED = auto()
    BLUETOOTH_FAILED = auto()
    READER_STATUS = auto()
    OUTCOME_DELIVERED = auto()
    OUTCOME_KEPT = auto()
    HISTORY_FAILED = auto()
    TURNED_AWAY = auto()
    """The issuer wants no more of this phone, and the program ends; the detail is one of TurnedAway."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A payment reached `step`."""

    payment_id: PaymentId
    step: Step


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened beside the payment itself. `detail` is fit to show, or is for the log alone."""

    kind: NoticeKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """A payment's end for screen and history. `reason` is one of the issuer's closed list, or ours."""

    request: PaymentRequest
    end: End
    reason: str | None = None
    last_four: str | None = None
    reader_id: ReaderId | None = None
    """Which reader, where the reason is about it."""


@dataclass(frozen=True, slots=True)
class KeptOutcome:
    """An outcome owed to a reader. `data` is None while the issuer has not said it yet.

    The bytes are signed and hold no secret, so they may lie on disk; they are left out of repr
    because nothing here has any use for them but to carry them.
    """

    payment_id: PaymentId
    reader_id: ReaderId
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """Show the request and take the person's answer within `seconds_left`."""

    request: PaymentRequest
    seconds_left: float


@dataclass(frozen=True, slots=True)
class ConnectReader:
    """See to it that there is a session with the reader, or that one is being looked for."""


@dataclass(frozen=True, slots=True)
class ReleaseReader:
    """End the session and let the reader advertise again."""


@dataclass(frozen=True, slots=True)
class SendToReader:
    """Hand these bytes to the reader under their message type."""

    payment_id: PaymentId
    kind: MessageType
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendToIssuer:
    """Queue this frame for the issuer."""

    frame: PhoneFrame


@dataclass(frozen=True, slots=True)
class Keep:
    """Write to disk that a reader is owed an outcome, behind what was to be written before."""

    kept: KeptOutcome


@dataclass(frozen=True, slots=True)
class Forget:
    """The reader has its outcome: strike it from the disk."""

    payment_id: PaymentId


@dataclass(frozen=True, slots=True)
class Finish:
    """Show how it ended, and write it into the history."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Record:
    """Write into the history, and show nothing: how it stands, should this program end here."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Amend:
    """A payment that had ended in doubt: tell the person how it ended, and correct the history."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Tell:
    """Show a progress line or a notice."""

    what: Progress | Notice


@dataclass(frozen=True, slots=True)
class Disregard:
    """A peer's message had no place here and changed nothing; for the log."""

    event: str
    state: str


Shown = PaymentRequest | Progress | Notice | Ending | Amend
"""All that a screen is told."""

RelayEffect = (
    Ask
    | ConnectReader
    | ReleaseReader
    | SendToReader
    | SendToIssuer
    | Keep
    | Forget
    | Finish
    | Record
    | Amend
    | Tell
    | Disregard
)
