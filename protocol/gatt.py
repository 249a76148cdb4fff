"""The GATT service: its UUIDs, properties and the two small values that can be read, declared only here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from protocol.encoding import decode, encode
from protocol.errors import MessageError
from protocol.identifiers import ReaderId

# A random (version 4) UUID; service and characteristics differ in the last two digits of the first group.
SERVICE_UUID: Final = "b1d5e100-4c0f-4e6b-9d57-3a2f86c7e914"
READER_INFO_UUID: Final = "b1d5e101-4c0f-4e6b-9d57-3a2f86c7e914"
KEY_UUID: Final = "b1d5e102-4c0f-4e6b-9d57-3a2f86c7e914"
CIPHERTEXT_UUID: Final = "b1d5e103-4c0f-4e6b-9d57-3a2f86c7e914"
STATUS_UUID: Final = "b1d5e104-4c0f-4e6b-9d57-3a2f86c7e914"

DEVICE_NAME_PREFIX: Final = "BR-"
"""A name is this and four hex digits of the reader id: beside a 128-bit UUID, 8 characters fit an advert."""

ATT_HEADER: Final = 3
"""Opcode and handle of a write or a notification: a value is at most the MTU less this (Core 5.4, 3.F)."""
SMALLEST_VALUE: Final = 20
"""What fits the default MTU of 23."""
LARGEST_VALUE: Final = 510
"""BlueZ before 5.69 refuses a single write longer than this, whatever the MTU."""


class Property(IntFlag):
    """Characteristic properties, as numbered in Core 5.4, 3.G.3.3.1.1."""

    READ = 0x02
    WRITE_WITHOUT_RESPONSE = 0x04
    WRITE = 0x08
    NOTIFY = 0x10


PROPERTIES: Final[dict[str, Property]] = {
    READER_INFO_UUID: Property.READ,
    # Not write-without-response as well: BlueZ would then acknowledge before the reader has looked.
    KEY_UUID: Property.WRITE,
    CIPHERTEXT_UUID: Property.NOTIFY,
    STATUS_UUID: Property.READ | Property.NOTIFY,
}


KEEPALIVE_EVERY: Final = 5.0
"""Seconds between two KEEPALIVEs of a reader that waits for a person."""
SILENT_AFTER: Final = 3 * KEEPALIVE_EVERY + 1.0
"""Seconds without a word from a reader that waits for a person, after which the link is as good as down."""


class Status(IntEnum):
    """What the reader is doing, for the phone's screen. One byte on the air; never a count of digits."""

    IDLE = 0
    OFFERED = 1
    WAITING_FOR_CARD = 2
    CARD_READ = 3
    WAITING_FOR_PIN = 4
    PIN_READ = 5
    APPROVED = 6
    NOT_SETTLED = 7
    UNKNOWN_OUTCOME = 8
    BUSY = 9
    ERROR = 10

    def encode(self) -> bytes:
        """The value of the Status characteristic."""
        return bytes([self])

    @property
    def waits_for_a_person(self) -> bool:
        """Whether nothing need happen for a while; the reader gives signs of life meanwhile."""
        return self in (Status.WAITING_FOR_CARD, Status.WAITING_FOR_PIN)

    @classmethod
    def decode(cls, value: bytes) -> Status:
        """The status in a value of the characteristic; raises MessageError."""
        if len(value) != 1 or value[0] not in cls._value2member_map_:
            raise MessageError("status", "is not one known byte")
        return cls(value[0])


def device_name(reader: ReaderId) -> str:
    """The advertised name of a reader: enough for a person to tell two of them apart, no identity."""
    return DEVICE_NAME_PREFIX + reader.hex()[:4]


def largest_value(mtu: int) -> int:
    """The largest value that one write or notification carries at this ATT MTU, capped at LARGEST_VALUE."""
    if mtu < SMALLEST_VALUE + ATT_HEADER:
        raise ValueError("an ATT MTU is at least 23")
    return min(mtu - ATT_HEADER, LARGEST_VALUE)


_READER_ID_SIZE = 8
_MOST_VERSIONS = 3


@dataclass(frozen=True, slots=True)
class ReaderInfo:
    """The value of Reader Info: what a phone must know before it speaks. At most 19 bytes: one read takes it.

    `versions` are protocol versions, best first; `model` is the maker's code; `firmware` is (major, minor).
    The encoding is a deterministic CBOR array [[versions], reader id, model, major * 256 + minor].
    """

    versions: tuple[int, ...]
    reader_id: ReaderId
    model: int
    firmware: tuple[int, int]

    def __post_init__(self) -> None:
        versions = self.versions
        if not 1 <= len(versions) <= _MOST_VERSIONS or not all(_is_byte(v, 1, 23) for v in versions):
            raise MessageError("versions", "must be one to three numbers from 1 to 23")
        if not isinstance(self.reader_id, bytes) or len(self.reader_id) != _READER_ID_SIZE:
            raise MessageError("reader_id", "must be 8 bytes")
        if not _is_byte(self.model):
            raise MessageError("model", "must be one byte")
        if len(self.firmware) != 2 or not all(_is_byte(part) for part in self.firmware):
            raise MessageError("firmware", "must be two bytes")

    def encode(self) -> bytes:
        """The characteristic's value."""
        major, minor = self.firmware
        parts = [list(self.versions), self.reader_id, self.model, major << 8 | minor]
        return encode(parts)

    @classmethod
    def decode(cls, value: bytes) -> ReaderInfo:
        """Decode, encode again, compare; raises MessageError."""
        if len(value) > 19:
            raise MessageError("reader_info", "is longer than one read")
        parts = decode(bytes(value), "reader_info")
        if not isinstance(parts, list) or len(parts) != 4 or not isinstance(parts[0], list):
            raise MessageError("reader_info", "is not an array of four")
        versions, reader_id, model, firmware = parts
        if not isinstance(firmware, int) or not 0 <= firmware <= 0xFFFF:
            raise MessageError("firmware", "must be two bytes")
        info = cls(tuple(versions), reader_id, model, (firmware >> 8, firmware & 0xFF))
        if info.encode() != bytes(value):
            raise MessageError("reader_info", "is not deterministically encoded")
        return info


def _is_byte(value: object, least: int = 0, most: int = 255) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
