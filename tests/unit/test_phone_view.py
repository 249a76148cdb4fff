"""What the phone's page shows at any moment, as one value."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from handset_client import phone_view
from handset_client.effects import SWITCHED_OFF, End, Ending, Notice, NoticeKind, Progress, Step, WhyAway
from handset_client.issuer_frames import PaymentRequest
from handset_client.past_payments import PastPayment
from handset_client.phone_view import PhoneView
from handset_client.preferences import MOST_READERS, Preferences
from handset_client.wording import (
    Language,
    notice_text,
)
from protocol.identifiers import PaymentId, ReaderId, mint, parse_reader_id, reader_id_text
from protocol.money import Money, currency

P1, P2 = (PaymentId(mint("pay", bytes([number]) * 16)) for number in (1, 2))
REQUEST = PaymentRequest(P1, "田中珈琲店", Money(1200, currency("JPY")), "2 coffees", 60.0)
OTHER = PaymentRequest(P2, "Green Grocer", Money(1875, currency("USD")), "Vegetables", 60.0)
READER = parse_reader_id("0a1b-2c3d-4e5f-6071")


# The view


def view(language: Language = Language.ENGLISH, **preferences: Any) -> PhoneView:
    return PhoneView(Preferences(**preferences), language)


def shown(seen: PhoneView, now: float = 0.0) -> Any:
    return json.loads(json.dumps(seen.snapshot(now)))


def test_a_whole_payment_as_it_is_shown() -> None:
    seen = view()
    assert (shown(seen)["issuer"]["light"], shown(seen)["reader"]["light"]) == ("busy", "off")
    seen.tell(Notice(NoticeKind.ISSUER_CONNECTED, "+819012345678"))
    assert shown(seen)["issuer"] == {"light": "on", "text": None, "number": "+819012345678"}
    seen.ask(REQUEST, 100.0)
    seen.tell(Progress(P1, Step.LOOKING_FOR_READER))
    assert shown(seen, 40.0)["payment"]["seconds_left"] == 60
    assert shown(seen, 101.0)["payment"]["seconds_left"] == 0
    seen.tell(Notice(NoticeKind.READER_FOUND, reader_id_text(READER)))
    seen.tell(Progress(P1, Step.READER_READY))
    assert shown(seen)["reader"]["light"] == "on"
    assert shown(seen)["readers"]["seen"] == [reader_id_text(READER)]
    stages = []
    for step in (
        Step.APPROVED_LOOKING_FOR_READER,
        Step.WAITING_FOR_ISSUER,
        Step.SWIPE_NOW,
        Step.CARD_SENT,
        Step.ENTER_PIN,
        Step.PIN_SENT,
    ):
        seen.tell(Progress(P1, step))
        payment = shown(seen)["payment"]
        stages.append(payment["stage"])
        assert payment["seconds_left"] is None
        assert payment["can_call_off"] is (step is not Step.PIN_SENT)
    assert stages == ["reader", "bank", "card", "pin", "pin", "result"]
    seen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"), 1_800_000_000.0)
    state = shown(seen)
    assert state["payment"] is None
    assert state["receipt"]["last_four"] == "1111"
    assert state["reader"]["light"] == "off"
    seen.close_receipt(P2)
    assert shown(seen)["receipt"]
    seen.close_receipt(P1)
    assert shown(seen)["receipt"] is None
    assert [past["id"] for past in shown(seen)["history"]] == [P1]


def test_the_line_stops_where_the_payment_stopped() -> None:
    for step in (Step.CALLED_OFF, Step.READER_LOST, Step.READER_MISSING, Step.ASKING_FOR_OUTCOME):
        seen = view()
        seen.ask(REQUEST, 60.0)
        seen.tell(Progress(P1, Step.SWIPE_NOW))
        seen.tell(Progress(P1, step))
        payment = shown(seen)["payment"]
        assert (payment["stage"], payment["ending"], payment["can_call_off"]) == ("card", True, False)


def test_a_step_of_another_payment_changes_nothing() -> None:
    seen = view()
    before = shown(seen)
    seen.tell(Progress(P1, Step.SWIPE_NOW))
    assert shown(seen) == before
    seen.ask(REQUEST, 60.0)
    before = shown(seen)
    seen.tell(Progress(P2, Step.PIN_SENT))
    assert shown(seen) == before


def test_the_end_of_a_payment_that_waited_is_a_passing_word() -> None:
    seen = view()
    seen.ask(REQUEST, 60.0)
    seen.finish(Ending(OTHER, End.NOT_SETTLED, "cancelled_by_merchant"), 0.0)
    state = shown(seen)
    assert state["payment"]["id"] == P1
    assert state["notice"] == {
        "number": 1,
        "text": "Not paid: USD 18.75 to Green Grocer: the shop cancelled it. Nothing more to do.",
    }


def test_a_payment_that_waited_is_waiting_no_more_when_it_comes_up() -> None:
    seen = view()
    seen.ask(REQUEST, 60.0)
    seen.tell(Notice(NoticeKind.PAYMENT_WAITING, OTHER.merchant_name))
    seen.tell(Progress(P1, Step.READER_READY))
    assert shown(seen)["notice"]
    seen.ask(OTHER, 60.0)
    assert shown(seen)["notice"] is None
    seen.tell(Notice(NoticeKind.OUTCOME_KEPT))
    seen.ask(REQUEST, 60.0)
    assert shown(seen)["notice"]


def test_a_passing_word_passes_and_not_the_one_after_it() -> None:
    seen = view()
    assert seen.notice_number == 0
    seen.tell(Notice(NoticeKind.OUTCOME_KEPT))
    first = seen.notice_number
    seen.tell(Notice(NoticeKind.OUTCOME_DELIVERED))
    seen.drop_notice(first)
    assert shown(seen)["notice"]["number"] == seen.notice_number != first
    seen.drop_notice(seen.notice_number)
    assert shown(seen)["notice"] is None


ABOUT_ISSUER = {NoticeKind.ISSUER_CONNECTED, NoticeKind.ISSUER_AWAY, NoticeKind.ISSUER_RETRY}
PASSING = {
    NoticeKind.ISSUER_COMPLAINED,
    NoticeKind.PAYMENT_WAITING,
    NoticeKind.PAYMENT_WITHDRAWN,
    NoticeKind.OUTCOME_DELIVERED,
    NoticeKind.OUTCOME_KEPT,
    NoticeKind.HISTORY_FAILED,
}


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_notice_has_its_place(kind: NoticeKind) -> None:
    """A notice is shown at a connection, passes by, or says what a step says already."""
    seen = view()
    seen.ask(REQUEST, 60.0)
    before = shown(seen)
    seen.tell(Notice(kind, "detail"))
    after = shown(seen)
    changed = {part for part in ("issuer", "reader", "notice") if after[part] != before[part]}
    if kind is NoticeKind.READER_STATUS:
        assert changed == set()
        return
    if kind is NoticeKind.TURNED_AWAY:
        assert (changed, after["stopped"]) == (set(), "detail")
        return
    place = "issuer" if kind in ABOUT_ISSUER else "notice" if kind in PASSING else "reader"
    assert changed == {place}
    words = None if kind is NoticeKind.ISSUER_CONNECTED else notice_text(Notice(kind, "detail"), on_page=True)
    assert after[place]["text"] == words


def test_the_next_try_for_the_bank_is_said_at_the_bank() -> None:
    seen = view()
    seen.ask(REQUEST, 60.0)
    seen.tell(Notice(NoticeKind.ISSUER_AWAY, WhyAway.REFUSED))
    seen.tell(Notice(NoticeKind.ISSUER_RETRY, "8"))
    state = shown(seen)
    assert state["issuer"]["light"] == "trouble"
    assert state["issuer"]["text"] == "Still no connection to your bank. Next try in 8 s."
    assert state["reader"] == {"light": "busy", "text": None}


def test_a_press_counts_once_for_each_button() -> None:
    seen = view()
    assert not seen.may_answer(P1, True)
    seen.ask(REQUEST, 60.0)
    assert not seen.may_answer(P2, True)
    assert seen.may_answer(P1, True)
    seen.tell(Progress(P1, Step.READER_READY))
    assert not seen.may_answer(P1, False)
    seen.tell(Progress(P1, Step.WAITING_FOR_ISSUER))
    assert not seen.may_answer(P1, True)
    assert seen.may_answer(P1, False)
    assert not seen.may_answer(P1, False)


def test_the_readers_seen_are_few_and_the_latest_first() -> None:
    seen = view(reader=READER)
    ids = [ReaderId(bytes([number]) * 8) for number in range(MOST_READERS + 2)]
    for reader in [*ids, ids[-2]]:
        seen.tell(Notice(NoticeKind.OTHER_READER, reader_id_text(reader)))
    seen.tell(Notice(NoticeKind.READER_FOUND, "no id"))
    readers = shown(seen)["readers"]
    assert readers["chosen"] == reader_id_text(READER)
    assert readers["seen"][:2] == [reader_id_text(ids[-2]), reader_id_text(ids[-1])]
    assert len(readers["seen"]) == MOST_READERS


def test_the_history_shown_is_bounded() -> None:
    seen = view()
    for number in range(phone_view.HISTORY_SHOWN + 5):
        payment_id = PaymentId(mint("pay", bytes([number]) * 16))
        seen.finish(Ending(replace(REQUEST, payment_id=payment_id), End.COMPLETED), float(number))
    history = shown(seen)["history"]
    assert len(history) == phone_view.HISTORY_SHOWN
    assert history[0]["at"] == phone_view.HISTORY_SHOWN + 4


def test_a_payment_that_is_asked_anew_stands_in_the_history_once() -> None:
    doubt = PastPayment(Ending(REQUEST, End.UNKNOWN, SWITCHED_OFF), 1_800_000_000.0)
    seen = PhoneView(Preferences(), Language.ENGLISH, [doubt])
    seen.ask(REQUEST, 60.0)
    seen.finish(Ending(REQUEST, End.COMPLETED, None, "1111"), 1_800_000_060.0)
    assert [past["outcome"] for past in shown(seen)["history"]] == ["completed"]


def test_the_page_of_a_program_that_is_gone_says_what_is_in_doubt() -> None:
    seen = view()
    assert shown(seen)["stopped"] is None
    seen.ask(REQUEST, 60.0)
    seen.finish(Ending(REQUEST, End.UNKNOWN, SWITCHED_OFF), 1_800_000_000.0)
    assert "Do not pay again. Start this phone again" in shown(seen)["stopped"]
    seen.ask(OTHER, 60.0)
    assert "JPY 1,200 to 田中珈琲店" in shown(seen)["stopped"]


def test_what_was_learned_of_a_payment_in_doubt_is_in_its_place_and_said_in_passing() -> None:
    doubt = Ending(REQUEST, End.UNKNOWN)
    seen = PhoneView(Preferences(), Language.ENGLISH, [PastPayment(doubt, 1_800_000_000.0)])
    seen.ask(OTHER, 60.0)
    seen.amend(Ending(REQUEST, End.COMPLETED, None, "1111"))
    state = shown(seen)
    assert [(past["outcome"], past["last_four"], past["at"]) for past in state["history"]] == [
        ("completed", "1111", 1_800_000_000.0)
    ]
    assert state["notice"]["text"].startswith("It is known now. Paid JPY 1,200 to 田中珈琲店 with card")
    assert state["payment"]["id"] == P2


def test_a_receipt_of_doubt_that_is_on_show_becomes_what_was_learned() -> None:
    seen = view()
    seen.ask(REQUEST, 60.0)
    seen.finish(Ending(REQUEST, End.UNKNOWN), 1_800_000_000.0)
    assert "Do not pay again" in shown(seen)["receipt"]["next"]
    seen.amend(Ending(REQUEST, End.NOT_SETTLED, "wrong_pin"))
    state = shown(seen)
    assert (state["receipt"]["outcome"], state["receipt"]["why"]) == ("not_settled", "the PIN was wrong")
    assert state["notice"] is None
    assert [past["outcome"] for past in state["history"]] == ["not_settled"]


def test_a_shop_is_blocked_while_deciding_and_not_after() -> None:
    seen = view()
    assert not seen.may_answer(P1, False, block=True)
    seen.ask(REQUEST, 60.0)
    assert seen.may_answer(P1, False, block=True)
    assert not seen.may_answer(P1, False, block=True)
    seen.ask(OTHER, 60.0)
    seen.tell(Progress(P2, Step.SWIPE_NOW))
    assert not seen.may_answer(P2, False, block=True)
    assert seen.may_answer(P2, False)


def test_which_of_several_readers_is_said_while_the_person_decides() -> None:
    seen = view()
    seen.ask(REQUEST, 60.0)
    seen.tell(Progress(P1, Step.LOOKING_FOR_READER))
    several = Notice(NoticeKind.SEVERAL_READERS, "0a1b (not 0c1d)")
    seen.tell(several)
    seen.tell(Notice(NoticeKind.READER_FOUND, reader_id_text(READER)))
    seen.tell(Progress(P1, Step.READER_READY))
    assert shown(seen)["reader"] == {"light": "on", "text": notice_text(several, on_page=True)}
    assert "Settings" in notice_text(several, on_page=True)
    assert notice_text(several).endswith("handset-client readers")
    seen.tell(Progress(P1, Step.SWIPE_NOW))
    assert shown(seen)["reader"] == {"light": "on", "text": None}
