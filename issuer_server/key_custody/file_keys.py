"""Keys in files: 32 random bytes each, readable by the service alone.

    signing.seed     Ed25519 seed; readers pin its public key at enrolment
    pan-index.key    HMAC key of the card number index
    pin-pepper.key   HMAC key of the PIN verifiers
    webhook-seal.key seals the secrets that sign webhooks

These are the first versions. Later ones carry their number: signing.2.seed, pan-index.2.key. Losing one that
is in use is final: without the first no reader trusts this issuer, without the next two no card pays.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from issuer_server.cards import CardKeys
from issuer_server.key_custody.key_store import KEY_SIZE, HmacKey, KeyPurpose
from issuer_server.key_custody.private_files import KeyFileError, read_private
from protocol.identifiers import CardId, Digest
from protocol.signing import Signer, SigningKey
from service_host.durable import sync_directory

__all__ = [
    "KEY_FILES",
    "FileKeyStore",
    "IssuerKeys",
    "KeyFileError",
    "create_keys",
    "key_file_name",
    "load_keys",
]

T = TypeVar("T")

KEY_FILE_SIZE: Final = KEY_SIZE
FIRST: Final = 1


def key_file_name(purpose: KeyPurpose, version: int) -> str:
    """What the file of a key is called."""
    number = "" if version == FIRST else f".{version}"
    return f"{purpose.value}{number}.{'seed' if purpose is KeyPurpose.SIGNING else 'key'}"


KEY_FILES: Final = tuple(key_file_name(purpose, FIRST) for purpose in KeyPurpose)
"""The files that a new directory holds."""


@dataclass(frozen=True, slots=True)
class IssuerKeys:
    """The first version of each key, and no other: for a new issuer. Nothing of them shows in a repr."""

    signing: Signer = field(repr=False)
    cards: CardKeys = field(repr=False)

    async def signer(self, version: int) -> Signer | None:
        return self.signing if version == FIRST else None

    async def ask(self, work: Callable[[], T]) -> T:
        """They are in memory."""
        return work()

    async def refresh(self) -> None:
        """There is nothing else to know."""

    async def move_card_index(self, card_id: CardId, before: Digest, index: Digest, version: int) -> bool:
        """Nothing moves where there is one version."""
        return False

    async def move_pin_verifier(self, card_id: CardId, before: bytes, verifier: bytes, version: int) -> bool:
        """Nor here."""
        return False


class FileKeyStore:
    """A directory of key files. `random` gives n random bytes."""

    def __init__(self, directory: Path, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._directory = directory
        self._random = random

    @property
    def name(self) -> str:
        return str(self._directory)

    @property
    def outside(self) -> bool:
        return False

    def has(self, purpose: KeyPurpose, version: int) -> bool:
        return self._path(purpose, version).exists()

    def make(self, purpose: KeyPurpose, version: int) -> None:
        path = self._path(purpose, version)
        if path.exists():
            return
        fresh = path.with_name(path.name + ".new")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            _write(fresh, self._random(KEY_FILE_SIZE))
            self._give_to_owner(fresh)
            os.link(fresh, path)  # unlike a rename, never over a key that another command has just made
            fresh.unlink()
            sync_directory(self._directory)
        except FileExistsError:
            fresh.unlink(missing_ok=True)
        except OSError as error:
            raise KeyFileError(f"cannot write the key file {path}: {error.strerror}") from None

    def signer(self, version: int) -> Signer:
        return SigningKey.from_seed(_read(self._path(KeyPurpose.SIGNING, version)))

    def mac(self, purpose: KeyPurpose, version: int) -> HmacKey:
        return HmacKey(_read(self._path(purpose, version)))

    def destroy(self, purpose: KeyPurpose, version: int) -> None:
        path = self._path(purpose, version)
        try:
            path.unlink(missing_ok=True)
            if self._directory.is_dir():
                sync_directory(self._directory)
        except OSError as error:
            raise KeyFileError(f"cannot remove the key file {path}: {error.strerror}") from None

    def _path(self, purpose: KeyPurpose, version: int) -> Path:
        return self._directory / key_file_name(purpose, version)

    def _give_to_owner(self, path: Path) -> None:
        """A rotation run as root makes a key that the service, whose directory it is, can read."""
        if os.name == "posix" and os.geteuid() == 0:
            owner = self._directory.stat()
            os.chown(path, owner.st_uid, owner.st_gid)


def create_keys(directory: Path, random_bytes: Callable[[int], bytes]) -> None:
    """Write new keys to a new directory, all or none; raises KeyFileError where it exists.

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
        sync_directory(fresh)
        fresh.rename(directory)
        sync_directory(directory.parent)
    except OSError as error:
        raise KeyFileError(f"cannot write keys to {directory}: {error.strerror}") from None


def load_keys(directory: Path) -> IssuerKeys:
    """The first versions of a directory; raises KeyFileError where one is missing, damaged, not private."""
    if not directory.is_dir():
        raise KeyFileError(f"there are no keys in {directory}: run `issuer-server init` first")
    seed, pan_index_key, pin_pepper, _ = (_read(directory / name) for name in KEY_FILES)
    return IssuerKeys(SigningKey.from_seed(seed), CardKeys(pan_index_key, pin_pepper))


def _write(path: Path, key: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    key = read_private(path, KEY_FILE_SIZE, "key file")
    if len(key) != KEY_FILE_SIZE:
        del key  # not even half of one is for whoever prints the variables of a traceback
        raise KeyFileError(
            f"the key file {path} is damaged (not {KEY_FILE_SIZE} bytes): restore it from its backup"
        )
    return key
