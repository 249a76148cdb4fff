"""Postings in SQL. Triggers of the schema move the balances and refuse what must never be."""

from __future__ import annotations

import sqlite3

from issuer_server.ledger import Account, AccountKind, Posting
from issuer_server.storage.records import Balance
from protocol.money import currency

_FIND = "SELECT id, balance FROM accounts WHERE owner = ? AND kind = ? AND currency = ?"
_OPEN = "INSERT INTO accounts (owner, kind, currency) VALUES (?, ?, ?)"
_TRANSFER = (
    "INSERT INTO transfers"
    " (kind, payment_id, refund_id, debit_account, credit_account, currency, amount, created_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def post(connection: sqlite3.Connection, posting: Posting, now_ms: int) -> bool:
    """Write a transfer, opening accounts as needed; False, nothing written, where the money is not there."""
    debit, balance = _account(connection, posting.debit)
    if posting.debit.kind is AccountKind.CARDHOLDER and balance < posting.money.minor:
        return False
    if debit is None:
        debit = _open(connection, posting.debit)
    credit, _ = _account(connection, posting.credit)
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


def balances(connection: sqlite3.Connection, owner: str | None) -> list[Balance]:
    """Every account, or one owner's."""
    rows = connection.execute(
        "SELECT owner, kind, currency, balance FROM accounts WHERE ? IS NULL OR owner = ?"
        " ORDER BY kind, owner, currency",
        (owner, owner),
    )
    return [Balance(name, kind, currency(code), minor) for name, kind, code, minor in rows]


def _account(connection: sqlite3.Connection, account: Account) -> tuple[int | None, int]:
    row = connection.execute(_FIND, (account.owner, account.kind.value, account.currency.code)).fetchone()
    return (None, 0) if row is None else (row[0], row[1])


def _open(connection: sqlite3.Connection, account: Account) -> int:
    row = connection.execute(_OPEN, (account.owner, account.kind.value, account.currency.code))
    assert row.lastrowid is not None
    return row.lastrowid
