"""Small files that only their owner can read, replaced whole: a power cut leaves the old or the new one."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path

from protocol.errors import BlindRelayError
from reader_peripheral.remedies import as_owner, ours


class PrivateFileError(BlindRelayError):
    """One of the reader's files cannot be used; the text tells a person what to do."""


def damaged(path: Path) -> PrivateFileError:
    """What to say of a file whose content makes no sense."""
    return PrivateFileError(f"{path} is damaged. Restore it from a backup, or run: {ours('enrol --replace')}")


def read_private(path: Path) -> str | None:
    """The file's text, None where there is no file. Raises PrivateFileError, also when others may read it."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
                remedy = as_owner(f"chmod 600 {shlex.quote(str(path))}")
                raise PrivateFileError(f"{path} can be read by others. Run: {remedy}")
            return file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise damaged(path) from None
    except OSError as problem:
        raise PrivateFileError(f"{path} cannot be read: {_why(problem)}") from None


def write_private(path: Path, text: str) -> None:
    """Replace the file; it is on the disk when this returns. Raises PrivateFileError."""
    beside = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync(path.parent)
    except OSError as problem:
        raise PrivateFileError(f"{path} cannot be written: {_why(problem)}") from None


def remove_private(path: Path) -> None:
    """Remove the file, if it is there. Raises PrivateFileError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise PrivateFileError(f"{path} cannot be removed: {_why(problem)}") from None


def _why(problem: OSError) -> str:
    """What is forgotten most is sudo: an installed reader's files are the service's alone."""
    if problem.errno in (errno.EACCES, errno.EPERM):
        return f"{problem.strerror}. It belongs to another account: run the command with sudo."
    return f"{problem.strerror}."


def _sync(directory: Path) -> None:
    """The rename itself must survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
