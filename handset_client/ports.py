"""What the relay's shell needs from outside, each in a few verbs. Adapters are named only in cli.py."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from handset_client.effects import Ending, HowDeclined, KeptOutcome, Notice, Progress, TurnedAway
from handset_client.issuer_frames import IssuerFrame, PaymentRequest, PhoneFrame
from protocol.identifiers import HandsetId, IssuerId, PaymentId, PhoneNumber, ReaderId
from protocol.messages import MessageType


@dataclass(frozen=True, slots=True)
class ReaderReady:
    """A new session is up, with this reader, opened by this hello."""

    reader_id: ReaderId
    hello: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReaderAway:
    """The link is down. The session may be resumed: ReaderLost says that it was not."""


@dataclass(frozen=True, slots=True)
class ReaderLost:
    """The session is over and cannot be resumed. The link goes on looking until it is released."""


@dataclass(frozen=True, slots=True)
class ReaderSaid:
    """A whole message of the reader."""

    kind: MessageType
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReaderTook:
    """The reader holds this message of ours, whole."""

    payment_id: PaymentId
    kind: MessageType


ReaderEvent = ReaderReady | ReaderAway | ReaderLost | ReaderSaid | ReaderTook | Notice


class ReaderLink(Protocol):
    """The radio to the card reader. It connects, resumes and retries by itself, and says what happens."""

    def connect(self) -> None:
        """See to it that there is a session, or look for the reader until :meth:`release`. Idempotent."""

    def expect_message(self) -> None:
        """A message for the reader is about to come: be ready for it without first clearing the air."""

    def send(self, payment_id: PaymentId, kind: MessageType, data: bytes) -> None:
        """Queue a message for the session that is up; answered by ReaderTook, or by ReaderLost."""

    def release(self) -> None:
        """End the session, as soon as what is on its way has left. The next connect begins another."""

    async def next_event(self) -> ReaderEvent:
        """The next thing that happened, in order. Safe to cancel."""

    async def close(self) -> None:
        """Stop scanning and hang up, within a few seconds."""


@dataclass(frozen=True, slots=True)
class ReaderChoice:
    """Which reader to take: `chosen` and no other, or else `last_used` before others in range."""

    chosen: ReaderId | None = None
    last_used: ReaderId | None = None


@dataclass(frozen=True, slots=True)
class ReaderInRange:
    """A reader that was heard. `name` is fit to show, `signal` in dBm, the id None if it did not say."""

    name: str
    signal: int
    reader_id: ReaderId | None


@dataclass(frozen=True, slots=True)
class IssuerUp:
    """The issuer took us in. `fresh`: nothing of an earlier session lives on."""

    fresh: bool
    phone: str


IssuerEvent = IssuerUp | IssuerFrame | Notice


class IssuerLink(Protocol):
    """The socket to the issuer. It reconnects and resumes by itself."""

    def start(self) -> None:
        """Begin to connect, and keep connected until :meth:`close`."""

    def send(self, frame: PhoneFrame) -> None:
        """Queue a frame; it is repeated until the issuer has it or forgets the session."""

    async def next_event(self) -> IssuerEvent:
        """The next frame or change, in order. Safe to cancel. Raises CredentialRefusedError for good."""

    async def close(self) -> None:
        """Give queued frames a moment to leave, then hang up."""

    def unheard(self) -> Collection[PaymentId]:
        """The payments about which the issuer has not said that it has all that was queued."""


class CredentialRefusedError(Exception):
    """The issuer wants no more of this phone; the wording of a TURNED_AWAY notice says what to do."""

    def __init__(self, why: TurnedAway) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person did with a request: approve, or decline, and then how."""

    payment_id: PaymentId
    approved: bool
    declined: HowDeclined = HowDeclined.BY_PERSON


class Screen(Protocol):
    """The phone's face."""

    def ask(self, request: PaymentRequest, seconds_left: float) -> None:
        """Show a request with its countdown and take an answer; replaces any other on show."""

    def tell(self, what: Progress | Notice) -> None:
        """Show how the payment goes on, or what happens around it."""

    def finish(self, ending: Ending) -> None:
        """Show how it ended and what to do next; ends the asking."""

    def amend(self, ending: Ending) -> None:
        """Say how a payment ended that had ended in doubt, and show its history so; nothing else changes."""

    async def next_answer(self) -> Answer:
        """The person's next decision. Safe to cancel. Raises EOFError when the person quits."""

    async def close(self) -> None:
        """Give the terminal or the window back as it was."""


class History(Protocol):
    """What the phone remembers: ended payments, and outcomes owed to readers. No secret is in either."""

    async def record(self, ending: Ending, at: float) -> None:
        """Write down how a payment stands, in place of what was written of it; `at` is the Unix time."""

    async def amend(self, ending: Ending, at: float) -> None:
        """Write down what was learned at `at` of a payment that had ended in doubt; its time stays."""

    async def in_doubt(self) -> list[Ending]:
        """The payments whose end was never heard of, oldest first."""

    async def keep_outcome(self, kept: KeptOutcome, at: float) -> None:
        """Write or replace what a reader is owed; on disk when this returns."""

    async def forget_outcome(self, payment_id: PaymentId) -> None:
        """The reader has it."""

    async def kept_outcomes(self, at: float) -> list[KeptOutcome]:
        """What is still owed at Unix time `at`, oldest first; what is too old to matter is dropped."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What enrolment gave this phone. The token is a secret: it is left out of repr."""

    issuer_url: str
    issuer_id: IssuerId
    handset_id: HandsetId
    phone: PhoneNumber
    token: str = field(repr=False)


class Credentials(Protocol):
    """Where the credential lies."""

    def load(self) -> Credential | None:
        """The credential, or None before enrolment. Raises InputError when the file cannot be used."""

    def save(self, credential: Credential) -> str:
        """Store it, readable by this user alone; says where, as part of a sentence."""

    def forget(self) -> Credential | None:
        """Remove it, and say which it was; None where there was none."""


class TokenVault(Protocol):
    """A place of the system's own for the credential's secret."""

    @property
    def name(self) -> str:
        """What a person knows it by."""

    def put(self, handset_id: HandsetId, token: str) -> bool:
        """Store the token; False where it did not stay."""

    def get(self, handset_id: HandsetId) -> str | None:
        """The token, or None where there is none. Raises InputError where the vault does not open."""

    def drop(self, handset_id: HandsetId) -> None:
        """Remove the token, if there is one. Raises InputError where the vault does not open."""
