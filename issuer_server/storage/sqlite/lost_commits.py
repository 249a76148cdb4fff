"""Has the write-ahead log lost what was committed into it? Asked before SQLite opens the file.

SQLite takes a log that was cut or damaged for one that ends there, and goes on without a word: commits that
were acknowledged would be gone. But the index beside the log (`-shm`) says how many frames were in it, and
it is written after the log reached the disk; so a log with fewer whole frames than that has lost some. An
index that the machine's own crash left older than the log promises less than there is, never more.

Formats: sqlite.org/walformat.html (the index) and sqlite.org/fileformat2.html section 4 (the log).
"""

from __future__ import annotations

import struct
from pathlib import Path

from issuer_server.storage.port import StorageError
from issuer_server.storage.sqlite.connection import take_server_lock

_INDEX_SIZE = 136
_LOG_HEADER = 32
_FRAME_HEADER = 24
_MAGIC = 0x377F0682
"""The last bit says in which byte order the words are summed."""


def check_log_is_whole(database: Path) -> None:
    """Raises StorageError where commits were lost; nothing is changed.

    For a database that nobody has open: closing the index's descriptor drops this process's locks on it.
    """
    promised = _promised(_read(database.with_name(database.name + "-shm"), _INDEX_SIZE))
    if promised is None:
        return
    frames, salt = promised
    log_path = database.with_name(database.name + "-wal")
    log = _read(log_path)
    if len(log) >= _LOG_HEADER and _header_is_sound(log) and log[16:24] != salt:
        return  # begun anew since: what the index speaks of is in the database already
    found = whole_frames(log)
    if found < frames:
        raise StorageError(
            f"the write-ahead log {log_path} is damaged: {frames} pages were committed to it and only {found}"
            " are sound, so payments that were acknowledged are missing. Nothing was changed. Copy the"
            " directory, then bring the log back as it was, or restore a backup with `issuer-server restore`"
        )


def check_unless_served(database: Path) -> None:
    """The first to open a database after a crash may be a command, and would wipe the traces away."""
    if not database.exists():
        return
    try:
        lock = take_server_lock(database)
    except StorageError:
        return  # a server has it open, and looked when it started
    try:
        check_log_is_whole(database)
    finally:
        lock.close()


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None


def _promised(index: bytes) -> tuple[int, bytes] | None:
    """How many frames the index says the log holds, and of which generation; None where it says nothing.

    The header stands there twice: one that was torn while it was written differs from the other.
    """
    if len(index) < _INDEX_SIZE or index[:48] != index[48:96] or not index[12]:
        return None
    frames, backfilled = struct.unpack_from("=I", index, 16)[0], struct.unpack_from("=I", index, 96)[0]
    return (frames, index[32:40]) if frames > backfilled else None


def whole_frames(log: bytes) -> int:
    """The frames of a log that SQLite would take: of its generation, each continuing the checksum."""
    if len(log) < _LOG_HEADER or not _header_is_sound(log):
        return 0
    order = ">" if struct.unpack_from(">I", log)[0] & 1 else "<"
    (page,) = struct.unpack_from(">I", log, 8)
    sums: tuple[int, int] = struct.unpack_from(">II", log, 24)
    whole = 0
    for start in range(_LOG_HEADER, len(log) - _FRAME_HEADER - page + 1, _FRAME_HEADER + page):
        sums = _add(order, log[start : start + 8], *sums)
        sums = _add(order, log[start + _FRAME_HEADER : start + _FRAME_HEADER + page], *sums)
        if log[start + 8 : start + 16] != log[16:24] or sums != struct.unpack_from(">II", log, start + 16):
            break
        whole += 1
    return whole


def _header_is_sound(log: bytes) -> bool:
    (magic,) = struct.unpack_from(">I", log)
    if magic & ~1 != _MAGIC:
        return False
    order = ">" if magic & 1 else "<"
    return _add(order, log[:24], 0, 0) == struct.unpack_from(">II", log, 24)


def _add(order: str, data: bytes, first: int, second: int) -> tuple[int, int]:
    """Section 4.2 of the format: two sums over pairs of 32-bit words."""
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFF_FFFF
        second = (second + other + first) & 0xFFFF_FFFF
    return first, second
