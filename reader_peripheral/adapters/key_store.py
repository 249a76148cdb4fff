"""The reader's identity and pinned issuer as two files that only their owner can read.

<data>/identity.seed    64 hex digits: the Ed25519 seed
<data>/issuer.json      {"issuer_id", "public_key", "url"}: written when enrolment is complete
"""

from __future__ import annotations

import json
from pathlib import Path

from protocol.enrolment import check_issuer_url
from protocol.identifiers import PUBLIC_KEY_SIZE, PublicKey, check_issuer_id
from protocol.signing import SEED_SIZE
from reader_peripheral.adapters.private_files import (
    DamagedFileError,
    read_private,
    remove_private,
    write_private,
)
from reader_peripheral.ports import PinnedIssuer


class FileKeyStore:
    """Implements ports.KeyStore under one directory."""

    def __init__(self, directory: Path) -> None:
        self._seed_file = directory / "identity.seed"
        self._issuer_file = directory / "issuer.json"

    def seed(self) -> bytes | None:
        """The identity's seed."""
        text = read_private(self._seed_file)
        if text is None:
            return None
        try:
            seed = bytes.fromhex(text.strip())
        except ValueError:
            seed = b""
        if len(seed) != SEED_SIZE:
            raise DamagedFileError(self._seed_file)
        return seed

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
        """A new identity: what belonged to the old one is forgotten first."""
        remove_private(self._issuer_file)
        write_private(self._seed_file, seed.hex() + "\n")

    def pin_issuer(self, issuer: PinnedIssuer) -> None:
        """Enrolment is complete."""
        content = {"issuer_id": issuer.issuer_id, "public_key": issuer.public_key.hex(), "url": issuer.url}
        write_private(self._issuer_file, json.dumps(content, indent=2) + "\n")
