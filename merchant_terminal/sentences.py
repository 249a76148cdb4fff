"""What to tell the merchant: one sentence for every status, reason and problem code, with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STATUS_SENTENCES: Final[Mapping[str, str]] = {
    "requested": "the issuer has the request",
    "calling": "calling the customer's phone",
    "approved": "the customer approved, preparing the card reader",
    "key_offered": "the customer is asked to swipe",
    "card_received": "card read, the issuer is checking it",
    "pin_requested": "the customer is asked for the PIN",
    "settling": "PIN right, settling",
    "completed": "paid",
    "not_settled": "not paid",
}

REASON_SENTENCES: Final[Mapping[str, str]] = {
    "handset_unreachable": "The customer's phone could not be reached. Is the app open and online?",
    "declined": "The customer declined on the phone.",
    "no_response": "The customer did not answer on the phone in time.",
    "approval_timeout": "The customer did not approve in time. Charge again if they still want to pay.",
    "cancelled_by_merchant": "You cancelled the payment.",
    "reader_unavailable": "The customer's phone did not find its card reader. Is the reader on and near?",
    "reader_unknown": "The customer's card reader is not registered with the issuer.",
    "reader_blocked": "The customer's card reader is blocked. The customer should call the issuer.",
    "reader_not_cardholders": "The card reader belongs to somebody else. The customer needs their own.",
    "card_timeout": "No card was swiped in time. Charge again if the customer still wants to pay.",
    "pin_timeout": "No PIN was entered in time. Charge again if the customer still wants to pay.",
    "refused_user_cancelled": "The customer cancelled on the card reader.",
    "refused_no_swipe": "No card was swiped in time. Charge again if the customer still wants to pay.",
    "refused_unreadable_card": "The card could not be read. Charge again: swipe evenly, or another card.",
    "refused_no_pin": "No PIN was entered in time. Charge again if the customer still wants to pay.",
    "refused_offer_rejected": "The card reader refused what the phone brought. Do not try this phone again.",
    "refused_busy": "The card reader is busy with another payment. Wait a moment, then charge again.",
    "refused_reader_fault": "The card reader has a fault. Restart it, then charge again.",
    "envelope_invalid": "What arrived from the card reader was not genuine. Do not try this phone again.",
    "reseal_mismatch": "The issuer's check of the card data failed. Charge again; tell it if that repeats.",
    "unknown_card": "The issuer does not know this card. Ask for another card.",
    "expired_card": "The card has expired. Ask for another card.",
    "blocked_card": "The card is blocked. Ask for another card; the customer should call the issuer.",
    "card_not_cardholders": "The card does not belong to the owner of this phone.",
    "insufficient_funds": "There is not enough money on the customer's account.",
    "wrong_pin": "The PIN was wrong. Charge again if the customer wants to try once more.",
    "pin_blocked": "The PIN is blocked after too many wrong tries. The customer should call the issuer.",
    "handset_fault": "The customer's phone had a fault. Charge again.",
    "issuer_restarted": "The issuer restarted in the middle. No money moved: charge again.",
    "internal_error": "The issuer had a fault. No money moved: charge again; tell the issuer if it repeats.",
}

PROBLEM_SENTENCES: Final[Mapping[str, str]] = {
    "unauthorized": "The issuer does not accept your API key. Run `merchant-terminal login` again.",
    "payment_not_found": "The issuer knows no such payment of yours. See `merchant-terminal list`.",
    "payment_not_cancellable": "The payment is over and cannot be cancelled. See `merchant-terminal status`.",
    "payment_not_refundable": "Only a paid payment can be refunded. See `merchant-terminal status`.",
    "refund_too_large": "That is more than is left of the payment. See `merchant-terminal status`.",
    "rate_limited": "The issuer is asked too often from here. Wait a moment, then try again.",
    "too_many_calls": "The customer's phone is called too often. Wait a moment, then charge again.",
    "merchant_blocked": "The issuer has blocked your account. Call the issuer.",
    "idempotency_key_missing": "The issuer wants a newer merchant-terminal. Update it.",
    "idempotency_key_invalid": "The issuer wants a newer merchant-terminal. Update it.",
    "idempotency_key_reused": "This charge clashes with an earlier one. Charge with --new.",
    "malformed_json": "The issuer could not read the request. Is merchant-terminal up to date?",
    "bad_request": "The issuer could not read the request. Is merchant-terminal up to date?",
    "unsupported_media_type": "The issuer could not read the request. Is merchant-terminal up to date?",
    "unknown_field": "The issuer wants another version of merchant-terminal. Update it.",
    "route_not_found": "That address is not the issuer's merchant API. Run `merchant-terminal login` again.",
    "method_not_allowed": "That address is not the merchant API. Run `merchant-terminal login` again.",
    "body_too_large": "The order description is far too long. Use at most 80 characters.",
    "unknown_phone": "No customer of this issuer has that phone number. Check the number with the customer.",
    "invalid_phone": "That is not a phone number. Write it with its country code: +81 90 1234 5678.",
    "unknown_currency": "The issuer does not know that currency. Use an ISO 4217 code such as JPY or USD.",
    "amount_not_positive": "The amount must be more than zero.",
    "amount_not_a_number": "The amount is not a number. Write it like 12.50.",
    "amount_too_large": "The amount is too large for one payment.",
    "too_many_decimals": "The amount has more decimals than the currency.",
    "invalid_amount": "The issuer does not accept that amount.",
    "invalid_currency": "Use an ISO 4217 currency code such as JPY or USD.",
    "invalid_order": "Describe the order in 1 to 80 ordinary characters: the card reader shows it.",
    "invalid_cursor": "That place in the list does not exist. Run `merchant-terminal list` without --cursor.",
    "invalid_wait": "The issuer wants another version of merchant-terminal. Update it.",
    "invalid_seen": "The issuer wants another version of merchant-terminal. Update it.",
    "invalid_limit": "Ask for 1 to 100 payments at a time.",
}


def reason_sentence(reason: str | None) -> str:
    """Why a payment was not settled; a reason newer than this program is shown as it is."""
    if reason is None:
        return "The issuer gave no reason."
    return REASON_SENTENCES.get(reason, f"The issuer's reason: {reason.replace('_', ' ')}.")


def problem_sentence(code: str, detail: str) -> str:
    """What the issuer's refusal means and what to do; an unknown code goes with the issuer's own words."""
    known = PROBLEM_SENTENCES.get(code)
    if known is not None:
        return known
    said = detail.strip().rstrip(".")
    return f"The issuer refused: {said} ({code})." if said else f"The issuer refused ({code})."
