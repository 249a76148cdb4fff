# ruff: noqa: S608 - statements are put together from constants of these modules, never from values
"""What the administration command writes, in SQL. A refusal says what is taken, and repeats no secret."""

from __future__ import annotations

import sqlite3

from issuer_server.ledger import funding_posting
from issuer_server.storage.port import AlreadyExists, NotFound
from issuer_server.storage.records import NewCard, NewCardholder, NewEnrolmentCode, NewMerchant
from issuer_server.storage.sqlite import ledger
from issuer_server.storage.sqlite.directory import kind_text
from issuer_server.storage.sqlite.payments import milliseconds
from protocol.identifiers import CardholderId, Digest, MerchantId
from protocol.money import Money

BLOCKABLE = {"merchant": "merchants", "cardholder": "cardholders", "handset": "handsets", "reader": "readers"}
"""What can be blocked by setting its flag alone, and its table."""


def add_merchant(connection: sqlite3.Connection, new: NewMerchant, now_ms: int) -> None:
    """A line of table 31."""
    connection.execute(
        "INSERT INTO merchants (id, name, key_digest, created_ms) VALUES (?, ?, ?, ?)",
        (new.id, new.name, new.key_digest, now_ms),
    )


def replace_api_key(
    connection: sqlite3.Connection, merchant_id: MerchantId, key_digest: Digest, previous_until_ms: int
) -> None:
    """A new key; of those before it only the last one, until its time."""
    changed = connection.execute(
        "UPDATE merchants SET previous_key_digest = key_digest, previous_until_ms = ?, key_digest = ?"
        " WHERE id = ?",
        (previous_until_ms, key_digest, merchant_id),
    ).rowcount
    if changed != 1:
        raise _not_found("merchant")


def add_cardholder(connection: sqlite3.Connection, new: NewCardholder, now_ms: int) -> None:
    """A line of table 32."""
    if connection.execute("SELECT 1 FROM cardholders WHERE phone = ?", (new.phone,)).fetchone():
        raise AlreadyExists(
            "phone_in_use", f"{new.phone} belongs to another cardholder: give another number."
        )
    connection.execute(
        "INSERT INTO cardholders (id, name, phone, created_ms) VALUES (?, ?, ?, ?)",
        (new.id, new.name, new.phone, now_ms),
    )


def add_card(connection: sqlite3.Connection, new: NewCard, now_ms: int) -> None:
    """A card of a cardholder, with all its PIN tries."""
    _require_cardholder(connection, new.cardholder_id)
    for index in (new.pan_index, *new.earlier_indexes):
        if connection.execute("SELECT 1 FROM cards WHERE pan_index = ?", (index,)).fetchone():
            raise AlreadyExists("card_exists", "This card number is in the database already.")
    connection.execute(
        "INSERT INTO cards (id, cardholder_id, pan_index, last_four, expiry, pin_verifier, pin_try_limit,"
        " pin_tries_left, created_ms, pan_key, pin_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10)",
        (
            new.id,
            new.cardholder_id,
            new.pan_index,
            new.last_four,
            new.expiry,
            new.pin_verifier,
            new.pin_try_limit,
            now_ms,
            new.pan_key,
            new.pin_key,
        ),
    )


def add_enrolment_code(connection: sqlite3.Connection, new: NewEnrolmentCode) -> None:
    """A code that `redeem_…_code` takes once."""
    _require_cardholder(connection, new.cardholder_id)
    connection.execute(
        "INSERT INTO enrolment_codes (secret_digest, kind, cardholder_id, expires_ms, issuer_key)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            new.secret_digest,
            kind_text(new.kind),
            new.cardholder_id,
            milliseconds(new.expires_at),
            new.issuer_key,
        ),
    )


def fund(connection: sqlite3.Connection, cardholder_id: CardholderId, money: Money, now_ms: int) -> None:
    """Money for a cardholder to spend."""
    _require_cardholder(connection, cardholder_id)
    ledger.post(connection, funding_posting(cardholder_id, money), now_ms)


def set_blocked(connection: sqlite3.Connection, what: str, key: str | bytes, blocked: bool) -> None:
    """Block or unblock one of BLOCKABLE."""
    query = f"UPDATE {BLOCKABLE[what]} SET blocked = ? WHERE id = ?"
    if connection.execute(query, (blocked, key)).rowcount != 1:
        raise _not_found(what)


def set_card_blocked(connection: sqlite3.Connection, card_id: str, blocked: bool) -> None:
    """Unblocking a card gives its PIN tries back too: a card with none left is as good as blocked."""
    query = (
        "UPDATE cards SET blocked = ?1,"
        " pin_tries_left = CASE WHEN ?1 THEN pin_tries_left ELSE pin_try_limit END WHERE id = ?2"
    )
    if connection.execute(query, (blocked, card_id)).rowcount != 1:
        raise _not_found("card")


def unblock_merchant(
    connection: sqlite3.Connection, cardholder_id: CardholderId, merchant_id: MerchantId
) -> None:
    """The cardholder may be called for the merchant again."""
    query = "DELETE FROM merchant_blocks WHERE cardholder_id = ? AND merchant_id = ?"
    if connection.execute(query, (cardholder_id, merchant_id)).rowcount != 1:
        raise NotFound(
            "merchant_not_blocked",
            "This cardholder has not blocked it: see `issuer-server cardholder blocked-merchants`.",
        )


def _require_cardholder(connection: sqlite3.Connection, cardholder_id: CardholderId) -> None:
    if connection.execute("SELECT 1 FROM cardholders WHERE id = ?", (cardholder_id,)).fetchone() is None:
        raise _not_found("cardholder")


def _not_found(what: str) -> NotFound:
    return NotFound(f"unknown_{what}", f"There is no {what} with this id: see `issuer-server {what} list`.")
