"""Sealing what the database must hold and not tell: the secrets that sign webhooks.

AES-256-GCM under a key made from the webhook-seal key, bound to the endpoint, so that a row's secret does not
open in another row. Stored is the nonce, the ciphertext and its tag.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from issuer_server.key_custody.key_store import KeyStoreError, Mac, MacVersions
from issuer_server.storage.key_records import SealedSecret

NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16

_KEY_DOMAIN: Final = b"blind-relay v1 webhook seal\0"
_DATA_DOMAIN: Final = b"blind-relay v1 webhook secret\0"


class SecretSeal:
    """Closes under the active version, opens under each that is in use. Nothing of it shows in a repr."""

    __slots__ = ("_active", "_ciphers")

    def __init__(self, versions: MacVersions) -> None:
        self._active = versions.active
        self._ciphers = {version: _cipher(key) for version, key in versions.keys.items()}

    def __repr__(self) -> str:
        return "SecretSeal(…)"

    @property
    def version(self) -> int:
        """What `seal` closes under."""
        return self._active

    def seal(self, secret: bytes, owner: str, nonce: bytes) -> SealedSecret:
        """`owner` is the id of the row; `nonce` is NONCE_SIZE random bytes."""
        if len(nonce) != NONCE_SIZE:
            raise ValueError(f"a nonce has {NONCE_SIZE} bytes")
        closed = self._ciphers[self._active].encrypt(nonce, secret, _bound_to(owner))
        return SealedSecret(self._active, nonce + closed)

    def knows(self, version: int) -> bool:
        return version in self._ciphers

    def open(self, sealed: SealedSecret, owner: str) -> bytes:
        """Raises KeyStoreError."""
        cipher = self._ciphers.get(sealed.version)
        if cipher is None:
            raise KeyStoreError(f"version {sealed.version} of the webhook-seal key is not in use")
        try:
            return cipher.decrypt(sealed.sealed[:NONCE_SIZE], sealed.sealed[NONCE_SIZE:], _bound_to(owner))
        except (InvalidTag, ValueError):
            raise KeyStoreError(
                f"the secret of {owner} does not open: restore keys and database from the same backup,"
                " or give the endpoint a new secret with `issuer-server merchant webhook rotate`"
            ) from None


def _cipher(key: Mac) -> AESGCM:
    return AESGCM(key.mac(_KEY_DOMAIN, b""))


def _bound_to(owner: str) -> bytes:
    return _DATA_DOMAIN + owner.encode("ascii")
