"""What the phone says, in both languages."""

from __future__ import annotations

import re
import string

import pytest

from handset_client.effects import (
    SWITCHED_OFF,
    End,
    Ending,
    HowDeclined,
    Notice,
    NoticeKind,
    Step,
    TurnedAway,
    WhyAway,
)
from handset_client.issuer_frames import PaymentRequest
from handset_client.service import FOR_THE_LOG
from handset_client.texts import english, japanese
from handset_client.wording import (
    NOTICES,
    REASONS,
    STEPS,
    Language,
    ending_text,
    notice_text,
    page_texts,
    reason_text,
    request_text,
    step_text,
    system_language,
)
from protocol.gatt import Status
from protocol.identifiers import PaymentId, mint, parse_reader_id
from protocol.messages import NotSettled
from protocol.money import Money, currency

P1, P2 = (PaymentId(mint("pay", bytes([number]) * 16)) for number in (1, 2))
REQUEST = PaymentRequest(P1, "田中珈琲店", Money(1200, currency("JPY")), "2 coffees", 60.0)
OTHER = PaymentRequest(P2, "Green Grocer", Money(1875, currency("USD")), "Vegetables", 60.0)
READER = parse_reader_id("0a1b-2c3d-4e5f-6071")


# Languages


@pytest.mark.parametrize(
    "table",
    [
        "STEPS",
        "NOTICES",
        "AWAY",
        "TURNED_AWAY",
        "STATUSES",
        "REASONS",
        "ENDINGS",
        "DOUBTS",
        "TERMINAL",
        "PAGE",
    ],
)
def test_both_languages_say_the_same_things(table: str) -> None:
    ours, theirs = getattr(english, table), getattr(japanese, table)
    assert ours.keys() == theirs.keys()
    for key in ours:
        pairs = zip(
            *([text] if isinstance(text, str) else text for text in (ours[key], theirs[key])), strict=True
        )
        for one, other in pairs:
            assert names(one) == names(other), key
            assert one
            assert other


def names(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}


def test_every_thing_that_can_happen_has_words() -> None:
    for language in Language:
        for step in Step:
            assert step_text(step, language)
        for kind in NoticeKind:
            assert "{" not in notice_text(Notice(kind, ""), language)
        for status in Status:
            said = notice_text(Notice(NoticeKind.READER_STATUS, status.name.lower()), language)
            assert said != notice_text(Notice(NoticeKind.READER_STATUS, "a newer one"), language)
        for reason in [*NotSettled, *HowDeclined, SWITCHED_OFF, "no_response", "unheard_of", None]:
            for end in End:
                happened, advice = ending_text(Ending(REQUEST, end, reason, "1111"), language)
                assert "JPY 1,200" in happened
                assert "田中珈琲店" in happened
                assert "{" not in happened + advice
                assert advice
        assert request_text(REQUEST, language).endswith("2 coffees")


def test_japanese_has_no_english_left() -> None:
    allowed = re.compile(
        r"Bluetooth|Blind Relay|handset-client( [a-z]+)*|--(reader|approve-below|headless|ca-file)"
        r"|\{\w+\}|\b[LX]\b"
    )
    tables = (japanese.STEPS, japanese.NOTICES, japanese.AWAY, japanese.TURNED_AWAY, japanese.STATUSES)
    for table in (*tables, japanese.PAGE):
        for key, text in table.items():
            assert not re.search("[A-Za-z]", allowed.sub("", text)), key
    for key, pair in japanese.REASONS.items():
        assert not re.search("[A-Za-z]", allowed.sub("", "".join(pair))), key


def test_names_in_braces_stay_as_the_shop_wrote_them() -> None:
    braces = PaymentRequest(P1, "{why}", REQUEST.amount, "{0}", 60.0)
    assert "{why}" in ending_text(Ending(braces, End.NOT_SETTLED, "declined"))[0]
    assert request_text(braces) == "{why} asks for JPY 1,200: {0}"
    assert reason_text("{x}") == english.REASON_UNKNOWN


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "ja_JP", "LANG": "en_GB"}, "ja"),
    ],
    ids=str,
)
def test_the_systems_language_is_the_phones(environment: dict[str, str], language: str) -> None:
    assert system_language(environment) == language


# What each thing says


@pytest.mark.parametrize("reason", [*NotSettled, *HowDeclined])
def test_every_reason_has_words_and_a_next_step(reason: NotSettled | HowDeclined) -> None:
    happened, next_step = ending_text(Ending(REQUEST, End.NOT_SETTLED, reason))
    assert happened.startswith("Not paid: JPY 1,200 to 田中珈琲店: ")
    assert "no reason known" not in happened
    assert next_step.endswith(".")
    assert reason in REASONS


@pytest.mark.parametrize("reason", [None, "something_new"])
def test_a_reason_of_a_newer_issuer_still_says_something(reason: str | None) -> None:
    assert ending_text(Ending(REQUEST, End.NOT_SETTLED, reason))[1]


@pytest.mark.parametrize(
    ("end", "reason"), [(End.UNKNOWN, None), (End.UNKNOWN, SWITCHED_OFF), (End.SEE_READER, None)]
)
def test_who_does_not_know_must_not_pay_again(end: End, reason: str | None) -> None:
    assert "Do not pay again" in ending_text(Ending(REQUEST, end, reason))[1]
    again = "もう一度支払わないでください"
    assert again in ending_text(Ending(REQUEST, end, reason), Language.JAPANESE)[1]


def test_who_switched_the_phone_off_is_told_that_it_will_ask() -> None:
    happened, advice = ending_text(Ending(REQUEST, End.UNKNOWN, SWITCHED_OFF))
    assert "switched off before your bank had answered" in happened
    assert "Start this phone again" in advice


@pytest.mark.parametrize("step", list(Step))
def test_every_step_has_words(step: Step) -> None:
    assert STEPS[step].endswith(".")


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_notice_has_words(kind: NoticeKind) -> None:
    assert kind in NOTICES
    assert "{" not in notice_text(Notice(kind))
    assert "{" not in notice_text(Notice(kind, "detail")).replace("{detail}", "")


def test_a_receipt_is_closed_and_not_completed() -> None:
    """The button stands under "not paid" and "not known yet" as well."""
    assert page_texts(Language.JAPANESE)["done"] == "閉じる"


@pytest.mark.parametrize(
    "kind",
    [*sorted(FOR_THE_LOG, key=lambda kind: kind.value), NoticeKind.HISTORY_FAILED, NoticeKind.ISSUER_AWAY],
)
@pytest.mark.parametrize("language", list(Language))
def test_no_code_is_shown_to_the_person(kind: NoticeKind, language: Language) -> None:
    assert "unexpected_message" not in notice_text(Notice(kind, "unexpected_message: TimeoutError"), language)


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("why", [*WhyAway, *TurnedAway])
def test_why_the_bank_is_away_or_wants_no_more_is_said_in_the_persons_language(
    why: WhyAway | TurnedAway, language: Language
) -> None:
    kind = NoticeKind.ISSUER_AWAY if isinstance(why, WhyAway) else NoticeKind.TURNED_AWAY
    said = notice_text(Notice(kind, why), language)
    table = {Language.ENGLISH: english, Language.JAPANESE: japanese}[language]
    assert {**table.AWAY, **table.TURNED_AWAY}[why] in said
