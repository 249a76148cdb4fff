"""Key versions in SQL, what depends on each, and the audit log. No key passes through here."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from issuer_server.key_custody.key_store import KeyPurpose
from issuer_server.storage.key_records import (
    AuditEntry,
    KeyInUse,
    KeysChanged,
    KeyState,
    KeyVersion,
    StoredSecrets,
)
from issuer_server.storage.port import NotFound
from issuer_server.storage.sqlite import audit
from issuer_server.storage.sqlite.connection import connect, storage_error
from issuer_server.storage.sqlite.group_commit import GroupCommit
from issuer_server.storage.sqlite.payments import milliseconds
from protocol.identifiers import CardId, Digest, ReaderId, WebhookEndpointId

_VERSIONS: Final = (
    "SELECT purpose, version, state, check_value, created_ms, retired_ms FROM key_versions"
    " ORDER BY purpose, version"
)
_PINNING: Final = "FROM readers WHERE issuer_key = ? AND NOT blocked"
_USES: Final[Mapping[KeyPurpose, str]] = {
    KeyPurpose.SIGNING: (
        "SELECT issuer_key, count(*) FROM (SELECT issuer_key FROM readers WHERE NOT blocked UNION ALL"
        " SELECT issuer_key FROM enrolment_codes"
        " WHERE kind = 'reader' AND used_ms IS NULL AND expires_ms > :now) GROUP BY issuer_key"
    ),
    KeyPurpose.PAN_INDEX: "SELECT pan_key, count(*) FROM cards WHERE :now > 0 GROUP BY pan_key",
    KeyPurpose.PIN_PEPPER: "SELECT pin_key, count(*) FROM cards WHERE :now > 0 GROUP BY pin_key",
    KeyPurpose.WEBHOOK_SEAL: (
        "SELECT version, count(*) FROM (SELECT sealed_by AS version FROM webhook_endpoints UNION ALL"
        " SELECT previous_sealed_by FROM webhook_endpoints) WHERE version IS NOT NULL AND :now > 0"
        " GROUP BY version"
    ),
}
_SEAL: Final = (
    "UPDATE webhook_endpoints SET secret = ?1, sealed_by = ?2, previous_secret = ?3, previous_sealed_by = ?4"
    " WHERE id = ?5 AND secret = ?6 AND previous_secret IS ?7"
)
_MOVE_INDEX: Final = (
    "UPDATE cards SET pan_index = ?1, pan_key = ?2 WHERE id = ?3 AND pan_index = ?4 AND EXISTS"
    " (SELECT 1 FROM key_versions WHERE purpose = 'pan-index' AND version = ?2 AND state = 'active')"
)
_MOVE_VERIFIER: Final = (
    "UPDATE cards SET pin_verifier = ?1, pin_key = ?2 WHERE id = ?3 AND pin_verifier = ?4 AND EXISTS"
    " (SELECT 1 FROM key_versions WHERE purpose = 'pin-pepper' AND version = ?2 AND state <> 'retired')"
)
_RESET_PIN: Final = (
    "UPDATE cards SET pin_verifier = ?, pin_key = ?, pin_tries_left = pin_try_limit WHERE id = ?"
)


class SqliteKeyTable:
    """`KeyTable` on the storage's own writer and reader."""

    def __init__(self, path: Path, writer: GroupCommit, reader: GroupCommit) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader

    async def versions(self) -> list[KeyVersion]:
        return await self._reader.submit(_versions)

    async def note_check_value(self, purpose: KeyPurpose, version: int, check_value: bytes) -> None:
        query = (
            "UPDATE key_versions SET check_value = ?"
            " WHERE purpose = ? AND version = ? AND check_value IS NULL"
        )
        await self._writer.submit(
            lambda connection: connection.execute(query, (check_value, purpose, version))
        )

    async def activate(
        self, purpose: KeyPurpose, version: int, before: int, check_value: bytes, entry: AuditEntry
    ) -> None:
        await self._writer.submit(
            lambda connection: _activate(connection, purpose, version, before, check_value, entry)
        )

    async def uses(self, now: float) -> Mapping[tuple[KeyPurpose, int], int]:
        return await self._reader.submit(
            lambda connection: {
                (purpose, version): count
                for purpose in KeyPurpose
                for version, count in _uses(connection, purpose, milliseconds(now)).items()
            }
        )

    async def move_card_index(self, card_id: CardId, before: Digest, index: Digest, version: int) -> bool:
        return await self._writer.submit(
            lambda connection: _move(connection, _MOVE_INDEX, (index, version, card_id, before))
        )

    async def move_pin_verifier(self, card_id: CardId, before: bytes, verifier: bytes, version: int) -> bool:
        return await self._writer.submit(
            lambda connection: _move(connection, _MOVE_VERIFIER, (verifier, version, card_id, before))
        )

    async def readers_pinning(self, version: int, limit: int) -> list[ReaderId]:
        query = f"SELECT id {_PINNING} ORDER BY created_ms, id LIMIT ?"
        return await self._reader.submit(
            lambda connection: [ReaderId(row[0]) for row in connection.execute(query, (version, limit))]
        )

    async def retire(
        self, purpose: KeyPurpose, version: int, *, abandon: bool, now: float, entry: AuditEntry
    ) -> int:
        return await self._writer.submit(
            lambda connection: _retire(connection, purpose, version, abandon, milliseconds(now), entry)
        )

    async def stored_secrets(self) -> list[StoredSecrets]:
        query = "SELECT id, secret, sealed_by, previous_secret, previous_sealed_by FROM webhook_endpoints"
        return await self._reader.submit(
            lambda connection: [
                StoredSecrets(WebhookEndpointId(row[0]), *row[1:]) for row in connection.execute(query)
            ]
        )

    async def seal_anew(self, changes: Sequence[tuple[StoredSecrets, StoredSecrets]]) -> int:
        return await self._writer.submit(lambda connection: _seal_anew(connection, changes))

    async def overwrite_clear_secrets(self) -> None:
        query = "SELECT 1 FROM chores WHERE name = 'overwrite_clear_secrets'"
        if await self._reader.submit(lambda connection: connection.execute(query).fetchone()) is not None:
            await asyncio.to_thread(_overwrite, self._path)

    async def reset_pin(self, card_id: CardId, verifier: bytes, pin_key: int, entry: AuditEntry) -> None:
        await self._writer.submit(
            lambda connection: _reset_pin(connection, card_id, verifier, pin_key, entry)
        )

    async def audit_log(self, limit: int) -> list[AuditEntry]:
        return await self._reader.submit(lambda connection: audit.latest(connection, limit))


def _move(connection: sqlite3.Connection, query: str, values: tuple[str | bytes | int, ...]) -> bool:
    return connection.execute(query, values).rowcount == 1


def _versions(connection: sqlite3.Connection) -> list[KeyVersion]:
    return [
        KeyVersion(
            KeyPurpose(purpose),
            version,
            KeyState(state),
            check_value,
            created_ms / 1000,
            None if retired_ms is None else retired_ms / 1000,
        )
        for purpose, version, state, check_value, created_ms, retired_ms in connection.execute(_VERSIONS)
    ]


def _activate(
    connection: sqlite3.Connection,
    purpose: KeyPurpose,
    version: int,
    before: int,
    check_value: bytes,
    entry: AuditEntry,
) -> None:
    aside = (
        "UPDATE key_versions SET state = 'previous' WHERE purpose = ? AND version = ? AND state = 'active'"
    )
    there = "SELECT 1 FROM key_versions WHERE purpose = ? AND version = ?"
    if (
        connection.execute(there, (purpose, version)).fetchone() is not None
        or connection.execute(aside, (purpose, before)).rowcount != 1
    ):
        raise KeysChanged(
            "keys_changed", "Another command rotated this key meanwhile: see `issuer-server keys list`."
        )
    connection.execute(
        "INSERT INTO key_versions (purpose, version, state, check_value, created_ms)"
        " VALUES (?, ?, 'active', ?, ?)",
        (purpose, version, check_value, milliseconds(entry.at)),
    )
    audit.write(connection, entry)


def _uses(connection: sqlite3.Connection, purpose: KeyPurpose, now_ms: int) -> dict[int, int]:
    return dict(connection.execute(_USES[purpose], {"now": now_ms}).fetchall())


def _retire(
    connection: sqlite3.Connection,
    purpose: KeyPurpose,
    version: int,
    abandon: bool,
    now_ms: int,
    entry: AuditEntry,
) -> int:
    query = "SELECT state FROM key_versions WHERE purpose = ? AND version = ?"
    row = connection.execute(query, (purpose, version)).fetchone()
    if row is None:
        raise KeyInUse(
            "unknown_key",
            f"There is no version {version} of the {purpose} key: see `issuer-server keys list`.",
        )
    if row[0] == KeyState.RETIRED:
        return 0
    if row[0] == KeyState.ACTIVE:
        raise KeyInUse(
            "key_active",
            f"Version {version} of the {purpose} key is the one in use:"
            f" run `issuer-server keys rotate {purpose}` first.",
        )
    left = _uses(connection, purpose, now_ms).get(version, 0)
    if left and not abandon:
        raise KeyInUse("key_in_use", f"Version {version} of the {purpose} key is still needed by {left}.")
    connection.execute(
        "UPDATE key_versions SET state = 'retired', retired_ms = ? WHERE purpose = ? AND version = ?",
        (now_ms, purpose, version),
    )
    audit.write(connection, entry)
    return left


def _seal_anew(connection: sqlite3.Connection, changes: Sequence[tuple[StoredSecrets, StoredSecrets]]) -> int:
    done = 0
    for old, new in changes:
        done += connection.execute(
            _SEAL,
            (
                new.secret,
                new.version,
                new.previous,
                new.previous_version,
                old.endpoint_id,
                old.secret,
                old.previous,
            ),
        ).rowcount
    return done


def _reset_pin(
    connection: sqlite3.Connection, card_id: CardId, verifier: bytes, pin_key: int, entry: AuditEntry
) -> None:
    if connection.execute(_RESET_PIN, (verifier, pin_key, card_id)).rowcount != 1:
        raise NotFound("unknown_card", "There is no card with this id: see `issuer-server card list`.")
    audit.write(connection, entry)


def _overwrite(path: Path) -> None:
    """Write the file anew: its free space, and the log of before, held what was deleted or replaced.

    On a connection of its own, since VACUUM is no part of a transaction. The chore is crossed off last.
    """
    try:
        with closing(connect(path)) as connection:
            connection.execute("VACUUM")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                return  # a command reads beside: the next start does it
            connection.execute("DELETE FROM chores WHERE name = 'overwrite_clear_secrets'")
    except sqlite3.Error as error:
        raise storage_error(error) from None
