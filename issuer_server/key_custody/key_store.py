"""The key store port: where the issuer's long-term keys live and what is done with them there.

A key is named by its purpose and its version. Which versions are in use is in the database
(`storage/key_records.py`); the keys themselves are in files (`file_keys.py`) or in a PKCS#11 token
(`token_keys.py`), and two operations are asked of them: to sign, and to make a code.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from protocol.errors import BlindRelayError
from protocol.identifiers import key_id
from protocol.signing import Signer

KEY_SIZE: Final = 32
CHECK_SIZE: Final = 8

_CHECK_DOMAIN: Final = b"blind-relay v1 key check\0"

Octets = bytes | bytearray | memoryview


class KeyPurpose(StrEnum):
    """What a key is for; the values are what operators write and the database holds."""

    SIGNING = "signing"
    PAN_INDEX = "pan-index"
    PIN_PEPPER = "pin-pepper"
    WEBHOOK_SEAL = "webhook-seal"


class KeyStoreError(BlindRelayError):
    """A key cannot be had; the text says what to do."""


class Mac(Protocol):
    """A key for HMAC-SHA-256, wherever it is."""

    def mac(self, domain: bytes, value: Octets) -> bytes:
        """The 32-byte code of `value` in `domain`, which ends in a zero byte."""


class KeyStore(Protocol):
    """One place for keys. Every method raises KeyStoreError where the place fails."""

    @property
    def name(self) -> str:
        """What an operator calls it."""

    @property
    def outside(self) -> bool:
        """Keys stay there and are asked over some wire, which may take its time; else they are in memory."""

    def has(self, purpose: KeyPurpose, version: int) -> bool: ...

    def make(self, purpose: KeyPurpose, version: int) -> None:
        """A new key, kept durably when this returns; one that is there already is taken over."""

    def signer(self, version: int) -> Signer: ...

    def mac(self, purpose: KeyPurpose, version: int) -> Mac: ...

    def destroy(self, purpose: KeyPurpose, version: int) -> None:
        """Safe to repeat."""


class HmacKey:
    """A key in memory. It does not show in a repr."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a key has {KEY_SIZE} bytes")
        self._key = key

    def __repr__(self) -> str:
        return "HmacKey(…)"

    def mac(self, domain: bytes, value: Octets) -> bytes:
        code = hmac.new(self._key, domain, hashlib.sha256)
        code.update(value)
        return code.digest()


@dataclass(frozen=True, slots=True)
class MacVersions:
    """Keys of one purpose by version, and which of them new things are made with."""

    active: int
    keys: Mapping[int, Mac] = field(repr=False)

    def __post_init__(self) -> None:
        if self.active not in self.keys:
            raise ValueError("the active version has no key")

    @property
    def current(self) -> Mac:
        return self.keys[self.active]

    @property
    def earlier(self) -> tuple[Mac, ...]:
        """The others, newest first."""
        return tuple(
            self.keys[version] for version in sorted(self.keys, reverse=True) if version != self.active
        )


class KeyCabinet:
    """Every place that may hold a key. New ones go to the first; a version is looked for in all of them."""

    def __init__(self, stores: Sequence[KeyStore]) -> None:
        self._stores = tuple(stores)

    @property
    def outside(self) -> bool:
        """Some of the keys are asked over a wire."""
        return any(store.outside for store in self._stores)

    def where(self, purpose: KeyPurpose, version: int) -> str | None:
        """The name of the place that holds a key, None where none does."""
        return next((store.name for store in self._stores if store.has(purpose, version)), None)

    def make(self, purpose: KeyPurpose, version: int) -> bytes:
        """Make a key, or take over the one that a killed command left; its check value."""
        if self.where(purpose, version) is None:
            self._stores[0].make(purpose, version)
        return self.check_value(purpose, version)

    def signer(self, version: int) -> Signer:
        return self._store(KeyPurpose.SIGNING, version).signer(version)

    def mac(self, purpose: KeyPurpose, version: int) -> Mac:
        return self._store(purpose, version).mac(purpose, version)

    def destroy(self, purpose: KeyPurpose, version: int) -> None:
        for store in self._stores:
            store.destroy(purpose, version)

    def check_value(self, purpose: KeyPurpose, version: int) -> bytes:
        """Eight bytes by which another key in this one's place is noticed; they tell nothing of the key."""
        if purpose is KeyPurpose.SIGNING:
            return bytes(key_id(self.signer(version).public_key))
        return check_value(self.mac(purpose, version))

    def _store(self, purpose: KeyPurpose, version: int) -> KeyStore:
        for store in self._stores:
            if store.has(purpose, version):
                return store
        places = " or ".join(store.name for store in self._stores)
        raise KeyStoreError(
            f"version {version} of the {purpose} key is missing: restore it from its backup, to {places}"
        )


def check_value(key: Mac) -> bytes:
    """What is kept of a key to know it again."""
    return key.mac(_CHECK_DOMAIN, b"")[:CHECK_SIZE]
