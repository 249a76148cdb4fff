"""Money: integer minor units and an ISO 4217 currency, never a float."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protocol.errors import InputError
from protocol.iso4217 import EXPONENTS

# Twelve digits: field 4 of ISO 8583, what every card network can carry.
LARGEST_AMOUNT: Final = 999_999_999_999

# No sign, no separators, no exponent: '1,200' is twelve hundred to some and 1.2 to others.
_AMOUNT = re.compile(r"([0-9]{1,40})(?:\.([0-9]{1,40}))?")
_NEGATIVE = re.compile(r"-[0-9]{1,40}(?:\.[0-9]{1,40})?")


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency: its three letters and how many decimals its minor unit has."""

    code: str
    exponent: int

    def __post_init__(self) -> None:
        if EXPONENTS.get(self.code) != self.exponent:
            raise InputError(
                "unknown_currency", "That is not an ISO 4217 currency with its own number of decimals."
            )

    def __str__(self) -> str:
        return self.code


def currency(code: str) -> Currency:
    """The currency of three capital letters, for example JPY; raises InputError (unknown_currency)."""
    if code not in EXPONENTS:
        raise InputError(
            "unknown_currency", "Give the currency as its three ISO 4217 letters, for example JPY or EUR."
        )
    return Currency(code, EXPONENTS[code])


@dataclass(frozen=True, slots=True)
class Money:
    """A positive amount in minor units (yen, cents, fils); raises InputError outside 1..999,999,999,999."""

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        if type(self.minor) is not int:  # bool is an int to isinstance
            raise InputError("amount_not_a_number", "The amount must be a whole number of minor units.")
        if self.minor <= 0:
            raise InputError("amount_not_positive", "The amount must be more than zero.")
        if self.minor > LARGEST_AMOUNT:
            raise InputError(
                "amount_too_large", "The amount is larger than any card payment can be (12 digits)."
            )

    def __str__(self) -> str:
        return format_money(self)


def parse_amount(text: str, currency: Currency) -> Money:
    """An amount as people write it ('12.50', '1200'), exactly.

    Raises InputError: amount_not_a_number, amount_not_positive, too_many_decimals, amount_too_large.
    """
    text = text.strip()
    if _NEGATIVE.fullmatch(text):
        raise InputError("amount_not_positive", "The amount must be more than zero.")
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise InputError(
            "amount_not_a_number",
            "Write the amount with digits and at most one point, for example 1200 or 12.50.",
        )
    whole, decimals = match[1], match[2] or ""
    if len(decimals) > currency.exponent:
        allowed = "no decimals" if currency.exponent == 0 else f"at most {currency.exponent} decimals"
        raise InputError("too_many_decimals", f"{currency.code} has {allowed}.")
    return Money(int(whole + decimals.ljust(currency.exponent, "0")), currency)


def format_money(money: Money) -> str:
    """`JPY 1,200` or `USD 12.50`: the currency always named, the decimals always all there."""
    exponent = money.currency.exponent
    whole, fraction = divmod(money.minor, 10**exponent)
    decimals = f".{fraction:0{exponent}d}" if exponent else ""
    return f"{money.currency.code} {whole:,}{decimals}"
