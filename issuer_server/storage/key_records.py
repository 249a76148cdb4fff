"""What the database knows of keys (never the keys), of what was made with which, and of who did what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from issuer_server.key_custody.key_store import KeyPurpose
from protocol.errors import InputError
from protocol.identifiers import CardId, Digest, ReaderId, WebhookEndpointId


class KeyState(StrEnum):
    """What a version is good for."""

    ACTIVE = "active"
    """New things are made with it; one of each purpose."""
    PREVIOUS = "previous"
    """What was made with it still works."""
    RETIRED = "retired"
    """Gone for good."""


class KeysChanged(InputError):  # noqa: N818 - says it
    """Another command rotated or retired a key meanwhile."""


class KeyInUse(InputError):  # noqa: N818 - says it
    """A version is not retired; `.code`: key_active, key_in_use, unknown_key."""


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One version of a key. `check_value` is None until a program has first held the key itself."""

    purpose: KeyPurpose
    version: int
    state: KeyState
    check_value: bytes | None = field(repr=False)
    created_at: float
    retired_at: float | None = None


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as the database holds it: closed under a version of the webhook seal."""

    version: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """An endpoint's secrets as they lie in the database; version None is one that is in clear still."""

    endpoint_id: WebhookEndpointId
    secret: bytes = field(repr=False)
    version: int | None
    previous: bytes | None = field(repr=False)
    previous_version: int | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what: written in the transaction that did it. `subject` is an id, never a secret."""

    operator: str
    action: str
    subject: str
    at: float


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is at the keyboard, by the login name at the machine, and since when."""

    name: str
    at: float

    def did(self, action: str, subject: str) -> AuditEntry:
        """A line of theirs."""
        return AuditEntry(self.name, action, subject, self.at)


class KeyTable(Protocol):
    """The versions, and what depends on them. Every method is one transaction."""

    async def versions(self) -> list[KeyVersion]: ...

    async def note_check_value(self, purpose: KeyPurpose, version: int, check_value: bytes) -> None:
        """Remember what a key is known by, where that is not known yet."""
        ...

    async def activate(
        self, purpose: KeyPurpose, version: int, before: int, check_value: bytes, entry: AuditEntry
    ) -> None:
        """Make new things with `version` from now on; raises KeysChanged where `before` is not active."""
        ...

    async def uses(self, now: float) -> Mapping[tuple[KeyPurpose, int], int]:
        """How many things depend on each version: readers and codes, cards, endpoints."""
        ...

    async def readers_pinning(self, version: int, limit: int) -> list[ReaderId]:
        """Readers that are not blocked and trust this version of the signing key."""
        ...

    async def retire(
        self, purpose: KeyPurpose, version: int, *, abandon: bool, now: float, entry: AuditEntry
    ) -> int:
        """Nothing uses the version any more; raises KeyInUse. With `abandon`: how many things now fail."""
        ...

    async def stored_secrets(self) -> list[StoredSecrets]: ...

    async def seal_anew(self, changes: Sequence[tuple[StoredSecrets, StoredSecrets]]) -> int:
        """Replace each first by its second where it is still there; how many were."""
        ...

    async def overwrite_clear_secrets(self) -> None:
        """Once after the change to sealed secrets: what was deleted in clear leaves the file for good."""
        ...

    async def move_card_index(self, card_id: CardId, before: Digest, index: Digest, version: int) -> bool:
        """A card met under an earlier key is found by the active one from now on; compare and set."""
        ...

    async def move_pin_verifier(self, card_id: CardId, before: bytes, verifier: bytes, version: int) -> bool:
        """A PIN just typed rightly is checked with another pepper from now on; compare and set."""
        ...

    async def reset_pin(self, card_id: CardId, verifier: bytes, pin_key: int, entry: AuditEntry) -> None:
        """Another PIN, and all its tries; raises NotFound."""
        ...

    async def audit_log(self, limit: int) -> list[AuditEntry]:
        """Latest first."""
        ...
