"""The two halves of a channel: messages cut into frames, and frames put together to messages. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from protocol.errors import FramingError, LocalProtocolError
from protocol.frames import (
    INDEX_MODULUS,
    Continue,
    ErrorCode,
    Nak,
    Resume,
    Start,
    ack_tag,
    next_message_id,
)
from protocol.messages import MessageType

LONGEST_QUEUE: Final = 8
"""A payment has one message under way at a time; more than these few waiting is a bug."""
_START_HEADER: Final = 4
_CONTINUE_HEADER: Final = 1


@dataclass(slots=True)
class _Letter:
    """One outgoing message: `sent` bytes are handed out, of which the peer has named `confirmed` as held."""

    message_id: int
    type: MessageType
    payload: bytes = field(repr=False)
    sent: int = 0
    confirmed: int = 0


class Outbox:
    """Messages to send, one at a time: the next begins when the one before is acknowledged."""

    def __init__(self) -> None:
        self._letters: deque[_Letter] = deque()
        self._last_id = 0
        self._acknowledged = 0

    @property
    def current(self) -> int:
        """The id of the message under way, 0 when there is none."""
        return self._letters[0].message_id if self._letters else 0

    @property
    def starts(self) -> bool:
        """Whether `drain` would return a START."""
        return bool(self._letters) and self._letters[0].sent == 0

    def put(self, kind: MessageType, payload: bytes) -> int:
        """Queue a message; returns its id. Raises LocalProtocolError when too many wait."""
        if len(self._letters) >= LONGEST_QUEUE:
            raise LocalProtocolError("too many messages wait for acknowledgement")
        self._last_id = next_message_id(self._last_id)
        self._letters.append(_Letter(self._last_id, kind, bytes(payload)))
        return self._last_id

    def fragments_left(self, largest: int) -> int:
        """How many values the rest of the current message takes."""
        if not self._letters:
            return 0
        left = len(self._letters[0].payload) - self._letters[0].sent
        return -(-left // (largest - _CONTINUE_HEADER)) + 1

    def drain(self, largest: int, ack: int) -> list[bytes]:
        """The frames of the current message that are not handed out yet; `ack` goes into its START."""
        frames: list[bytes] = []
        letter = self._letters[0] if self._letters else None
        if letter is None or letter.sent == len(letter.payload):
            return frames
        total = len(letter.payload)
        if letter.sent:
            frames.append(Resume(letter.message_id, letter.sent).encode())
        else:
            letter.sent = min(largest - _START_HEADER, total)
            head, last = letter.payload[: letter.sent], letter.sent == total
            frames.append(Start(letter.type, letter.message_id, ack, total, head, last).encode())
        index = 1
        while letter.sent < total:
            piece = letter.payload[letter.sent : letter.sent + largest - _CONTINUE_HEADER]
            letter.sent += len(piece)
            frames.append(Continue(index % INDEX_MODULUS, piece, letter.sent == total).encode())
            index += 1
        return frames

    def acknowledge(self, message_id: int) -> bool:
        """Drop the current message if that is the one acknowledged; late acknowledgements are nothing new."""
        if not message_id or self.current != message_id:
            return False
        self._acknowledged = self._letters.popleft().message_id
        return True

    def acknowledge_tag(self, tag: int) -> int:
        """The same by the three bits of a START; returns the id acknowledged, or 0."""
        current = self.current
        return current if tag and tag == ack_tag(current) and self.acknowledge(current) else 0

    def rewind(self, offset: int = 0) -> bool:
        """Send the current message again from `offset`; True when the peer holds more of it than before."""
        letter = self._letters[0]
        if offset >= len(letter.payload):
            raise FramingError(ErrorCode.SEQUENCE, "an offset beyond the message")
        letter.sent, progress = offset, offset > letter.confirmed
        letter.confirmed = max(offset, letter.confirmed)
        return progress

    def agree(self, held_id: int, held: int) -> int:
        """Go on from what a HELLO says the peer holds; returns the id that this acknowledges, or 0.

        Raises FramingError (SEQUENCE) when the peer claims something that was never sent to it.
        """
        if not self._letters:
            if held_id != self._acknowledged:
                raise FramingError(ErrorCode.SEQUENCE, "the peer holds a message that was not sent")
            return 0
        letter = self._letters[0]
        if held_id == letter.message_id:
            if held == len(letter.payload):
                self.acknowledge(held_id)
                return held_id
            self.rewind(held)
        elif held_id == self._acknowledged:
            self.rewind()
        else:
            raise FramingError(ErrorCode.SEQUENCE, "the peer holds a message that was not sent")
        return 0


@dataclass(slots=True)
class _Parcel:
    """One incoming message, as far as it is here."""

    message_id: int
    type: MessageType
    total: int
    body: bytearray = field(repr=False)
    next_index: int = 1


@dataclass(frozen=True, slots=True)
class Whole:
    """A message is complete."""

    message_id: int
    type: MessageType
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A message came that was complete before: its acknowledgement was lost."""

    message_id: int


Arrival = Whole | Duplicate | Nak | None
"""What a frame led to: a message, one seen before, missing fragments to ask for, or nothing yet."""


class Inbox:
    """Fragments in, messages out, each once. Never holds more than one message of 4096 bytes."""

    def __init__(self) -> None:
        self._parcel: _Parcel | None = None
        self._last_id = 0
        self._last_total = 0
        # Fragments of a run that cannot be used: after a gap, or of a message that is here already.
        self._skipping = False

    @property
    def last_id(self) -> int:
        """The id of the last message held whole, 0 for none."""
        return self._last_id

    @property
    def partial(self) -> bool:
        """Whether a message has begun and is not complete."""
        return self._parcel is not None

    def held(self) -> tuple[int, int]:
        """(message id, bytes) of the latest message here, complete or not; (0, 0) before the first."""
        if self._parcel:
            return self._parcel.message_id, len(self._parcel.body)
        return self._last_id, self._last_total

    def link_lost(self) -> None:
        """What was in the air is gone: nothing fits until the peer has said where it goes on."""
        self._skipping = False
        if self._parcel:
            self._skipping = True

    def ask_again(self) -> Nak | None:
        """The NAK for a message that does not go on, if there is one; fragments are skipped until it does."""
        if not self._parcel:
            return None
        self._skipping = True
        return Nak(self._parcel.message_id, len(self._parcel.body))

    def start(self, frame: Start) -> Arrival:
        """Take a START. Raises FramingError (SEQUENCE, FORMAT)."""
        if frame.message_id == self._last_id and not self._parcel:
            self._skipping = True
            return Duplicate(frame.message_id)
        if frame.message_id != next_message_id(self._last_id):
            raise FramingError(ErrorCode.SEQUENCE, "START of a message that is not next")
        again = self._parcel
        if again and (again.type, again.total) != (frame.type, frame.total):
            raise FramingError(ErrorCode.SEQUENCE, "START of another message inside a message")
        self._skipping = False
        self._parcel = _Parcel(frame.message_id, frame.type, frame.total, bytearray(frame.payload))
        return self._finish() if frame.last else None

    def resume(self, frame: Resume) -> Arrival:
        """Take a RESUME. Raises FramingError (SEQUENCE)."""
        parcel = self._parcel
        if frame.message_id == self._last_id and not parcel:
            self._skipping = True
            return Duplicate(frame.message_id)
        if frame.message_id != next_message_id(self._last_id):
            raise FramingError(ErrorCode.SEQUENCE, "RESUME of a message that is not next")
        if not parcel or frame.offset > len(parcel.body):
            # The answer to an older NAK: a restart since then, itself cut short, left less here.
            self._skipping = True
            return Nak(frame.message_id, len(parcel.body) if parcel else 0)
        del parcel.body[frame.offset :]
        parcel.next_index, self._skipping = 1, False
        return None

    def go_on(self, frame: Continue) -> Arrival:
        """Take a CONTINUE. Raises FramingError (FORMAT) when it does not fit the total length."""
        if self._skipping:
            return None
        parcel = self._parcel
        if not parcel:
            self._skipping = True  # its START was lost: ask once, not for every fragment
            return Nak(next_message_id(self._last_id), 0)
        if frame.index != parcel.next_index % INDEX_MODULUS:
            return self.ask_again()
        size = len(parcel.body) + len(frame.payload)
        if size > parcel.total or frame.last != (size == parcel.total):
            raise FramingError(ErrorCode.FORMAT, "the fragments do not fit the total length")
        parcel.body += frame.payload
        parcel.next_index += 1
        return self._finish() if frame.last else None

    def _finish(self) -> Whole:
        parcel = self._parcel
        assert parcel
        self._parcel, self._last_id, self._last_total = None, parcel.message_id, parcel.total
        return Whole(parcel.message_id, parcel.type, bytes(parcel.body))
