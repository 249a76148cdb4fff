"""Files for the service's eyes alone: refused, with the command to run, where anybody else can read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from issuer_server.key_custody.key_store import KeyStoreError

CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
"""Where systemd puts a service's credentials; a path, and no secret."""


class KeyFileError(KeyStoreError):
    """A key file is missing, damaged, or open to others; the text says what to do."""


def read_private(path: Path, largest: int, what: str) -> bytes:
    """A file that is its owner's alone, no more than `largest` bytes and one of it; raises KeyFileError."""
    try:
        with path.open("rb") as file:
            # the file that was opened is the one that is checked: its name may change hands in between
            _check_private(path, os.fstat(file.fileno()), what)
            return file.read(largest + 1)
    except FileNotFoundError:
        raise KeyFileError(f"the {what} {path} is missing: restore it from its backup") from None
    except OSError as error:
        raise KeyFileError(
            f"cannot read the {what} {path}: {error.strerror}. It must belong to the issuer's user"
        ) from None


def _check_private(path: Path, status: os.stat_result, what: str) -> None:
    if os.name != "posix":
        return
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"the {what} {path} is not a regular file")
    if status.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(
            f"the {what} {path} belongs to another user: run `chown` so that it is the service's"
        )
    # systemd lets the service in by its group or a list, and keeps the folder itself to the service
    others = 0o007 if _is_credential(path) else 0o077
    if status.st_mode & others:
        raise KeyFileError(
            f"the {what} {path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}):"
            f" run `chmod 600 {path}`, and make new keys if others may have read it"
        )


def _is_credential(path: Path) -> bool:
    folder = os.environ.get(CREDENTIALS_VARIABLE)
    return bool(folder) and path.parent == Path(folder or "")
