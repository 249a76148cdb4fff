"""The issuer's long-lived keys: three files of 32 random bytes, readable by the service alone.

    signing.seed   Ed25519 seed; readers pin its public key at enrolment
    pan-index.key  HMAC key of the card number index
    pin-pepper.key HMAC key of the PIN verifiers

Losing one is final: without the first no reader trusts this issuer, without the others no card is found.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from issuer_server.cards import CardKeys
from protocol.errors import BlindRelayError
from protocol.signing import SigningKey

SIGNING_SEED: Final = "signing.seed"
PAN_INDEX_KEY: Final = "pan-index.key"
PIN_PEPPER: Final = "pin-pepper.key"
KEY_FILES: Final = (SIGNING_SEED, PAN_INDEX_KEY, PIN_PEPPER)
KEY_FILE_SIZE: Final = 32


class KeyFileError(BlindRelayError):
    """A key file is missing, damaged, or open to others; the text says what to do."""


@dataclass(frozen=True, slots=True)
class IssuerKeys:
    """The keys in use; nothing of them shows in a repr."""

    signing: SigningKey = field(repr=False)
    cards: CardKeys = field(repr=False)


def create_keys(directory: Path, random_bytes: Callable[[int], bytes]) -> None:
    """Write three new keys to a new directory, all or none; raises KeyFileError where it exists.

    They are written beside their place and renamed into it, so that a crash leaves no half set of keys.
    """
    if directory.exists():
        raise KeyFileError(
            f"{directory} exists: keys are never replaced, since cards and readers depend on them"
        )
    fresh = directory.with_name(directory.name + ".new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        for name in KEY_FILES:
            _write(fresh / name, random_bytes(KEY_FILE_SIZE))
        _sync(fresh)
        fresh.rename(directory)
        _sync(directory.parent)
    except OSError as error:
        raise KeyFileError(f"cannot write keys to {directory}: {error.strerror}") from None


def load_keys(directory: Path) -> IssuerKeys:
    """Read the keys; raises KeyFileError where one is missing, damaged, or can be read by anybody else."""
    if not directory.is_dir():
        raise KeyFileError(f"there are no keys in {directory}: run `issuer-server init` first")
    seed, pan_index_key, pin_pepper = (_read(directory / name) for name in KEY_FILES)
    return IssuerKeys(SigningKey.from_seed(seed), CardKeys(pan_index_key, pin_pepper))


def _write(path: Path, key: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    """Make new names in a directory durable; Windows has no such call."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # the file that was opened is the one that is checked: its name may change hands in between
            _check_private(path, os.fstat(file.fileno()))
            key = file.read(KEY_FILE_SIZE + 1)
    except FileNotFoundError:
        raise KeyFileError(f"the key file {path} is missing: restore it from its backup") from None
    except OSError as error:
        raise KeyFileError(
            f"cannot read the key file {path}: {error.strerror}. It must belong to the issuer's user"
        ) from None
    if len(key) != KEY_FILE_SIZE:
        raise KeyFileError(
            f"the key file {path} is damaged (not {KEY_FILE_SIZE} bytes): restore it from its backup"
        )
    return key


def _check_private(path: Path, status: os.stat_result) -> None:
    if os.name != "posix":
        return
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"the key file {path} is not a regular file")
    if status.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(
            f"the key file {path} belongs to another user: run `chown` so that it is the service's"
        )
    if status.st_mode & 0o077:
        raise KeyFileError(
            f"the key file {path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}):"
            f" run `chmod 600 {path}`, and make new keys if others may have read it"
        )
