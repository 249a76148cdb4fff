"""Small files that only their owner can read, replaced whole: a power cut leaves the old or the new one."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path
from typing import Final

from protocol.errors import BlindRelayError
from reader_peripheral.remedies import as_owner, is_installed, ours
from service_host.durable import sync_directory

_LARGEST: Final = 256 * 1024
"""Far more than any of them holds; what is larger is something else."""


class PrivateFileError(BlindRelayError):
    """One of the reader's files cannot be used; the text tells a person what to do."""


class DamagedFileError(PrivateFileError):
    """Its content makes no sense; nothing of it is shown."""

    def __init__(self, path: Path, line: int = 1) -> None:
        folder = "" if is_installed() else f" --data {shlex.quote(str(path.parent.absolute()))}"
        super().__init__(
            f"{path}, line {line}: this file is damaged. Restore it from a backup, or make a new identity:"
            f" {ours('enrol --replace')}{folder}"
        )
        self.line = line


def read_private(path: Path) -> str | None:
    """The file's text, None where there is no file. Raises PrivateFileError, also when others may read it."""
    try:
        # Not to wait for whoever writes into a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _check(path, os.fstat(descriptor).st_mode)
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise PrivateFileError(f"{path} cannot be read: {_why(path, problem)}") from None
    if len(content) > _LARGEST:
        raise DamagedFileError(path)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise DamagedFileError(path, content[: problem.start].count(b"\n") + 1) from None


def _check(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise PrivateFileError(f"{path} is no file. Move it away, or name another folder with --data")
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        remedy = as_owner(f"chmod 600 {shlex.quote(str(path))}")
        raise PrivateFileError(f"{path} can be read by others. Run: {remedy}")


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
        sync_directory(path.parent)
    except OSError as problem:
        raise PrivateFileError(f"{path} cannot be written: {_why(path, problem)}") from None


def move_private(source: Path, path: Path) -> None:
    """Let one file take the place of another, for good when this returns. Raises PrivateFileError."""
    try:
        source.replace(path)
        sync_directory(path.parent)
    except OSError as problem:
        raise PrivateFileError(f"{path} cannot be written: {_why(path, problem)}") from None


def _why(path: Path, problem: OSError) -> str:
    """What is forgotten most is sudo: an installed reader's files are the service's alone."""
    match problem.errno:
        case errno.EACCES | errno.EPERM:
            return f"{problem.strerror}. It belongs to another account: run the command with sudo."
        case errno.ENOTDIR | errno.EEXIST if not path.parent.is_dir():
            return f"{path.parent} is no folder. Name another with --data"
        case errno.EISDIR:
            return "it is a folder. Move it away, or name another place with --data"
        case _:
            return f"{problem.strerror}."
