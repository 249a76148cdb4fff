"""The lines beside the page and without a person: what is said, once, in the person's language."""

from __future__ import annotations

import errno
import socket

import pytest
from bleak.exc import BleakError

from handset_client.adapters.reader_search import trouble
from handset_client.adapters.system_errors import words_of
from handset_client.effects import Amend, End, Ending, HowDeclined, Notice, NoticeKind, Progress, Step
from handset_client.issuer_frames import PaymentRequest
from handset_client.plain_lines import PlainLines
from handset_client.wording import Language, notice_text
from protocol.gatt import Status
from protocol.identifiers import PaymentId, mint
from protocol.money import Money, currency

P1 = PaymentId(mint("pay", bytes(16)))
REQUEST = PaymentRequest(P1, "田中珈琲店", Money(1200, currency("JPY")), "2 coffees", 60.0)
QUIET = set(Status) - {Status.UNKNOWN_OUTCOME, Status.BUSY, Status.ERROR}


def lines(language: Language = Language.ENGLISH) -> tuple[PlainLines, list[str]]:
    written: list[str] = []
    return PlainLines(lambda: language, written.append), written


def test_what_the_reader_does_is_said_by_the_step_alone() -> None:
    say, written = lines()
    for status in Status:
        say(Notice(NoticeKind.READER_STATUS, status.name.lower()))
    assert len(written) == len(Status) - len(QUIET)
    assert written[0] == "Card reader: unknown outcome."


def test_the_same_is_said_once() -> None:
    say, written = lines()
    for step in (Step.SWIPE_NOW, Step.SWIPE_NOW, Step.CARD_SENT, Step.SWIPE_NOW):
        say(Progress(P1, step))
        say(Notice(NoticeKind.READER_STATUS, "waiting_for_card"))
    assert len(written) == 3


@pytest.mark.parametrize(
    ("language", "asks", "why"),
    [
        (
            Language.ENGLISH,
            "田中珈琲店 asks for JPY 1,200: 2 coffees",
            "the rule of --approve-below declined it",
        ),
        (
            Language.JAPANESE,
            "田中珈琲店 から JPY 1,200 の請求: 2 coffees",
            "--approve-below の決まりにより断りました",
        ),
    ],
)
def test_it_is_said_in_the_persons_language_who_declined(language: Language, asks: str, why: str) -> None:
    say, written = lines(language)
    say(REQUEST)
    say(Ending(REQUEST, End.NOT_SETTLED, HowDeclined.BY_RULE))
    say(Amend(Ending(REQUEST, End.COMPLETED, None, "1111")))
    assert written[0] == asks
    assert why in written[1]
    assert "1111" in written[2]
    assert written[2] != written[1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/run/dbus/x"),
            "no such file or directory",
        ),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"),
            "connection refused",
        ),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (BleakError("device not found"), "device not found"),
        (EOFError(), "EOFError"),
        (OSError("something else"), "something else"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_the_system_is_words(error: Exception, words: str) -> None:
    assert words_of(error) == words
    for language in Language:
        said = notice_text(trouble(error), language)
        assert words in trouble(error).detail  # the log has it; the person has the kind of trouble
        assert "Errno" not in said
        assert "[" not in said
