"""What the screen says, in the person's language: what happened, and what they can do about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol

from handset_client.effects import (
    SWITCHED_OFF,
    Amend,
    End,
    Ending,
    Notice,
    NoticeKind,
    Progress,
    Shown,
    Step,
    WhyAway,
)
from handset_client.issuer_frames import PaymentRequest
from handset_client.texts import english, japanese
from handset_client.texts.english import NOTICES, REASONS, STEPS
from protocol.gatt import Status
from protocol.identifiers import ReaderId, reader_id_text
from protocol.money import format_money

__all__ = [
    "NOTICES",
    "REASONS",
    "STEPS",
    "Language",
    "amended_text",
    "doubt_text",
    "ending_text",
    "notice_text",
    "page_texts",
    "reason_text",
    "request_text",
    "shown_text",
    "step_text",
    "system_language",
    "terminal_texts",
]


class Language(StrEnum):
    """What the phone can speak; BCP 47 tags."""

    ENGLISH = "en"
    JAPANESE = "ja"


class _Texts(Protocol):
    """What each file of texts holds."""

    STEPS: Mapping[Step, str]
    NOTICES: Mapping[NoticeKind, str]
    BLUETOOTH_HELP: Mapping[tuple[NoticeKind, str], str]
    STATUSES: Mapping[Status, str]
    AWAY: Mapping[str, str]
    TURNED_AWAY: Mapping[str, str]
    NO_DETAIL: str
    REASONS: Mapping[str, tuple[str, str]]
    REASON_UNKNOWN: tuple[str, str]
    WHAT: str
    WITH_CARD: str
    WHICH_READER: str
    ENDINGS: Mapping[End, tuple[str, str]]
    SWITCHED_OFF: tuple[str, str]
    DOUBTS: Mapping[End, str]
    AMENDED: str
    TERMINAL: Mapping[str, str]
    PAGE: Mapping[str, str]


_TEXTS: Final[Mapping[Language, _Texts]] = {Language.ENGLISH: english, Language.JAPANESE: japanese}
_STATUS_NAMES: Final = {status.name.lower(): status for status in Status}


def system_language(environment: Mapping[str, str] = os.environ) -> Language:
    """The language that the system is set to (POSIX locale variables), or English."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(variable):
            return Language.JAPANESE if value.startswith("ja") else Language.ENGLISH
    return Language.ENGLISH


def request_text(request: PaymentRequest, language: Language = Language.ENGLISH) -> str:
    """One line for what a shop asks."""
    asked = _TEXTS[language].PAGE["request_of"]
    amount = format_money(request.amount)
    return f"{asked.format(merchant=request.merchant_name, amount=amount)}: {request.order}"


def step_text(step: Step, language: Language = Language.ENGLISH) -> str:
    """One line for a step of a payment."""
    return _TEXTS[language].STEPS[step]


def notice_text(
    notice: Notice,
    language: Language = Language.ENGLISH,
    system: str = sys.platform,
    *,
    on_page: bool = False,
) -> str:
    """One line for a notice; what to do depends on the `system` (sys.platform), and on the face it is for."""
    texts, detail = _TEXTS[language], notice.detail
    if notice.kind is NoticeKind.ISSUER_AWAY:
        detail = texts.AWAY.get(detail, texts.AWAY[WhyAway.FAILED])
    elif notice.kind is NoticeKind.TURNED_AWAY:
        detail = texts.TURNED_AWAY.get(detail, detail)
    elif notice.kind is NoticeKind.READER_STATUS:
        status = _STATUS_NAMES.get(detail)
        detail = detail.replace("_", " ") if status is None else texts.STATUSES[status]
    help_texts = texts.BLUETOOTH_HELP
    if notice.kind is NoticeKind.SEVERAL_READERS:
        what_to_do = (texts.PAGE if on_page else texts.TERMINAL)["choose_reader"]
    else:
        what_to_do = help_texts.get((notice.kind, system)) or help_texts.get((notice.kind, "linux"), "")
    line = texts.NOTICES[notice.kind].replace("{help}", what_to_do)
    return line.replace("{detail}", detail or texts.NO_DETAIL)


def reason_text(
    reason: str | None, language: Language = Language.ENGLISH, reader_id: ReaderId | None = None
) -> tuple[str, str]:
    """Why a payment was not settled, as part of a sentence, and the next step; which reader it is about."""
    texts = _TEXTS[language]
    why, next_step = texts.REASONS.get(reason or "", texts.REASON_UNKNOWN)
    which = "" if reader_id is None else texts.WHICH_READER.format(reader=reader_id_text(reader_id))
    return why.replace("{reader}", which), next_step


def ending_text(ending: Ending, language: Language = Language.ENGLISH) -> tuple[str, str]:
    """How it ended, and the next step: two lines."""
    texts = _TEXTS[language]
    what = texts.WHAT.format(
        amount=format_money(ending.request.amount), merchant=ending.request.merchant_name
    )
    card = texts.WITH_CARD.format(last_four=ending.last_four) if ending.last_four else ""
    why, next_step = reason_text(ending.reason, language, ending.reader_id)
    switched_off = ending.end is End.UNKNOWN and ending.reason == SWITCHED_OFF
    happened, advice = texts.SWITCHED_OFF if switched_off else texts.ENDINGS[ending.end]
    return happened.format(what=what, card=card, why=why), advice.format(next_step=next_step)


def doubt_text(ending: Ending, language: Language = Language.ENGLISH) -> str:
    """One line for a payment in doubt that stands beside another: which it is, and not to pay it again."""
    line = _TEXTS[language].DOUBTS[ending.end]
    return line.format(amount=format_money(ending.request.amount), merchant=ending.request.merchant_name)


def amended_text(ending: Ending, language: Language = Language.ENGLISH) -> tuple[str, str]:
    """How a payment ended that was in doubt, and the next step: two lines."""
    happened, advice = ending_text(ending, language)
    return _TEXTS[language].AMENDED + happened, advice


def shown_text(shown: Shown, language: Language = Language.ENGLISH) -> str:
    """One line for anything that a screen is told."""
    match shown:
        case PaymentRequest():
            return request_text(shown, language)
        case Progress(step=step):
            return step_text(step, language)
        case Notice():
            return notice_text(shown, language)
        case Ending():
            return " ".join(ending_text(shown, language))
        case Amend(ending):
            return " ".join(amended_text(ending, language))


def terminal_texts(language: Language) -> Mapping[str, str]:
    """The labels and hints of the screen in a terminal."""
    return _TEXTS[language].TERMINAL


def page_texts(language: Language) -> Mapping[str, str]:
    """The labels of the page."""
    return _TEXTS[language].PAGE
