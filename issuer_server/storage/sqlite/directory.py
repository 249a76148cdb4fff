"""Merchants, cardholders, cards, handsets, readers in SQL: finding them, PIN tries, redeeming codes.

Identifiers passed their checks before they were written, so rows become records without a second look.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from issuer_server.key_custody.key_store import KeyPurpose
from issuer_server.storage.key_records import AuditEntry
from issuer_server.storage.port import EnrolmentRefused, StorageError
from issuer_server.storage.records import (
    CardholderRecord,
    CardRecord,
    HandsetRecord,
    MerchantRecord,
    ReaderRecord,
)
from issuer_server.storage.sqlite import audit
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import (
    CardholderId,
    CardId,
    Digest,
    HandsetId,
    MerchantId,
    PhoneNumber,
    PublicKey,
    ReaderId,
    reader_id_text,
)

Row = tuple[Any, ...]

MERCHANTS = "SELECT id, name, blocked FROM merchants"
_BY_KEY = f"{MERCHANTS} WHERE key_digest = ?1 OR (previous_key_digest = ?1 AND previous_until_ms > ?2)"
CARDHOLDERS = "SELECT id, name, phone, blocked FROM cardholders"
CARDS = (
    "SELECT cards.id, cardholder_id, last_four, expiry, pin_verifier, pin_tries_left,"
    " cards.blocked OR cardholders.blocked, pin_key"
    " FROM cards JOIN cardholders ON cardholders.id = cardholder_id"
)
HANDSETS = (
    "SELECT handsets.id, cardholder_id, phone, handsets.blocked OR cardholders.blocked"
    " FROM handsets JOIN cardholders ON cardholders.id = cardholder_id"
)
READERS = (
    "SELECT readers.id, cardholder_id, public_key, model, readers.blocked OR cardholders.blocked, issuer_key"
    " FROM readers JOIN cardholders ON cardholders.id = cardholder_id"
)
_CLAIM_TRY = (
    "UPDATE cards SET pin_tries_left = pin_tries_left - 1 WHERE id = ? AND pin_tries_left > 0"
    " RETURNING pin_tries_left"
)
_CODE = (
    "SELECT kind, cardholder_id, expires_ms, used_ms, issuer_key FROM enrolment_codes WHERE secret_digest = ?"
)
_USE_CODE = "UPDATE enrolment_codes SET used_ms = ? WHERE secret_digest = ?"


def kind_text(kind: EnrolmentKind) -> str:
    """A kind of code as stored."""
    return kind.name.lower()


def merchant(row: Row) -> MerchantRecord:
    """A row of MERCHANTS."""
    return MerchantRecord(MerchantId(row[0]), row[1], bool(row[2]))


def cardholder(row: Row) -> CardholderRecord:
    """A row of CARDHOLDERS."""
    return CardholderRecord(CardholderId(row[0]), row[1], PhoneNumber(row[2]), bool(row[3]))


def card(row: Row) -> CardRecord:
    """A row of CARDS."""
    return CardRecord(
        CardId(row[0]), CardholderId(row[1]), row[2], row[3], bytes(row[4]), row[5], bool(row[6]), row[7]
    )


def handset(row: Row) -> HandsetRecord:
    """A row of HANDSETS."""
    return HandsetRecord(HandsetId(row[0]), CardholderId(row[1]), PhoneNumber(row[2]), bool(row[3]))


def reader(row: Row) -> ReaderRecord:
    """A row of READERS."""
    return ReaderRecord(
        ReaderId(row[0]), CardholderId(row[1]), PublicKey(row[2]), row[3], bool(row[4]), row[5]
    )


def merchant_by_key_digest(
    connection: sqlite3.Connection, key_digest: Digest, now_ms: int
) -> MerchantRecord | None:
    """Whose API key it is."""
    row = connection.execute(_BY_KEY, (key_digest, now_ms)).fetchone()
    return None if row is None else merchant(row)


def cardholder_by_phone(connection: sqlite3.Connection, phone: PhoneNumber) -> CardholderRecord | None:
    """Whose number it is."""
    row = connection.execute(f"{CARDHOLDERS} WHERE phone = ?", (phone,)).fetchone()
    return None if row is None else cardholder(row)


def handset_by_token_digest(connection: sqlite3.Connection, token_digest: Digest) -> HandsetRecord | None:
    """Which phone it is."""
    row = connection.execute(f"{HANDSETS} WHERE token_digest = ?", (token_digest,)).fetchone()
    return None if row is None else handset(row)


def reader_by_id(connection: sqlite3.Connection, reader_id: ReaderId) -> ReaderRecord | None:
    """Which reader it is."""
    row = connection.execute(f"{READERS} WHERE readers.id = ?", (reader_id,)).fetchone()
    return None if row is None else reader(row)


def card_by_index(connection: sqlite3.Connection, pan_index: Digest) -> CardRecord | None:
    """S14, S15: which card it is."""
    row = connection.execute(f"{CARDS} WHERE pan_index = ?", (pan_index,)).fetchone()
    return None if row is None else card(row)


def claim_pin_try(connection: sqlite3.Connection, card_id: CardId) -> int | None:
    """One statement counts down and reads: parallel payments cannot share a try."""
    rows = connection.execute(_CLAIM_TRY, (card_id,)).fetchall()
    return rows[0][0] if rows else None


def redeem_handset_code(
    connection: sqlite3.Connection,
    secret_digest: Digest,
    handset_id: HandsetId,
    token_digest: Digest,
    now_ms: int,
) -> HandsetRecord:
    """The code is used up and the handset is there, both or neither."""
    owner, _ = _redeem(connection, secret_digest, EnrolmentKind.HANDSET, now_ms)
    connection.execute(
        "INSERT INTO handsets (id, cardholder_id, token_digest, created_ms) VALUES (?, ?, ?, ?)",
        (handset_id, owner, token_digest, now_ms),
    )
    audit.write(connection, AuditEntry(audit.ONE_TIME_CODE, "enrol handset", handset_id, now_ms / 1000))
    return handset(_only(connection, f"{HANDSETS} WHERE handsets.id = ?", handset_id))


def redeem_reader_code(
    connection: sqlite3.Connection,
    secret_digest: Digest,
    reader_id: ReaderId,
    public_key: PublicKey,
    model: str,
    now_ms: int,
) -> ReaderRecord:
    """The code is used up and the reader is there, both or neither. A key is enrolled once, by anybody."""
    owner, issuer_key = _redeem(connection, secret_digest, EnrolmentKind.READER, now_ms)
    if _is_retired(connection, KeyPurpose.SIGNING, issuer_key):
        raise EnrolmentRefused(
            "enrolment_code_expired", "The issuer's key was replaced since this code: ask for a new one."
        )
    there = connection.execute(
        "SELECT 1 FROM readers WHERE id = ? OR public_key = ?", (reader_id, public_key)
    )
    if there.fetchone() is not None:
        raise EnrolmentRefused(
            "reader_already_enrolled",
            "This reader's key is enrolled already: a key is enrolled once. Reset the reader for a new key.",
        )
    connection.execute(
        "INSERT INTO readers (id, cardholder_id, public_key, model, created_ms, issuer_key)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (reader_id, owner, public_key, model, now_ms, issuer_key),
    )
    subject = reader_id_text(reader_id)
    audit.write(connection, AuditEntry(audit.ONE_TIME_CODE, "enrol reader", subject, now_ms / 1000))
    return reader(_only(connection, f"{READERS} WHERE readers.id = ?", reader_id))


def _redeem(
    connection: sqlite3.Connection, secret_digest: Digest, kind: EnrolmentKind, now_ms: int
) -> tuple[str, int]:
    """Whose device it is, and which of the issuer's signing keys it was told to trust."""
    row = connection.execute(_CODE, (secret_digest,)).fetchone()
    if row is None or row[0] != kind_text(kind):
        raise EnrolmentRefused(
            "enrolment_code_unknown",
            f"This is no {kind_text(kind)} code of this issuer: copy it whole, or ask for a new one.",
        )
    _, owner, expires_ms, used_ms, issuer_key = row
    if used_ms is not None:
        raise EnrolmentRefused("enrolment_code_used", "This code was used before: ask for a new one.")
    if now_ms >= expires_ms:
        raise EnrolmentRefused("enrolment_code_expired", "This code is too old: ask for a new one.")
    connection.execute(_USE_CODE, (now_ms, secret_digest))
    return str(owner), issuer_key


def _is_retired(connection: sqlite3.Connection, purpose: KeyPurpose, version: int) -> bool:
    """Whether nothing may be made with it any more."""
    query = "SELECT 1 FROM key_versions WHERE purpose = ? AND version = ? AND state = 'retired'"
    return connection.execute(query, (purpose, version)).fetchone() is not None


def _only(connection: sqlite3.Connection, query: str, key: str | bytes) -> Row:
    row: Row | None = connection.execute(query, (key,)).fetchone()
    if row is None:
        raise StorageError("a row just written is not there")
    return row


def block_merchant(
    connection: sqlite3.Connection, cardholder_id: CardholderId, merchant_id: MerchantId, now_ms: int
) -> None:
    """A cardholder wants no more calls for a merchant."""
    connection.execute(
        "INSERT INTO merchant_blocks (cardholder_id, merchant_id, created_ms) VALUES (?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (cardholder_id, merchant_id, now_ms),
    )


def blocked_merchants(connection: sqlite3.Connection, cardholder_id: CardholderId) -> list[MerchantRecord]:
    """Latest first."""
    query = (
        f"{MERCHANTS} JOIN merchant_blocks ON merchant_blocks.merchant_id = merchants.id"
        " WHERE merchant_blocks.cardholder_id = ? ORDER BY merchant_blocks.created_ms DESC, merchants.id"
    )
    return [merchant(row) for row in connection.execute(query, (cardholder_id,))]
