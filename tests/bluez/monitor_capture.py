"""btmon's captures, which hold every adapter's traffic, as captures of one adapter with H4 framing."""

from __future__ import annotations

import struct
from typing import Final

_FILE_HEADER: Final = struct.Struct(">8sII")
_RECORD_HEADER: Final = struct.Struct(">IIIIQ")
_MAGIC: Final = b"btsnoop\0"
_MONITOR: Final = 2001
_H4: Final = 1002
# BlueZ src/shared/btsnoop.h: opcode of a record -> packet type of H4, and whether the controller sent it.
_PACKETS: Final = {2: (1, 0), 3: (4, 1), 4: (2, 0), 5: (2, 1)}


def as_h4(capture: bytes, adapter: int) -> bytes:
    """Commands, events and data of adapter number `adapter`, for virtual_radio.pdu_count and Wireshark."""
    magic, version, link = _FILE_HEADER.unpack_from(capture)
    if (magic, version, link) != (_MAGIC, 1, _MONITOR):
        raise ValueError("this is no capture of btmon's")
    result = [_FILE_HEADER.pack(_MAGIC, 1, _H4)]
    position = _FILE_HEADER.size
    while position + _RECORD_HEADER.size <= len(capture):
        _, size, flags, drops, time = _RECORD_HEADER.unpack_from(capture, position)
        position += _RECORD_HEADER.size
        packet = capture[position : position + size]
        position += size
        index, opcode = flags >> 16, flags & 0xFFFF
        if index == adapter and opcode in _PACKETS and len(packet) == size:
            kind, received = _PACKETS[opcode]
            result.append(
                _RECORD_HEADER.pack(size + 1, size + 1, received, drops, time) + bytes([kind]) + packet
            )
    return b"".join(result)
