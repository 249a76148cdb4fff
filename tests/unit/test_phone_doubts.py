"""What the page keeps of a payment whose receipt had to give way to the next request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handset_client.effects import End, Ending
from handset_client.issuer_frames import PaymentRequest
from handset_client.phone_view import PhoneView
from handset_client.preferences import Preferences
from handset_client.wording import Language
from protocol.identifiers import PaymentId, mint
from protocol.money import Money, currency

P1, P2 = (PaymentId(mint("pay", bytes([number]) * 16)) for number in (1, 2))
REQUEST = PaymentRequest(P1, "田中珈琲店", Money(1200, currency("JPY")), "2 coffees", 60.0)
OTHER = PaymentRequest(P2, "Green Grocer", Money(1875, currency("USD")), "Vegetables", 60.0)


def shown(seen: PhoneView) -> Any:
    return json.loads(json.dumps(seen.snapshot(0.0)))


def one_ends_and_the_next_comes_up(ending: Ending, language: Language) -> PhoneView:
    """In one drain, as the relay does it: nobody has seen the receipt."""
    seen = PhoneView(Preferences(), language)
    seen.ask(REQUEST, 60.0)
    seen.finish(ending, 1_800_000_000.0)
    seen.ask(OTHER, 60.0)
    return seen


@pytest.mark.parametrize(
    ("end", "language", "words"),
    [
        (
            End.UNKNOWN,
            Language.ENGLISH,
            "The payment of JPY 1,200 to 田中珈琲店 is not known yet: do not pay it again",
        ),
        (End.SEE_READER, Language.ENGLISH, "Do not pay it again before you have seen it"),
        (
            End.UNKNOWN,
            Language.JAPANESE,
            "田中珈琲店 への JPY 1,200 のお支払いは、まだ結果が分かりません。もう一度支払わないでください",
        ),
        (End.SEE_READER, Language.JAPANESE, "見るまでは、もう一度支払わないでください"),
    ],
)
def test_doubt_stays_beside_the_next_request_until_it_is_put_away(
    end: End, language: Language, words: str
) -> None:
    seen = one_ends_and_the_next_comes_up(Ending(REQUEST, end), language)
    state = shown(seen)
    assert (state["payment"]["id"], state["receipt"]) == (P2, None)
    [doubt] = state["doubts"]
    assert doubt["id"] == P1
    assert words in doubt["text"]
    seen.finish(Ending(OTHER, End.COMPLETED), 1_800_000_001.0)
    seen.close_receipt(P2)
    assert shown(seen)["doubts"] == [doubt]
    seen.close_receipt(P1)
    assert shown(seen)["doubts"] == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (Language.ENGLISH, "Not paid: JPY 1,200 to 田中珈琲店"),
        (Language.JAPANESE, "支払っていません: 田中珈琲店"),
    ],
)
def test_another_end_is_a_passing_word_beside_the_next_request(language: Language, words: str) -> None:
    state = shown(one_ends_and_the_next_comes_up(Ending(REQUEST, End.NOT_SETTLED, "wrong_pin"), language))
    assert state["notice"]["text"].startswith(words)
    assert state["doubts"] == []


def test_doubt_goes_when_the_bank_has_said_how_it_ended() -> None:
    seen = one_ends_and_the_next_comes_up(Ending(REQUEST, End.UNKNOWN), Language.ENGLISH)
    seen.amend(Ending(REQUEST, End.COMPLETED, None, "1111"))
    state = shown(seen)
    assert state["doubts"] == []
    assert state["notice"]["text"].startswith("It is known now. Paid JPY 1,200")


def test_a_receipt_that_was_closed_leaves_nothing() -> None:
    seen = PhoneView(Preferences(), Language.ENGLISH)
    seen.ask(REQUEST, 60.0)
    seen.finish(Ending(REQUEST, End.UNKNOWN), 1_800_000_000.0)
    seen.close_receipt(P1)
    seen.ask(OTHER, 60.0)
    assert (shown(seen)["doubts"], shown(seen)["notice"]) == ([], None)
