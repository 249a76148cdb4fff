"""The reader's identity and pinned issuer as two files that only their owner can read.

    <data>/identity.seed    64 hex digits: the Ed25519 seed
    <data>/issuer.json      {"issuer_id", "public_key", "url"}: written when enrolment is complete

A file is written beside its place and renamed into it, so that a power cut leaves the old one or the new one.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from protocol.enrolment import check_issuer_url
from protocol.errors import BlindRelayError, InputError
from protocol.identifiers import PUBLIC_KEY_SIZE, PublicKey, check_issuer_id
from protocol.signing import SEED_SIZE
from reader_peripheral.ports import PinnedIssuer

_SEED_FILE = "identity.seed"
_ISSUER_FILE = "issuer.json"


class KeyStoreError(BlindRelayError):
    """The reader's files cannot be used; the text tells a person what to do."""


class FileKeyStore:
    """Implements ports.KeyStore under one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def seed(self) -> bytes | None:
        """The identity's seed."""
        text = self._read(_SEED_FILE)
        if text is None:
            return None
        try:
            seed = bytes.fromhex(text.strip())
        except ValueError:
            seed = b""
        if len(seed) != SEED_SIZE:
            raise self._damaged(_SEED_FILE)
        return seed

    def issuer(self) -> PinnedIssuer | None:
        """The issuer that this reader believes."""
        text = self._read(_ISSUER_FILE)
        if text is None:
            return None
        try:
            match json.loads(text):
                case {"issuer_id": str(issuer_id), "public_key": str(key), "url": str(url)}:
                    public_key = bytes.fromhex(key)
                    if len(public_key) == PUBLIC_KEY_SIZE:
                        return PinnedIssuer(
                            check_issuer_id(issuer_id), PublicKey(public_key), check_issuer_url(url)
                        )
        except (ValueError, InputError):
            pass
        raise self._damaged(_ISSUER_FILE)

    def keep_seed(self, seed: bytes) -> None:
        """A new identity: what belonged to the old one is forgotten first."""
        path = self._path(_ISSUER_FILE)
        try:
            path.unlink(missing_ok=True)
        except OSError as problem:
            raise KeyStoreError(f"{path} cannot be removed: {problem.strerror}.") from None
        self._write(_SEED_FILE, seed.hex() + "\n")

    def pin_issuer(self, issuer: PinnedIssuer) -> None:
        """Enrolment is complete."""
        content = {"issuer_id": issuer.issuer_id, "public_key": issuer.public_key.hex(), "url": issuer.url}
        self._write(_ISSUER_FILE, json.dumps(content, indent=2) + "\n")

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _damaged(self, name: str) -> KeyStoreError:
        return KeyStoreError(
            f"{self._path(name)} is damaged. Restore it from a backup, or enrol again with --replace."
        )

    def _read(self, name: str) -> str | None:
        path = self._path(name)
        try:
            with path.open(encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
                    raise KeyStoreError(f"{path} can be read by others. Run: chmod 600 {path}")
                return file.read()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise self._damaged(name) from None
        except OSError as problem:
            raise KeyStoreError(f"{path} cannot be read: {problem.strerror}.") from None

    def _write(self, name: str, text: str) -> None:
        path, beside = self._path(name), self._path(name + ".new")
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            self._sync_directory()
        except OSError as problem:
            raise KeyStoreError(f"{path} cannot be written: {problem.strerror}.") from None

    def _sync_directory(self) -> None:
        """The rename itself must survive a power cut."""
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
