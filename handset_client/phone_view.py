"""What the page shows at any moment, as one value that every open tab draws. Pure.

The value holds merchant, amount, order, outcome and last four digits of payments, and how the
connections are. The phone knows no more, and nothing more could slip in: each field is named here.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from handset_client.effects import (
    REVOCABLE,
    UNDECIDED,
    Amend,
    End,
    Ending,
    Notice,
    NoticeKind,
    Progress,
    Step,
)
from handset_client.issuer_frames import PaymentRequest
from handset_client.past_payments import PastPayment
from handset_client.preferences import Preferences
from handset_client.wording import (
    Language,
    doubt_text,
    ending_text,
    notice_text,
    reason_text,
    shown_text,
    step_text,
)
from protocol.errors import InputError
from protocol.identifiers import PaymentId, parse_reader_id, reader_id_text
from protocol.money import Money, format_money

HISTORY_SHOWN: Final = 50


class Stage(StrEnum):
    """The progress line of the page. The values are the ends of text keys (`stage_…`)."""

    READER = "reader"
    BANK = "bank"
    CARD = "card"
    PIN = "pin"
    RESULT = "result"


_STAGES: Final[Mapping[Step, tuple[Stage, str]]] = {
    Step.APPROVED_LOOKING_FOR_READER: (Stage.READER, "reader"),
    Step.WAITING_FOR_ISSUER: (Stage.BANK, "bank"),
    Step.SWIPE_NOW: (Stage.CARD, "card"),
    Step.CARD_SENT: (Stage.PIN, "card_sent"),
    Step.ENTER_PIN: (Stage.PIN, "pin"),
    Step.PIN_SENT: (Stage.RESULT, "pin_sent"),
}
_ENDING_HEADS: Final[Mapping[Step, str]] = {
    Step.CALLED_OFF: "ending",
    Step.READER_LOST: "ending",
    Step.READER_MISSING: "ending",
    Step.ASKING_FOR_OUTCOME: "asking",
}
"""These stop the line where it stands."""


class Light(StrEnum):
    """How a connection is."""

    OFF = "off"
    BUSY = "busy"
    ON = "on"
    TROUBLE = "trouble"


_READER_TROUBLE: Final = frozenset(
    {
        NoticeKind.READER_NOT_FOUND,
        NoticeKind.READER_ABSENT,
        NoticeKind.READER_CONNECTION_LOST,
        NoticeKind.READER_FAILED,
        NoticeKind.READER_BUSY,
        NoticeKind.OTHER_READER,
        NoticeKind.READER_TOO_NEW,
        NoticeKind.BLUETOOTH_OFF,
        NoticeKind.BLUETOOTH_DENIED,
        NoticeKind.BLUETOOTH_FAILED,
    }
)
_ABOUT_ISSUER: Final = frozenset(
    {NoticeKind.ISSUER_CONNECTED, NoticeKind.ISSUER_AWAY, NoticeKind.ISSUER_RETRY}
)
_PASSING: Final = frozenset(
    {
        NoticeKind.ISSUER_COMPLAINED,
        NoticeKind.PAYMENT_WAITING,
        NoticeKind.PAYMENT_WITHDRAWN,
        NoticeKind.OUTCOME_DELIVERED,
        NoticeKind.OUTCOME_KEPT,
        NoticeKind.HISTORY_FAILED,
    }
)
"""Notices that come up for a moment; the others change how a connection is shown."""


@dataclass(slots=True)
class _Current:
    request: PaymentRequest
    until: float
    step: Step = Step.LOOKING_FOR_READER
    stage: Stage = Stage.READER
    answered: bool = False


class PhoneView:
    """Feed it what the Screen is told; `now` is monotonic seconds, `at` Unix seconds."""

    def __init__(
        self, preferences: Preferences, system: Language, history: Iterable[PastPayment] = ()
    ) -> None:
        self.preferences = preferences
        self._system = system
        self._past = collections.deque(history, HISTORY_SHOWN)
        self._current: _Current | None = None
        self._receipt: PastPayment | None = None
        self._unread: list[PastPayment] = []
        self._issuer = Light.BUSY
        self._issuer_notice: Notice | None = None
        self._number = ""
        self._turned_away: Notice | None = None
        self._reader = Light.OFF
        self._reader_notice: Notice | None = None
        self._passing: tuple[int, Notice | Ending | Amend] | None = None
        self._passed = 0

    @property
    def language(self) -> Language:
        """What the page speaks."""
        return self.preferences.language or self._system

    # What the Screen is told

    def ask(self, request: PaymentRequest, until: float) -> None:
        """A request to decide by `until`."""
        self._current = _Current(request, until)
        self._reader, self._reader_notice = Light.BUSY, None
        if self._passing is not None and self._passing[1] == Notice(
            NoticeKind.PAYMENT_WAITING, request.merchant_name
        ):
            self._passing = None  # it waits no more
        if self._receipt is not None:  # nobody has closed it, and perhaps nobody has seen it
            unread, self._receipt = self._receipt, None
            self._set_aside(unread)

    def tell(self, what: Progress | Notice) -> None:
        """A step, or a notice."""
        if isinstance(what, Progress):
            self._progress(what)
        elif what.kind in _ABOUT_ISSUER:
            away = what.kind is not NoticeKind.ISSUER_CONNECTED
            self._issuer, self._issuer_notice = (Light.TROUBLE if away else Light.ON), what
            if not away:
                self._number = what.detail
        elif what.kind is NoticeKind.TURNED_AWAY:
            self._turned_away = what
        elif what.kind in _PASSING:
            self._pass(what)
        else:
            self._about_reader(what)

    def finish(self, ending: Ending, at: float) -> None:
        """A payment's end: the receipt of the one on show, a passing word for one that waited."""
        past = PastPayment(ending, at)
        # An earlier end of it was in doubt, and the bank has asked anew, or has not heard this phone's no.
        for earlier in [each for each in self._past if each.payment_id == past.payment_id]:
            self._past.remove(earlier)
        self._past.appendleft(past)
        if self._current is not None and self._current.request.payment_id == past.payment_id:
            self._current, self._receipt = None, past
            self._reader, self._reader_notice = Light.OFF, None
        else:
            self._set_aside(past)

    def amend(self, ending: Ending) -> None:
        """How a payment in doubt ended: in the history, and on its receipt or in passing."""
        payment_id = ending.request.payment_id
        for place, past in enumerate(self._past):
            if past.payment_id == payment_id:
                self._past[place] = replace(past, ending=ending)
        self._unread = [past for past in self._unread if past.payment_id != payment_id]
        if self._receipt is not None and self._receipt.payment_id == payment_id:
            self._receipt = replace(self._receipt, ending=ending)
        else:
            self._pass(Amend(ending))

    # What the person does

    def may_answer(self, payment_id: PaymentId, approved: bool, block: bool = False) -> bool:
        """Whether this button is there to be pressed; notes that it was."""
        current = self._current
        if current is None or current.request.payment_id != payment_id or current.answered:
            return False
        undecided = current.step in UNDECIDED
        if not undecided and (approved or block or current.step not in REVOCABLE):
            return False
        current.answered = True
        return True

    def close_receipt(self, payment_id: PaymentId) -> None:
        """The receipt was read, or the word of doubt that is left of it."""
        self._unread = [past for past in self._unread if past.payment_id != payment_id]
        if self._receipt is not None and self._receipt.payment_id == payment_id:
            self._receipt = None

    # What is shown

    @property
    def notice_number(self) -> int:
        """Which passing word is on show; 0 for none."""
        return 0 if self._passing is None else self._passing[0]

    def drop_notice(self, number: int) -> None:
        """That passing word has been on show long enough."""
        if self.notice_number == number:
            self._passing = None

    def snapshot(self, now: float) -> dict[str, object]:
        """All of it, as JSON for the page."""
        return {
            "language": self.language.value,
            "theme": self.preferences.theme.value,
            "issuer": {"light": self._issuer.value, "text": self._issuer_text(), "number": self._number},
            "reader": {"light": self._reader.value, "text": self._reader_text()},
            "payment": None if self._current is None else self._payment(self._current, now),
            "receipt": None if self._receipt is None else self._past_payment(self._receipt),
            "doubts": [
                {"id": past.payment_id, "text": doubt_text(past.ending, self.language)}
                for past in self._unread
            ],
            "notice": self._notice(),
            "stopped": self._last_words(),
            "history": [self._past_payment(past) for past in self._past],
            "readers": {
                "chosen": None
                if self.preferences.reader is None
                else reader_id_text(self.preferences.reader),
                "seen": [reader_id_text(reader) for reader in reversed(self.preferences.readers)],
            },
        }

    def _progress(self, progress: Progress) -> None:
        current = self._current
        if current is None or current.request.payment_id != progress.payment_id:
            return
        step = progress.step
        if step is Step.LOOKING_FOR_READER:
            self._reader = Light.BUSY
        elif step not in _ENDING_HEADS and step is not Step.APPROVED_LOOKING_FOR_READER:
            self._reader = Light.ON
            if step not in UNDECIDED or not self._one_of_several:
                self._reader_notice = None  # which reader it is, the person reads while deciding
        if step in UNDECIDED and current.step not in UNDECIDED:
            return  # the reader came back after the answer: the line goes on from where it is
        # A new step has its own button; while the person decides, a press stays pressed.
        current.answered = current.answered and step in UNDECIDED
        current.step = step
        if step in _STAGES:
            current.stage = _STAGES[step][0]

    def _about_reader(self, notice: Notice) -> None:
        if notice.kind in (NoticeKind.READER_FOUND, NoticeKind.OTHER_READER):
            try:
                self.preferences = self.preferences.saw(parse_reader_id(notice.detail))
            except InputError:
                pass  # a detail that is no reader's id has no place in the list
        if notice.kind is NoticeKind.READER_STATUS:
            return  # the steps say the same, and from the issuer's side
        if self._current is None:
            return  # between payments the link only brings an outcome; there is nothing to do for a person
        if notice.kind in _READER_TROUBLE:
            self._reader, self._reader_notice = Light.TROUBLE, notice
        elif notice.kind is NoticeKind.READER_RESUMED:
            self._reader, self._reader_notice = Light.ON, notice
        elif notice.kind is not NoticeKind.READER_FOUND or not self._one_of_several:
            self._reader_notice = notice

    @property
    def _one_of_several(self) -> bool:
        return self._reader_notice is not None and self._reader_notice.kind is NoticeKind.SEVERAL_READERS

    def _set_aside(self, past: PastPayment) -> None:
        """An end that has no receipt on show: doubt stays until the person puts it away, the rest passes."""
        if past.ending.end.in_doubt:
            self._unread.append(past)
        else:
            self._pass(past.ending)

    def _pass(self, what: Notice | Ending | Amend) -> None:
        self._passed += 1
        self._passing = (self._passed, what)

    def _last_words(self) -> str | None:
        """What is left to say where this program is gone: why, and which payments are in doubt."""
        said = [] if self._turned_away is None else [notice_text(self._turned_away, self.language)]
        for past in [*self._unread, *([] if self._receipt is None else [self._receipt])]:
            if past.ending.end.in_doubt:
                said += ending_text(past.ending, self.language)
        return " ".join(said) or None

    def _issuer_text(self) -> str | None:
        """The words for a connection in trouble; the page has its own for the rest."""
        if self._issuer is not Light.TROUBLE or self._issuer_notice is None:
            return None
        return notice_text(self._issuer_notice, self.language)

    def _reader_text(self) -> str | None:
        if self._reader_notice is None:
            return None
        return notice_text(self._reader_notice, self.language, on_page=True)

    def _notice(self) -> dict[str, object] | None:
        if self._passing is None:
            return None
        number, what = self._passing
        return {"number": number, "text": shown_text(what, self.language)}

    def _payment(self, current: _Current, now: float) -> dict[str, object]:
        request, step = current.request, current.step
        deciding = step in UNDECIDED
        head = _ENDING_HEADS.get(step) or (_STAGES[step][1] if step in _STAGES else "reader")
        return {
            "id": request.payment_id,
            **_what(request),
            "deciding": deciding,
            "answered": current.answered,
            "seconds_left": max(0.0, current.until - now) if deciding else None,
            "seconds": request.approve_within,
            "stage": current.stage.value,
            "head": head,
            "ending": step in _ENDING_HEADS,
            "text": step_text(step, self.language),
            "can_call_off": step in REVOCABLE and not current.answered,
        }

    def _past_payment(self, past: PastPayment) -> dict[str, object]:
        ending, language = past.ending, self.language
        happened, advice = ending_text(ending, language)
        return {
            "id": past.payment_id,
            **_what(ending.request),
            "outcome": ending.end.value,
            "happened": happened,
            "why": reason_text(ending.reason, language, ending.reader_id)[0]
            if ending.end is End.NOT_SETTLED
            else None,
            "next": advice,
            "last_four": ending.last_four,
            "at": past.ended_at,
        }


def _what(request: PaymentRequest) -> dict[str, object]:
    return {"merchant": request.merchant_name, "amount": _amount(request.amount), "order": request.order}


def _amount(money: Money) -> dict[str, str]:
    """Code and figures apart, so that the page can set them in two sizes; the same figures as elsewhere."""
    text = format_money(money)
    code, _, figures = text.partition(" ")
    return {"code": code, "figures": figures, "text": text}
