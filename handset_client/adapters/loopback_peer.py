"""Whose program is at the other end of a loopback connection, where the system tells."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

_TABLE: Final = Path("/proc/net/tcp")
_ROOT: Final = 0


def is_stranger(peer: tuple[str, int], ours: tuple[str, int]) -> bool:
    """Whether another user's program holds the end `peer` of a connection to `ours`.

    Only Linux says (proc(5)); elsewhere, and where it cannot be found, nobody is called a stranger.
    Root is none: root can do all that we can, and relays of virtual machines run as root.
    """
    if sys.platform != "linux":
        return False
    try:
        lines = _TABLE.read_text(encoding="ascii").splitlines()[1:]
    except (OSError, ValueError):
        return False
    owner = owner_of(lines, peer, ours)
    return owner is not None and owner not in (_ROOT, os.getuid())


def owner_of(lines: Iterable[str], local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The user id in the line of /proc/net/tcp for a socket bound to `local` and connected to `remote`."""
    wanted = [_as_written(local), _as_written(remote)]
    for line in lines:
        fields = line.split()
        if len(fields) > 7 and fields[1:3] == wanted:
            return int(fields[7])
    return None


def _as_written(end: tuple[str, int]) -> str:
    """An address as the kernel prints it: one number in this machine's byte order, in hexadecimal."""
    (number,) = struct.unpack("=I", IPv4Address(end[0]).packed)
    return f"{number:08X}:{end[1]:04X}"
