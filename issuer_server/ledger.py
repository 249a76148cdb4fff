"""Double entry: which account gives what to which, and the check that nothing was made or lost.

A posting takes from its debit account and gives the same amount to its credit account. Cardholders pay from
money that the issuer put there (prefunded); merchants have one account a currency, opened by their first
payment in it. The database holds the same rules as constraints, so that a bug here cannot write a wrong
posting down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from issuer_server.storage.records import Balance, PaymentRecord
from protocol.errors import BlindRelayError
from protocol.identifiers import CardholderId, PaymentId, RefundId
from protocol.money import Currency, Money

ISSUER = "issuer"
"""Owner of the funding accounts, one a currency: the negative of all money given to cardholders."""


class LedgerError(BlindRelayError):
    """The books do not balance."""


class AccountKind(StrEnum):
    """Whose account it is."""

    CARDHOLDER = "cardholder"
    MERCHANT = "merchant"
    FUNDING = "funding"


class TransferKind(StrEnum):
    """Why money moved."""

    PAYMENT = "payment"
    FUNDING = "funding"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Account:
    """An account's name: there is one for each owner, kind and currency."""

    owner: str
    kind: AccountKind
    currency: Currency


@dataclass(frozen=True, slots=True)
class Posting:
    """One transfer. Amount and currency are stated once, so that the two sides cannot differ."""

    kind: TransferKind
    debit: Account
    credit: Account
    money: Money
    payment_id: PaymentId | None = None
    refund_id: RefundId | None = None

    def __post_init__(self) -> None:
        if self.debit == self.credit:
            raise LedgerError("a posting joins two different accounts")
        if not self.debit.currency == self.credit.currency == self.money.currency:
            raise LedgerError("a posting has one currency")
        if (self.kind is TransferKind.FUNDING) != (self.payment_id is None):
            raise LedgerError("a payment's and a refund's posting name their payment, and no other does")
        if (self.kind is TransferKind.REFUND) != (self.refund_id is not None):
            raise LedgerError("a refund's posting names its refund, and no other posting does")


def payment_posting(payment: PaymentRecord) -> Posting:
    """S23: from the cardholder to the merchant."""
    return Posting(
        TransferKind.PAYMENT,
        Account(payment.cardholder_id, AccountKind.CARDHOLDER, payment.money.currency),
        Account(payment.merchant_id, AccountKind.MERCHANT, payment.money.currency),
        payment.money,
        payment.id,
    )


def refund_posting(payment: PaymentRecord, refund_id: RefundId, money: Money) -> Posting:
    """Part of a payment or all of it, from the merchant back to the cardholder."""
    return Posting(
        TransferKind.REFUND,
        Account(payment.merchant_id, AccountKind.MERCHANT, money.currency),
        Account(payment.cardholder_id, AccountKind.CARDHOLDER, money.currency),
        money,
        payment.id,
        refund_id,
    )


def funding_posting(cardholder_id: CardholderId, money: Money) -> Posting:
    """The issuer puts money at a cardholder's disposal."""
    return Posting(
        TransferKind.FUNDING,
        Account(ISSUER, AccountKind.FUNDING, money.currency),
        Account(cardholder_id, AccountKind.CARDHOLDER, money.currency),
        money,
    )


def check_trial_balance(balances: Iterable[Balance]) -> None:
    """All accounts of a currency add up to nothing; raises LedgerError naming the currencies that do not."""
    totals: Counter[str] = Counter()
    for balance in balances:
        totals[balance.currency.code] += balance.minor
    wrong = sorted(code for code, total in totals.items() if total != 0)
    if wrong:
        raise LedgerError(
            f"the books do not balance in {', '.join(wrong)}: stop the server and restore a backup"
        )
