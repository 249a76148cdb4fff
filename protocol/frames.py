"""The frames of the Bluetooth link as bytes: one frame is one written or notified value, and never more.

    START     0x80 | last<<6 | type(6)   message id   ack(3) total length(13)   payload
    CONTINUE  0x00 | last<<6 | index(6)  payload
    control   a START that is also last, message id and ack 0, at most 20 bytes

Integers are big endian. `ack` names the last message held whole from the other side, so that an answer is its
own acknowledgement even when two messages cross on the air. Nothing here is secret or authenticated: messages
carry their own signatures and seals.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.errors import FramingError
from protocol.gatt import LARGEST_VALUE, SMALLEST_VALUE, Status
from protocol.messages import MessageType

VERSION: Final = 1
LARGEST_MESSAGE: Final = 4096
LARGEST_CONTROL: Final = 20
LARGEST_ATTRIBUTE: Final = 512
"""No attribute value is longer (Core 5.4, 3.F.3.2.9), so nothing longer can be a frame."""
LAST_MESSAGE_ID: Final = 255
INDEX_MODULUS: Final = 64

OVER_BLUETOOTH: Final = frozenset(MessageType) - {MessageType.READER_ENROLMENT}
_START: Final = 0x80
_LAST: Final = 0x40
_LOW_SIX: Final = 0x3F
_START_HEADER: Final = struct.Struct(">BBH")
_LENGTH_BITS: Final = 13
_HELLO: Final = struct.Struct(">BBHIBH")
_POINT: Final = struct.Struct(">BH")


class ErrorCode(IntEnum):
    """Why a side gives up the session."""

    FORMAT = 1
    SEQUENCE = 2
    BUSY = 3
    TIMEOUT = 4
    VERSION = 5


class CancelReason(IntEnum):
    """Why a side will not go on with the payment, when it can say no more."""

    USER = 1
    PAYMENT_OVER = 2
    SHUTTING_DOWN = 3


class ControlType(IntEnum):
    """Types 1 to 15 are control frames; 16 and up are the messages of `MessageType`."""

    HELLO = 1
    ACK = 2
    NAK = 3
    KEEPALIVE = 4
    CANCEL = 5
    ERROR = 6
    RESUME = 7


@dataclass(frozen=True, slots=True)
class Start:
    """The first fragment of a message. `ack` is `ack_tag` of the last message held whole, 0 for none."""

    type: MessageType
    message_id: int
    ack: int
    total: int
    payload: bytes
    last: bool

    def encode(self) -> bytes:
        first = _START | (_LAST if self.last else 0) | self.type
        packed = self.ack << _LENGTH_BITS | self.total
        return _START_HEADER.pack(first, self.message_id, packed) + self.payload


@dataclass(frozen=True, slots=True)
class Continue:
    """A further fragment. `index` counts from 1 after each START or RESUME, modulo 64."""

    index: int
    payload: bytes
    last: bool

    def encode(self) -> bytes:
        return bytes([(_LAST if self.last else 0) | self.index]) + self.payload


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of each side on every link: `largest` is the largest value that this side can take or send.

    `known` says from the central 'I go on with this session', from the peripheral 'I hold this session'.
    `held_id` and `held` say how many bytes of the other side's latest message are here, all when it is whole.
    """

    version: int
    known: bool
    largest: int
    session: int
    held_id: int
    held: int

    def encode(self) -> bytes:
        body = (self.version, self.known, self.largest, self.session, self.held_id, self.held)
        return _control(ControlType.HELLO, _HELLO.pack(*body))


@dataclass(frozen=True, slots=True)
class Ack:
    """The message is here, whole."""

    message_id: int

    def encode(self) -> bytes:
        return _control(ControlType.ACK, bytes([self.message_id]))


@dataclass(frozen=True, slots=True)
class Nak:
    """Fragments are missing: `offset` bytes of the message are here, send the rest again."""

    message_id: int
    offset: int

    def encode(self) -> bytes:
        return _control(ControlType.NAK, _POINT.pack(self.message_id, self.offset))


@dataclass(frozen=True, slots=True)
class Resume:
    """The CONTINUE frames that follow carry the message from `offset` on, their index starting at 1 again."""

    message_id: int
    offset: int

    def encode(self) -> bytes:
        return _control(ControlType.RESUME, _POINT.pack(self.message_id, self.offset))


@dataclass(frozen=True, slots=True)
class Alive:
    """KEEPALIVE: the sender is there and in this status."""

    status: Status

    def encode(self) -> bytes:
        return _control(ControlType.KEEPALIVE, bytes([self.status]))


@dataclass(frozen=True, slots=True)
class Cancel:
    """The sender will not go on with the payment."""

    reason: CancelReason

    def encode(self) -> bytes:
        return _control(ControlType.CANCEL, bytes([self.reason]))


@dataclass(frozen=True, slots=True)
class Failure:
    """ERROR: the sender gives up the session."""

    code: ErrorCode

    def encode(self) -> bytes:
        return _control(ControlType.ERROR, bytes([self.code]))


Frame = Start | Continue | Hello | Ack | Nak | Resume | Alive | Cancel | Failure


def ack_tag(message_id: int) -> int:
    """The three bits that name a message: 0 for none, else 1 to 7. Neighbours differ, 255 and 1 included."""
    return 1 + (message_id - 1) % 7 if message_id else 0


def next_message_id(message_id: int) -> int:
    """1 to 255 and round again; 0 is 'none yet'."""
    return message_id % LAST_MESSAGE_ID + 1


def _control(kind: ControlType, body: bytes) -> bytes:
    return _START_HEADER.pack(_START | _LAST | kind, 0, len(body)) + body


def parse(value: bytes) -> Frame:
    """One value as a frame; raises FramingError (FORMAT) for everything that no honest sender writes."""
    if not value or len(value) > LARGEST_ATTRIBUTE:
        raise FramingError(ErrorCode.FORMAT, "a value is 1 to 512 bytes")
    last = bool(value[0] & _LAST)
    if not value[0] & _START:
        if len(value) == 1:
            raise FramingError(ErrorCode.FORMAT, "a CONTINUE carries at least one byte")
        return Continue(value[0] & _LOW_SIX, bytes(value[1:]), last)
    if len(value) < _START_HEADER.size:
        raise FramingError(ErrorCode.FORMAT, "a START has a header of four bytes")
    first, message_id, packed = _START_HEADER.unpack_from(value)
    number, payload = first & _LOW_SIX, bytes(value[_START_HEADER.size :])
    if number in ControlType._value2member_map_:
        if not last or message_id or packed != len(payload) or len(value) > LARGEST_CONTROL:
            raise FramingError(ErrorCode.FORMAT, "a control frame is one short value")
        return _parse_control(ControlType(number), payload)
    return _parse_start(number, message_id, packed, payload, last)


def _parse_start(number: int, message_id: int, packed: int, payload: bytes, last: bool) -> Start:
    if number not in OVER_BLUETOOTH:
        raise FramingError(ErrorCode.FORMAT, "unknown type")
    ack, total = packed >> _LENGTH_BITS, packed & (1 << _LENGTH_BITS) - 1
    if not 1 <= total <= LARGEST_MESSAGE:
        raise FramingError(ErrorCode.FORMAT, "a message is 1 to 4096 bytes")
    if not message_id:
        raise FramingError(ErrorCode.FORMAT, "a message has an id from 1 to 255")
    if not payload or len(payload) > total or last != (len(payload) == total):
        raise FramingError(ErrorCode.FORMAT, "the fragment does not fit the total length")
    return Start(MessageType(number), message_id, ack, total, payload, last)


def _parse_control(kind: ControlType, body: bytes) -> Frame:
    try:
        match kind:
            case ControlType.HELLO:
                return _parse_hello(body)
            case ControlType.ACK:
                return Ack(_message_id(_only_byte(body)))
            case ControlType.NAK:
                return Nak(*_parse_point(body))
            case ControlType.RESUME:
                return Resume(*_parse_point(body))
            case ControlType.KEEPALIVE:
                return Alive(Status(_only_byte(body)))
            case ControlType.CANCEL:
                return Cancel(CancelReason(_only_byte(body)))
            case ControlType.ERROR:
                return Failure(ErrorCode(_only_byte(body)))
    except (struct.error, ValueError):
        raise FramingError(ErrorCode.FORMAT, f"malformed {kind.name}") from None


def _parse_hello(body: bytes) -> Hello:
    if body[:1] != bytes([VERSION]):
        raise FramingError(ErrorCode.VERSION, "another version of the framing")
    version, known, largest, session, held_id, held = _HELLO.unpack(body)
    if known > 1 or largest < SMALLEST_VALUE or not session:
        raise ValueError
    if held > LARGEST_MESSAGE or bool(held_id) != bool(held):
        raise ValueError
    return Hello(version, bool(known), min(largest, LARGEST_VALUE), session, held_id, held)


def _parse_point(body: bytes) -> tuple[int, int]:
    message_id, offset = _POINT.unpack(body)
    if offset >= LARGEST_MESSAGE:
        raise ValueError
    return _message_id(message_id), offset


def _only_byte(body: bytes) -> int:
    (number,) = body
    return number


def _message_id(number: int) -> int:
    if not number:
        raise ValueError
    return number
