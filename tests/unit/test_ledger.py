"""Postings are balanced by construction, and the trial balance sees what is not."""

from __future__ import annotations

import pytest

from issuer_server.ledger import (
    Account,
    AccountKind,
    LedgerError,
    Posting,
    TransferKind,
    check_trial_balance,
    funding_posting,
)
from issuer_server.storage.records import Balance
from protocol.identifiers import CardholderId, PaymentId
from protocol.money import Money, currency

JPY, USD = currency("JPY"), currency("USD")
PAYER = Account("chd", AccountKind.CARDHOLDER, JPY)
SHOP = Account("mer", AccountKind.MERCHANT, JPY)


def test_funding_goes_from_the_issuer_to_the_cardholder():
    posting = funding_posting(CardholderId("chd"), Money(5, JPY))
    assert (posting.debit.kind, posting.credit) == (AccountKind.FUNDING, PAYER)


@pytest.mark.parametrize(
    "arguments",
    [
        (TransferKind.PAYMENT, PAYER, PAYER, Money(1, JPY), PaymentId("pay")),
        (TransferKind.PAYMENT, PAYER, SHOP, Money(1, USD), PaymentId("pay")),
        (
            TransferKind.PAYMENT,
            PAYER,
            Account("mer", AccountKind.MERCHANT, USD),
            Money(1, JPY),
            PaymentId("pay"),
        ),
        (TransferKind.PAYMENT, PAYER, SHOP, Money(1, JPY), None),
        (TransferKind.FUNDING, PAYER, SHOP, Money(1, JPY), PaymentId("pay")),
    ],
)
def test_a_posting_that_makes_no_sense_cannot_be_made(arguments):
    with pytest.raises(LedgerError):
        Posting(*arguments)


def test_the_trial_balance_adds_up_each_currency_by_itself():
    check_trial_balance([Balance("a", "merchant", JPY, 5), Balance("b", "funding", JPY, -5)])
    with pytest.raises(LedgerError, match="JPY, USD"):
        check_trial_balance([Balance("a", "merchant", JPY, 5), Balance("b", "funding", USD, -5)])
