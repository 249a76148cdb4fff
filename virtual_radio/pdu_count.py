"""Counts a radio capture: ATT PDUs, their bytes, and the LE packets and air time that they take.

    python -m virtual_radio.pdu_count air.btsnoop

Reads btsnoop files with H4 framing (data link 1002), as `Ether(capture=…)` and Android write them.
Needs no Bumble.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

_FILE_HEADER: Final = struct.Struct(">8sII")
_RECORD_HEADER: Final = struct.Struct(">IIIIQ")
_ACL_HEADER: Final = struct.Struct("<BHH")
_L2CAP_HEADER: Final = struct.Struct("<HH")
_MAGIC: Final = b"btsnoop\0"
_H4: Final = 1002
_ACL_PACKET: Final = 0x02
_CONTINUATION: Final = 1
_ATT_CHANNEL: Final = 4
_SIGNALLING_CHANNEL: Final = 5
_SIGNAL_HEADER: Final = struct.Struct("<BBH")
_CREDIT_REQUEST: Final = 0x14
_CREDIT_RESPONSE: Final = 0x15
_ENHANCED_REQUEST: Final = 0x17
_ENHANCED_RESPONSE: Final = 0x18
_EATT: Final = 0x0027
"""The SPSM of ATT over credit based channels, which BlueZ opens by itself (Core 5.4, 3.A.4.22 to 4.26)."""
_FROM_CONTROLLER: Final = 1
_LARGEST_RECORD: Final = 1 << 16

LE_PACKET_OVERHEAD: Final = 10
"""Preamble 1, access address 4, header 2, CRC 3 bytes: 1M PHY, no encryption (Core 5.4, 6.B.2.1)."""
MICROSECONDS_PER_BYTE: Final = 8
INTER_FRAME_SPACE_US: Final = 150
EMPTY_PACKET_US: Final = LE_PACKET_OVERHEAD * MICROSECONDS_PER_BYTE
"""The acknowledgement of a packet when the other side has nothing to say."""

OPCODES: Final = {
    0x01: "ERROR_RSP",
    0x02: "EXCHANGE_MTU_REQ",
    0x03: "EXCHANGE_MTU_RSP",
    0x04: "FIND_INFORMATION_REQ",
    0x05: "FIND_INFORMATION_RSP",
    0x06: "FIND_BY_TYPE_VALUE_REQ",
    0x07: "FIND_BY_TYPE_VALUE_RSP",
    0x08: "READ_BY_TYPE_REQ",
    0x09: "READ_BY_TYPE_RSP",
    0x0A: "READ_REQ",
    0x0B: "READ_RSP",
    0x0C: "READ_BLOB_REQ",
    0x0D: "READ_BLOB_RSP",
    0x10: "READ_BY_GROUP_TYPE_REQ",
    0x11: "READ_BY_GROUP_TYPE_RSP",
    0x12: "WRITE_REQ",
    0x13: "WRITE_RSP",
    0x16: "PREPARE_WRITE_REQ",
    0x17: "PREPARE_WRITE_RSP",
    0x18: "EXECUTE_WRITE_REQ",
    0x19: "EXECUTE_WRITE_RSP",
    0x1B: "HANDLE_VALUE_NTF",
    0x1D: "HANDLE_VALUE_IND",
    0x1E: "HANDLE_VALUE_CFM",
    0x20: "READ_MULTIPLE_VARIABLE_REQ",
    0x21: "READ_MULTIPLE_VARIABLE_RSP",
    0x23: "MULTIPLE_HANDLE_VALUE_NTF",
    0x52: "WRITE_CMD",
}
"""Core 5.4, 3.F.3.4.8."""


class CaptureError(ValueError):
    """The file is no btsnoop capture, or is broken."""


class Direction(Enum):
    """As seen by the radio that was captured."""

    SENT = "->"
    RECEIVED = "<-"


@dataclass(frozen=True, slots=True)
class AttPdu:
    """One ATT PDU of a capture. `time` is in microseconds, of the capture's own clock."""

    direction: Direction
    value: bytes
    time: int

    @property
    def name(self) -> str:
        """The opcode's name in the specification."""
        return OPCODES.get(self.value[0], f"0x{self.value[0]:02X}")


@dataclass(frozen=True, slots=True)
class Tally:
    """What some PDUs add up to; `air_us` is packets, acknowledgements and spaces on the 1M PHY."""

    pdus: int = 0
    att_bytes: int = 0
    packets: int = 0
    air_us: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.pdus + other.pdus,
            self.att_bytes + other.att_bytes,
            self.packets + other.packets,
            self.air_us + other.air_us,
        )


class _EnhancedChannels:
    """The credit based channels of a capture that carry ATT, and what is on its way on each."""

    def __init__(self) -> None:
        self._asked: dict[tuple[int, int], tuple[Direction, list[int]]] = {}
        self._sdus: dict[tuple[int, Direction, int], bytes] = {}

    def signal(self, handle: int, direction: Direction, frame: bytes) -> None:
        """Learn from a signalling frame which channels are ATT's."""
        if len(frame) < _SIGNAL_HEADER.size:
            return
        code, identifier, _ = _SIGNAL_HEADER.unpack_from(frame)
        fields = [int.from_bytes(frame[at : at + 2], "little") for at in range(4, len(frame) - 1, 2)]
        if code in (_CREDIT_REQUEST, _ENHANCED_REQUEST) and fields[:1] == [_EATT]:
            channels = fields[1:2] if code == _CREDIT_REQUEST else fields[4:]
            self._asked[handle, identifier] = direction, channels
        elif code in (_CREDIT_RESPONSE, _ENHANCED_RESPONSE) and (handle, identifier) in self._asked:
            # Each side is written to by the numbers that it gave.
            asker, given = self._asked.pop((handle, identifier))
            for channel in given:
                self._sdus[handle, direction, channel] = b""
            for channel in fields[:1] if code == _CREDIT_RESPONSE else fields[4:]:
                self._sdus[handle, asker, channel] = b""

    def data(self, handle: int, direction: Direction, channel: int, frame: bytes) -> bytes | None:
        """The ATT PDU that this frame completes, if it does; its length stands before the first frame."""
        key = handle, direction, channel
        if key not in self._sdus:
            return None
        sdu = self._sdus[key] + frame
        whole = len(sdu) >= 2 and len(sdu) - 2 >= int.from_bytes(sdu[:2], "little")
        self._sdus[key] = b"" if whole else sdu
        return sdu[2:] if whole else None


def att_pdus(capture: bytes) -> Iterator[AttPdu]:
    """The ATT PDUs of a btsnoop capture, in order. A cut last record is left out; raises CaptureError."""
    parts: dict[tuple[int, Direction], bytes] = {}
    enhanced = _EnhancedChannels()
    for flags, time, packet in _records(capture):
        if len(packet) < _ACL_HEADER.size or packet[0] != _ACL_PACKET:
            continue
        _, handle, size = _ACL_HEADER.unpack_from(packet)
        direction = Direction.RECEIVED if flags & _FROM_CONTROLLER else Direction.SENT
        key = handle & 0xFFF, direction
        first = (handle >> 12) & 3 != _CONTINUATION
        part = (b"" if first else parts.get(key, b"")) + packet[_ACL_HEADER.size :][:size]
        parts[key] = part
        if len(part) < _L2CAP_HEADER.size:
            continue
        length, channel = _L2CAP_HEADER.unpack_from(part)
        if len(part) < _L2CAP_HEADER.size + length:
            continue
        del parts[key]
        frame = part[_L2CAP_HEADER.size :][:length]
        if channel == _SIGNALLING_CHANNEL:
            enhanced.signal(*key, frame)
            continue
        value = frame if channel == _ATT_CHANNEL else enhanced.data(*key, channel, frame)
        if value:
            yield AttPdu(direction, value, time)


def tally(pdu: AttPdu, packet_payload: int = 251) -> Tally:
    """What one PDU takes on the air; a packet carries 251 bytes, 27 without data length extension."""
    size = len(pdu.value) + _L2CAP_HEADER.size
    packets = -(-size // packet_payload)
    on_air = (size + packets * LE_PACKET_OVERHEAD) * MICROSECONDS_PER_BYTE
    answers = packets * (EMPTY_PACKET_US + 2 * INTER_FRAME_SPACE_US)
    return Tally(1, len(pdu.value), packets, on_air + answers)


def count(capture: bytes, packet_payload: int = 251) -> dict[tuple[Direction, str], Tally]:
    """A capture's tallies by direction and kind of PDU."""
    totals: dict[tuple[Direction, str], Tally] = {}
    for pdu in att_pdus(capture):
        key = pdu.direction, pdu.name
        totals[key] = totals.get(key, Tally()) + tally(pdu, packet_payload)
    return totals


def _records(capture: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(flags, time, packet) of every record (btsnoop: RFC 1761 with Bluetooth's flags)."""
    if len(capture) < _FILE_HEADER.size:
        raise CaptureError("this is no btsnoop file: it is too short")
    magic, version, link = _FILE_HEADER.unpack_from(capture)
    if magic != _MAGIC or version != 1:
        raise CaptureError("this is no btsnoop file")
    if link != _H4:
        raise CaptureError("only btsnoop files with H4 framing are understood")
    position = _FILE_HEADER.size
    while position + _RECORD_HEADER.size <= len(capture):
        _, size, flags, _, time = _RECORD_HEADER.unpack_from(capture, position)
        if size > _LARGEST_RECORD:
            raise CaptureError("a record of the btsnoop file is too long to be one")
        position += _RECORD_HEADER.size
        if position + size > len(capture):
            return
        yield flags, time, capture[position : position + size]
        position += size


def report(totals: dict[tuple[Direction, str], Tally]) -> str:
    """The tallies as a table, one line a kind of PDU and the sum."""
    lines = [f"{'':2} {'PDU':24}{'PDUs':>7}{'ATT bytes':>11}{'packets':>9}{'air ms':>9}"]
    rows = sorted(totals.items(), key=lambda row: (row[0][0].value, row[0][1]))
    for (direction, name), sums in [*rows]:
        lines.append(_line(direction.value, name, sums))
    lines.append(_line("", "total", sum(totals.values(), Tally())))
    return "\n".join(lines)


def _line(direction: str, name: str, sums: Tally) -> str:
    air = f"{sums.air_us / 1000:.1f}"
    return f"{direction:2} {name:24}{sums.pdus:7}{sums.att_bytes:11}{sums.packets:9}{air:>9}"


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m virtual_radio.pdu_count", description="Count ATT PDUs in a btsnoop capture."
    )
    parser.add_argument("capture", type=Path, help="a btsnoop file, as the demo's --btsnoop writes it")
    parser.add_argument("--packet-payload", type=int, default=251, help="bytes a packet, 27 without DLE")
    options = parser.parse_args(arguments)
    try:
        text = report(count(options.capture.read_bytes(), options.packet_payload))
    except (OSError, CaptureError) as error:
        sys.stderr.write(f"{options.capture}: {error}\n")
        return 1
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
