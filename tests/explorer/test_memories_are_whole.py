"""Two memories that the explorer takes for one must have one future: a new field is to be looked at there."""

from __future__ import annotations

from dataclasses import fields

from issuer_server.live_payments import LivePayment, PaymentSecrets
from reader_peripheral.payment_in_hand import Payment
from tests.explorer.reader_in_hand import ReaderInHand

WHAT_TO_DO = "see `identity` and `copied` in tests/explorer: does the future depend on it, is it copied?"


def test_the_readers_memory() -> None:
    known = {"state", "nonce", "payment", "owed", "alarms", "shown"}  # what tells two memories apart
    derived_or_fixed = {"key", "reader_id", "issuer", "limits", "kept", "status"}
    within_one_event = {"result", "sealed", "rejected", "refusals_left"}
    held = {name.removeprefix("_") for name in vars(ReaderInHand.new().session)}
    assert held == known | derived_or_fixed | within_one_event, WHAT_TO_DO
    told_apart = {"digest", "sent", "card_envelope", "pin_request_digest", "pin_envelope", "refused"}
    follows = {"offer", "pin_request", "unanswered"}  # from the digests; `unanswered` is told apart too
    # The same in every state: one swipe, whole PINs.
    people = {"swipes_left", "bad_swipes", "fault", "stars", "hint"}
    assert {field.name for field in fields(Payment)} == told_apart | follows | people, WHAT_TO_DO


def test_the_issuers_memory() -> None:
    told_apart = {
        "record",
        "state",
        "reason",
        "reader",
        "signed_offer",
        "card",
        "pin_tries_left",
        "pin_attempts",
    }
    told_apart |= {"card_envelope_digest", "pin_request_digest", "pin_envelope_digest", "last_message_digest"}
    told_apart |= {"secrets"}
    follows = {"hello", "offer", "offer_digest", "card_last_four", "handset_id", "signer"}
    no_matter = {"lock", "pending", "subscription", "timer", "deadline", "dropped_messages", "outcome_wanted"}
    assert {field.name for field in fields(LivePayment)} == told_apart | follows | no_matter, WHAT_TO_DO
    secrets = {"key", "card_envelope", "pin_envelope", "card_plaintext", "card", "pin"}
    assert {field.name for field in fields(PaymentSecrets)} == secrets, WHAT_TO_DO
