"""Postings in SQL. Triggers of the schema move the balances and refuse what must never be."""

from __future__ import annotations

import sqlite3

from issuer_server.ledger import Account, AccountKind, Posting
from issuer_server.storage.records import Balance
from protocol.identifiers import PaymentId
from protocol.money import currency

# What is available to a posting: what is held for its own payment is, what is held for others is not.
_FIND = (
    "SELECT id, balance - held"
    " + coalesce((SELECT amount FROM holds WHERE payment_id = ? AND account_id = accounts.id), 0)"
    " FROM accounts WHERE owner = ? AND kind = ? AND currency = ?"
)
_HOLD = "INSERT INTO holds (payment_id, account_id, amount, created_ms) VALUES (?, ?, ?, ?)"
_OPEN = "INSERT INTO accounts (owner, kind, currency) VALUES (?, ?, ?)"
_TRANSFER = (
    "INSERT INTO transfers"
    " (kind, payment_id, refund_id, debit_account, credit_account, currency, amount, created_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def post(connection: sqlite3.Connection, posting: Posting, now_ms: int) -> bool:
    """Write a transfer, opening accounts as needed; False, nothing written, where the money is not there."""
    debit, available = _account(connection, posting.debit, posting.payment_id)
    if posting.debit.kind is AccountKind.CARDHOLDER and available < posting.money.minor:
        return False
    if debit is None:
        debit = _open(connection, posting.debit)
    credit, _ = _account(connection, posting.credit, posting.payment_id)
    if credit is None:
        credit = _open(connection, posting.credit)
    connection.execute(
        _TRANSFER,
        (
            posting.kind.value,
            posting.payment_id,
            posting.refund_id,
            debit,
            credit,
            posting.money.currency.code,
            posting.money.minor,
            now_ms,
        ),
    )
    return True


def hold(connection: sqlite3.Connection, posting: Posting, now_ms: int) -> bool:
    """Set aside what a payment's posting will take; False, nothing written, where it is not available."""
    debit, available = _account(connection, posting.debit, posting.payment_id)
    if debit is None or available < posting.money.minor:
        return False
    connection.execute(_HOLD, (posting.payment_id, debit, posting.money.minor, now_ms))
    return True


def balances(connection: sqlite3.Connection, owner: str | None) -> list[Balance]:
    """Every account, or one owner's."""
    rows = connection.execute(
        "SELECT owner, kind, currency, balance, held FROM accounts WHERE ? IS NULL OR owner = ?"
        " ORDER BY kind, owner, currency",
        (owner, owner),
    )
    return [Balance(name, kind, currency(code), minor, held) for name, kind, code, minor, held in rows]


def _account(
    connection: sqlite3.Connection, account: Account, payment_id: PaymentId | None
) -> tuple[int | None, int]:
    values = (payment_id, account.owner, account.kind.value, account.currency.code)
    row = connection.execute(_FIND, values).fetchone()
    return (None, 0) if row is None else (row[0], row[1])


def _open(connection: sqlite3.Connection, account: Account) -> int:
    row = connection.execute(_OPEN, (account.owner, account.kind.value, account.currency.code))
    assert row.lastrowid is not None
    return row.lastrowid
