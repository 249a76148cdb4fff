"""Statements as CSV: opening balance, every entry, closing balance; safe to open in a spreadsheet. Pure.

A cell that a spreadsheet would run as a formula gets an apostrophe before it: what merchants call themselves
and their orders is written by others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from issuer_server.ledger import LedgerError
from protocol.errors import InputError
from protocol.money import Currency

COLUMNS: Final = (
    *("date", "kind", "entry", "payment", "refund", "counterparty", "description"),
    *("currency", "amount", "balance"),
)
# OWASP's list for CSV injection, and the full-width forms that Japanese spreadsheets take as well.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class LineKind(StrEnum):
    """What a line is; entries are named as in the ledger."""

    OPENING = "opening balance"
    PAYMENT = "payment"
    REFUND = "refund"
    FUNDING = "funding"
    CLOSING = "closing balance"


@dataclass(frozen=True, slots=True)
class Period:
    """From the first moment of one day to the last of another; None is without an end. Days of `zone`."""

    first: date | None = None
    last: date | None = None
    zone: tzinfo = UTC

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise InputError("invalid_period", "--from is after --to: a statement runs from the earlier day.")

    @property
    def start_ms(self) -> int | None:
        """The first millisecond of it."""
        return None if self.first is None else self._midnight(self.first)

    @property
    def end_ms(self) -> int | None:
        """The first millisecond after it."""
        return None if self.last is None else self._midnight(self.last + timedelta(days=1))

    def _midnight(self, day: date) -> int:
        return int(datetime.combine(day, time(), self.zone).timestamp() * 1000)

    def shown(self, created_ms: int) -> str:
        """A moment in the zone, with its offset."""
        moment = datetime.fromtimestamp(created_ms / 1000, self.zone)
        return moment.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Entry:
    """One transfer as one of its two accounts sees it: `minor` is negative where money left."""

    seq: int
    kind: str
    created_ms: int
    payment_id: str | None
    refund_id: str | None
    counterparty: str
    description: str
    minor: int


@dataclass(frozen=True, slots=True)
class AccountPeriod:
    """An account over a period: `opening` before its first entry, `closing` by adding all up anew."""

    currency: Currency
    opening: int
    closing: int


def account_lines(
    account: AccountPeriod, entries: Iterable[Entry], period: Period
) -> Iterator[Sequence[str]]:
    """The lines of one account, one at a time; LedgerError at the end where they do not add up."""
    code, exponent = account.currency.code, account.currency.exponent
    balance = account.opening
    first = "" if period.first is None else period.first.isoformat()
    yield (first, LineKind.OPENING, "", "", "", "", "", code, "", decimal(balance, exponent))
    for entry in entries:
        balance += entry.minor
        yield (
            period.shown(entry.created_ms),
            entry.kind,
            str(entry.seq),
            entry.payment_id or "",
            entry.refund_id or "",
            guarded(entry.counterparty),
            guarded(entry.description),
            code,
            decimal(entry.minor, exponent),
            decimal(balance, exponent),
        )
    if balance != account.closing:
        raise LedgerError(
            f"the {code} entries do not add up to the closing balance: stop the issuer and run"
            " `issuer-server doctor`"
        )
    last = "" if period.last is None else period.last.isoformat()
    yield (last, LineKind.CLOSING, "", "", "", "", "", code, "", decimal(balance, exponent))


def decimal(minor: int, exponent: int) -> str:
    """Minor units as a plain number: no separators, a point where the currency has one."""
    whole, fraction = divmod(abs(minor), 10**exponent)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{fraction:0{exponent}d}" if exponent else f"{sign}{whole}"


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
