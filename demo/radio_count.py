"""Counts what a btsnoop capture holds: ATT PDUs and bytes (Core 5.4, volume 3, parts A and F). Pure."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEADER_SIZE: Final = 16
"""'btsnoop', a zero byte, version and datalink type (the BTSnoop file format)."""
RECORD_SIZE: Final = 24
"""Original length, included length, flags, drops (4 bytes each), time stamp (8)."""
RECEIVED: Final = 1
"""Flag bit 0: from the controller to the host."""
H4_ACL: Final = 2
ATT_CHANNEL: Final = 4
FIRST_FRAGMENTS: Final = (0, 2)
"""Packet boundary flags of the first fragment of an L2CAP PDU."""


@dataclass(frozen=True, slots=True)
class AttPdu:
    """One ATT PDU; `received` as seen from the radio whose traffic the capture holds."""

    received: bool
    data: bytes

    @property
    def opcode(self) -> int:
        """Which request, response or notification it is."""
        return self.data[0]


@dataclass(frozen=True, slots=True)
class RadioCount:
    """What crossed the air."""

    pdus: int
    octets: int
    writes: int
    notifications: int


WRITE_REQUEST: Final = 0x12
NOTIFICATION: Final = 0x1B


def att_pdus(capture: bytes) -> Iterator[AttPdu]:
    """The ATT PDUs of a capture, put together from ACL fragments. A last record cut short is left out."""
    partial: dict[tuple[bool, int], bytearray] = {}
    at = HEADER_SIZE
    while at + RECORD_SIZE <= len(capture):
        length, flags = struct.unpack_from(">II", capture, at + 4)
        packet = capture[at + RECORD_SIZE : at + RECORD_SIZE + length]
        at += RECORD_SIZE + length
        if len(packet) < 5 or packet[0] != H4_ACL:
            continue
        handle, _size = struct.unpack_from("<HH", packet, 1)
        key = bool(flags & RECEIVED), handle & 0x0FFF
        if (handle >> 12) & 0b11 in FIRST_FRAGMENTS:
            partial[key] = bytearray()
        pdu = partial.setdefault(key, bytearray())
        pdu += packet[5:]
        if len(pdu) < 4:
            continue
        expected, channel = struct.unpack_from("<HH", pdu)
        if len(pdu) >= 4 + expected:
            del partial[key]
            if channel == ATT_CHANNEL and expected:
                yield AttPdu(key[0], bytes(pdu[4 : 4 + expected]))


def count(capture: bytes) -> RadioCount:
    """Totals of both directions."""
    pdus = list(att_pdus(capture))
    opcodes = Counter(pdu.opcode for pdu in pdus)
    return RadioCount(
        len(pdus), sum(len(pdu.data) for pdu in pdus), opcodes[WRITE_REQUEST], opcodes[NOTIFICATION]
    )
