"""The reader's identity and pinned issuer as two files that only their owner can read.

<data>/identity.seed        64 hex digits: the Ed25519 seed
<data>/issuer.json          {"issuer_id", "public_key", "url", "reader_key"}, when enrolment is complete
<data>/next-identity.seed   the seed that is to replace identity.seed once an issuer has agreed

`reader_key` is the public key of the seed that the issuer knows, so that writing issuer.json swaps both: if
the power fails before next-identity.seed has taken its place, it is the identity already.
"""

from __future__ import annotations

import json
from pathlib import Path

from protocol.enrolment import check_issuer_url
from protocol.identifiers import PUBLIC_KEY_SIZE, PublicKey, check_issuer_id
from protocol.signing import SEED_SIZE, SigningKey
from reader_peripheral.adapters.private_files import (
    DamagedFileError,
    PrivateFileError,
    move_private,
    read_private,
    write_private,
)
from reader_peripheral.ports import PinnedIssuer


class FileKeyStore:
    """Implements ports.KeyStore under one directory."""

    def __init__(self, directory: Path) -> None:
        self._seed_file = directory / "identity.seed"
        self._next_file = directory / "next-identity.seed"
        self._issuer_file = directory / "issuer.json"

    def seed(self) -> bytes | None:
        """The identity's seed."""
        coming = self._next_seed()
        return coming if coming and self._is_pinned(coming) else _read_seed(self._seed_file)

    def candidate(self) -> bytes | None:
        """A seed whose issuer has not agreed yet, beside an identity that has one."""
        coming = self._next_seed()
        return None if coming and self._is_pinned(coming) else coming

    def issuer(self) -> PinnedIssuer | None:
        """The issuer that this reader believes."""
        text = read_private(self._issuer_file)
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
        except json.JSONDecodeError as problem:
            raise DamagedFileError(self._issuer_file, problem.lineno) from None
        except (ValueError, RecursionError):  # InputError is a ValueError
            pass
        raise DamagedFileError(self._issuer_file)

    def keep_seed(self, seed: bytes) -> None:
        """A new identity; beside the one in use, where one is."""
        self._settle()
        in_use = self._issuer_file.exists()
        write_private(self._next_file if in_use else self._seed_file, seed.hex() + "\n")

    def pin_issuer(self, issuer: PinnedIssuer, reader: PublicKey) -> None:
        """Enrolment is complete: `reader` is the identity, and `issuer` the one that knows it."""
        content = {
            "issuer_id": issuer.issuer_id,
            "public_key": issuer.public_key.hex(),
            "url": issuer.url,
            "reader_key": reader.hex(),
        }
        write_private(self._issuer_file, json.dumps(content, indent=2) + "\n")
        self._settle()

    def _settle(self) -> None:
        """What is the identity already gets its name."""
        coming = self._next_seed()
        if coming and self._is_pinned(coming):
            move_private(self._next_file, self._seed_file)

    def _next_seed(self) -> bytes | None:
        """None for a damaged one too: nobody needs it, and it is made anew."""
        try:
            return _read_seed(self._next_file)
        except PrivateFileError:
            return None

    def _is_pinned(self, seed: bytes) -> bool:
        try:
            content = json.loads(read_private(self._issuer_file) or "{}")
        except (PrivateFileError, ValueError, RecursionError):
            return False
        named = content.get("reader_key") if isinstance(content, dict) else None
        return named == SigningKey.from_seed(seed).public_key.hex()


def _read_seed(path: Path) -> bytes | None:
    text = read_private(path)
    if text is None:
        return None
    try:
        seed = bytes.fromhex(text.strip())
    except ValueError:
        seed = b""
    if len(seed) != SEED_SIZE:
        raise DamagedFileError(path)
    return seed
