"""Small files that outlive this process, each locked by the one that works on it.

The system gives a lock back however a process ends: a free one tells abandoned work from work going on.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from service_host.durable import sync_directory

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def lock(file: IO[str]) -> bool:
    """Take the file's lock without waiting; whether nobody else has it."""
    try:
        if sys.platform == "win32":
            # Far beyond the text, since Windows keeps others from reading locked bytes.
            file.seek(1 << 20)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_there(path: Path, file: IO[str]) -> bool:
    """Whether `path` still names the open file: who had its lock before may have taken it off."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_durably(path: Path, file: IO[str], text: str) -> None:
    """On the disk when this returns, and the file's name as well where the system can (Windows cannot)."""
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
    sync_directory(path.parent)


def take_off(path: Path, file: IO[str]) -> None:
    """Delete a file whose lock this process holds, and let go of it."""
    if sys.platform == "win32":
        # An open file cannot be deleted there. Emptied, it means nothing to who opens it in between.
        file.truncate(0)
        file.close()
        with suppress(FileNotFoundError, PermissionError):
            path.unlink()
    else:
        with suppress(FileNotFoundError):
            path.unlink()
        file.close()
