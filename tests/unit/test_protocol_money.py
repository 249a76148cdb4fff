"""Money: exact in every currency, with a clear error of its own for each way to get it wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InputError
from protocol.iso4217 import EXPONENTS
from protocol.money import LARGEST_AMOUNT, Currency, Money, currency, format_money, parse_amount

currencies = st.sampled_from(sorted(EXPONENTS)).map(currency)
amounts = st.builds(Money, st.integers(1, LARGEST_AMOUNT), currencies)


@given(amounts)
def test_an_amount_written_out_reads_back_exactly(money: Money) -> None:
    exponent = money.currency.exponent
    written = str(Decimal(money.minor).scaleb(-exponent))
    assert parse_amount(f"{Decimal(written):f}", money.currency) == money


@given(amounts)
def test_a_formatted_amount_names_the_currency_and_loses_nothing(money: Money) -> None:
    code, figures = format_money(money).split(" ")
    assert code == money.currency.code
    assert parse_amount(figures.replace(",", ""), money.currency) == money
    assert str(money) == format_money(money)


@pytest.mark.parametrize(
    ("text", "code", "minor", "shown"),
    [
        ("1200", "JPY", 1200, "JPY 1,200"),
        ("12.50", "USD", 1250, "USD 12.50"),
        ("12.5", "USD", 1250, "USD 12.50"),
        ("12", "USD", 1200, "USD 12.00"),
        ("0.001", "KWD", 1, "KWD 0.001"),
        (" 007 ", "EUR", 700, "EUR 7.00"),
        ("0.0001", "CLF", 1, "CLF 0.0001"),
        ("9999999999.99", "EUR", LARGEST_AMOUNT, "EUR 9,999,999,999.99"),
    ],
)
def test_amounts_as_people_write_them(text: str, code: str, minor: int, shown: str) -> None:
    money = parse_amount(text, currency(code))
    assert money.minor == minor
    assert format_money(money) == shown


@pytest.mark.parametrize(
    ("text", "code", "error"),
    [
        ("", "USD", "amount_not_a_number"),
        ("abc", "USD", "amount_not_a_number"),
        ("1,200", "JPY", "amount_not_a_number"),
        ("12,50", "EUR", "amount_not_a_number"),
        ("1e3", "JPY", "amount_not_a_number"),
        ("+5", "JPY", "amount_not_a_number"),
        (".50", "USD", "amount_not_a_number"),
        ("12.", "USD", "amount_not_a_number"),
        ("1.2.3", "USD", "amount_not_a_number"),
        ("１２", "JPY", "amount_not_a_number"),
        ("NaN", "USD", "amount_not_a_number"),
        ("inf", "USD", "amount_not_a_number"),
        ("9" * 100_000, "JPY", "amount_not_a_number"),
        ("0", "JPY", "amount_not_positive"),
        ("0.00", "USD", "amount_not_positive"),
        ("-5", "USD", "amount_not_positive"),
        ("-0.01", "USD", "amount_not_positive"),
        ("12.505", "USD", "too_many_decimals"),
        ("12.500", "USD", "too_many_decimals"),
        ("1200.0", "JPY", "too_many_decimals"),
        ("1.2345", "KWD", "too_many_decimals"),
        ("1000000000000", "JPY", "amount_too_large"),
        ("10000000000.00", "EUR", "amount_too_large"),
        ("9" * 40, "JPY", "amount_too_large"),
    ],
)
def test_each_wrong_amount_has_its_own_error(text: str, code: str, error: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_amount(text, currency(code))
    assert refusal.value.code == error


@pytest.mark.parametrize(
    ("minor", "error"),
    [(0, "amount_not_positive"), (-1, "amount_not_positive"), (LARGEST_AMOUNT + 1, "amount_too_large")],
)
def test_money_is_positive_and_fits_twelve_digits(minor: int, error: str) -> None:
    with pytest.raises(InputError) as refusal:
        Money(minor, currency("JPY"))
    assert refusal.value.code == error


@pytest.mark.parametrize("minor", [True, 1.0, "1", None])
def test_money_is_made_of_integers_only(minor: object) -> None:
    with pytest.raises(InputError) as refusal:
        Money(minor, currency("JPY"))  # type: ignore[arg-type]
    assert refusal.value.code == "amount_not_a_number"


@pytest.mark.parametrize("code", ["", "jpy", "JP", "JPYY", "XXX", "XAU", "ABC", "HRK", "BGN"])
def test_unknown_currencies(code: str) -> None:
    with pytest.raises(InputError) as refusal:
        currency(code)
    assert refusal.value.code == "unknown_currency"


def test_a_currency_cannot_be_given_other_decimals() -> None:
    with pytest.raises(InputError) as refusal:
        Currency("JPY", 2)
    assert refusal.value.code == "unknown_currency"


def test_the_exponents_that_people_trip_over() -> None:
    expected = {
        "JPY": 0,
        "KRW": 0,
        "ISK": 0,
        "UGX": 0,
        "USD": 2,
        "HUF": 2,
        "MGA": 2,
        "KWD": 3,
        "TND": 3,
        "CLF": 4,
    }
    assert {code: EXPONENTS[code] for code in expected} == expected
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)
    assert set(EXPONENTS.values()) == {0, 2, 3, 4}
