"""Whose program is at the other end of a loopback connection, where the system tells."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""An IPv6 socket reaches 127.0.0.1 as well, as ::ffff:127.0.0.1, and is in the second table only."""
_ROOT: Final = 0


def is_stranger(peer: tuple[str, int], ours: tuple[str, int]) -> bool:
    """Whether another user's program holds the end `peer` of a connection to `ours`.

    Only Linux says (proc(5)); elsewhere, and where its table cannot be read, nobody is called a stranger.
    Whoever is not in a table that can be read is one: a good peer waits for our answer and is there.
    Root is none: root can do all that we can, and relays of virtual machines run as root.
    """
    if sys.platform != "linux":
        return False
    try:
        lines = [line for table in _TABLES if table.exists() for line in _lines(table)]
    except (OSError, ValueError):
        return False
    if not lines:
        return False
    return owner_of(lines, peer, ours) not in (_ROOT, os.getuid())


def _lines(table: Path) -> list[str]:
    return table.read_text(encoding="ascii").splitlines()


def owner_of(lines: Iterable[str], local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The user id in the line of the kernel's tables for a socket bound to `local`, connected to `remote`."""
    wanted = [list(pair) for pair in zip(_as_written(local), _as_written(remote), strict=True)]
    for line in lines:
        fields = line.split()
        if len(fields) > 7 and fields[1:3] in wanted:
            return int(fields[7])
    return None


def _as_written(end: tuple[str, int]) -> tuple[str, str]:
    """An address as the kernel prints it, in its IPv4 and its IPv6 table: hexadecimal, in our byte order."""
    address = ip_address(end[0])
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    port = f":{end[1]:04X}"
    if isinstance(address, IPv4Address):
        mapped = IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
        return _numbers(address.packed) + port, _numbers(mapped.packed) + port
    return _numbers(address.packed) + port, _numbers(address.packed) + port


def _numbers(packed: bytes) -> str:
    return "".join(f"{number:08X}" for (number,) in struct.iter_unpack("=I", packed))
