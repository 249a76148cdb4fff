"""A payment as its merchant sees it, read from the issuer's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from merchant_terminal.errors import NotAnIssuerError
from protocol.errors import InputError
from protocol.money import Money, currency
from protocol.text import shown


@dataclass(frozen=True, slots=True)
class Charge:
    """What a merchant asks for: who pays, how much, what for."""

    phone: str
    amount: Money
    order: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as the issuer tells it to its merchant."""

    id: str
    status: str
    reason: str | None
    amount: Money
    order: str
    phone: str
    card_last_four: str | None
    created_at: str
    updated_at: str
    refunded: int = 0
    """Minor units given back so far."""

    @property
    def completed(self) -> bool:
        """The money has moved."""
        return self.status == "completed"

    @property
    def over(self) -> bool:
        """Nothing can change any more."""
        return self.status in ("completed", "not_settled")

    @classmethod
    def parse(cls, document: object) -> Payment:
        """Read the issuer's JSON object; NotAnIssuerError names the field that is wrong."""
        if not isinstance(document, dict):
            raise NotAnIssuerError("the issuer's answer is not a payment")
        amount = _money(document)
        return cls(
            id=_text(document, "id"),
            status=_text(document, "status"),
            reason=optional_text(document, "reason"),
            amount=amount,
            order=_text(document, "order"),
            phone=_text(document, "phone"),
            card_last_four=optional_text(document, "card_last_four"),
            created_at=_text(document, "created_at"),
            updated_at=_text(document, "updated_at"),
            refunded=_refunded(document, amount),
        )


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back, as the issuer tells it to its merchant."""

    id: str
    payment_id: str
    amount: Money
    created_at: str

    @classmethod
    def parse(cls, document: object) -> Refund:
        """Read the issuer's JSON object; NotAnIssuerError names the field that is wrong."""
        if not isinstance(document, dict):
            raise NotAnIssuerError("the issuer's answer is not a refund")
        return cls(
            _text(document, "id"),
            _text(document, "payment_id"),
            _money(document),
            _text(document, "created_at"),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Payments, newest first, and the cursor of the next page if there is one."""

    payments: tuple[Payment, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RefundPage:
    """A payment's refunds, newest first, and the cursor of the next page if there is one."""

    refunds: tuple[Refund, ...]
    next_cursor: str | None


def _money(document: Mapping[str, object]) -> Money:
    minor = document.get("amount")
    if not isinstance(minor, int) or isinstance(minor, bool):
        raise NotAnIssuerError("the issuer's answer lacks a usable 'amount'")
    try:
        return Money(minor, currency(_text(document, "currency")))
    except InputError:
        raise NotAnIssuerError("the issuer's answer holds an amount or currency unknown here") from None


def _refunded(document: Mapping[str, object], amount: Money) -> int:
    minor = document.get("refunded_amount", 0)  # issuers of before there were refunds do not say
    if not isinstance(minor, int) or isinstance(minor, bool) or not 0 <= minor <= amount.minor:
        raise NotAnIssuerError("the issuer's answer lacks a usable 'refunded_amount'")
    return minor


def _text(document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise NotAnIssuerError(f"the issuer's answer lacks a usable '{name}'")
    return shown(value, 200)


def optional_text(document: Mapping[str, object], name: str) -> str | None:
    """A text field that may be null or missing."""
    return None if document.get(name) is None else _text(document, name)
