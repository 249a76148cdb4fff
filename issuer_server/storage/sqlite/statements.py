"""What statements read, in SQL: accounts of an owner, balances at a moment, entries one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from issuer_server.ledger import LedgerError
from issuer_server.statements import AccountPeriod, Entry, Period
from issuer_server.storage.port import NotFound
from protocol.money import currency

_ACCOUNTS = "SELECT id, kind, currency, balance FROM accounts WHERE owner = ? ORDER BY currency, kind"
_KNOWN = "SELECT 1 FROM merchants WHERE id = ?1 UNION SELECT 1 FROM cardholders WHERE id = ?1"
# By the indexes of each account's transfers: what others have is not read.
_FOLD = (
    "SELECT (SELECT coalesce(sum(amount), 0) FROM transfers WHERE credit_account = ?1 AND created_ms < ?2)"
    " - (SELECT coalesce(sum(amount), 0) FROM transfers WHERE debit_account = ?1 AND created_ms < ?2)"
)
# A merchant knows a payment's card by its last four digits, a cardholder the merchant by its name.
_ENTRIES = (
    "SELECT t.seq, t.kind, t.created_ms, t.payment_id, t.refund_id,"
    " CASE WHEN p.id IS NULL THEN 'issuer'"
    " WHEN ?4 = 'merchant' THEN 'card ' || coalesce(p.card_last_four, '') ELSE p.merchant_name END,"
    " coalesce(p.description, ''), CASE WHEN t.credit_account = ?1 THEN t.amount ELSE -t.amount END"
    " FROM transfers t LEFT JOIN payments p ON p.id = t.payment_id"
    " WHERE (t.credit_account = ?1 AND t.created_ms >= ?2 AND t.created_ms < ?3)"
    " OR (t.debit_account = ?1 AND t.created_ms >= ?2 AND t.created_ms < ?3) ORDER BY t.seq"
)
_FIRST, _LAST = 0, 2**62
"""Milliseconds of the epoch before and after everything."""


def accounts_over(
    connection: sqlite3.Connection, owner: str, period: Period
) -> Iterator[tuple[AccountPeriod, Iterator[Entry]]]:
    """Each account of an owner with its entries, which are read as they are asked for.

    Raises NotFound (unknown_owner), and LedgerError where an account's balance is not the sum of its entries.
    """
    accounts = connection.execute(_ACCOUNTS, (owner,)).fetchall()
    if not accounts and connection.execute(_KNOWN, (owner,)).fetchone() is None:
        raise NotFound(
            "unknown_owner",
            f"There is no merchant or cardholder {owner}: see `issuer-server merchant list` and"
            " `issuer-server cardholder list`.",
        )
    for account, kind, code, balance in accounts:
        if balance != _fold(connection, account, _LAST):
            raise LedgerError(
                f"the {code} balance of {owner} is not the sum of its entries: stop the issuer and run"
                " `issuer-server doctor`"
            )
        start = _FIRST if period.start_ms is None else period.start_ms
        end = _LAST if period.end_ms is None else period.end_ms
        opening = _fold(connection, account, start)
        closing = _fold(connection, account, end)
        rows = connection.execute(_ENTRIES, (account, start, end, kind))
        yield AccountPeriod(currency(code), opening, closing), (Entry(*row) for row in rows)


def _fold(connection: sqlite3.Connection, account: int, before_ms: int) -> int:
    total: int = connection.execute(_FOLD, (account, before_ms)).fetchone()[0]
    return total
