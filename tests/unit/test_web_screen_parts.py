"""The page's parts without a server: the door, the view, the commands, the settings, both languages."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import string
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handset_client import past_payments, phone_view
from handset_client.adapters.desktop_browser import has_desktop
from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.loopback_peer import is_stranger, owner_of
from handset_client.adapters.preferences_file import FILE_NAME, PreferencesFile
from handset_client.effects import End, Ending, Notice, NoticeKind, Progress, Step
from handset_client.issuer_frames import PaymentRequest
from handset_client.page_commands import CommandError, parse_command
from handset_client.page_door import LINK_LIVES, MOST_LINKS, MOST_SESSIONS, Door
from handset_client.phone_view import PhoneView
from handset_client.preferences import MOST_READERS, Preferences, Theme
from handset_client.texts import english, japanese
from handset_client.wording import (
    Language,
    ending_text,
    notice_text,
    reason_text,
    request_text,
    step_text,
    system_language,
)
from protocol.gatt import Status
from protocol.identifiers import PaymentId, ReaderId, mint, parse_reader_id, reader_id_text
from protocol.messages import NotSettled
from protocol.money import Money, currency

P1, P2 = (PaymentId(mint("pay", bytes([number]) * 16)) for number in (1, 2))
REQUEST = PaymentRequest(P1, "田中珈琲店", Money(1200, currency("JPY")), "2 coffees", 60.0)
OTHER = PaymentRequest(P2, "Green Grocer", Money(1875, currency("USD")), "Vegetables", 60.0)
READER = parse_reader_id("0a1b-2c3d-4e5f-6071")


def door() -> Door:
    counter = itertools.count()
    return Door(lambda: f"secret-{next(counter)}")


# The door


def test_a_link_is_good_once_and_for_a_while() -> None:
    shut = door()
    first, second = shut.new_link(0.0), shut.new_link(0.0)
    session = shut.exchange(first, LINK_LIVES - 1)
    assert session is not None
    assert shut.exchange(first, LINK_LIVES - 1) is None
    assert shut.exchange(second, LINK_LIVES) is None
    assert shut.exchange("", 0.0) is None
    assert shut.knows(session.cookie)
    assert shut.admits(session.cookie, session.key)
    assert not shut.admits(session.cookie, session.cookie)
    assert not shut.admits(session.key, session.key)
    assert not shut.admits(None, session.key)
    assert not shut.knows("")


def test_only_the_newest_links_and_sessions_count() -> None:
    shut = door()
    links = [shut.new_link(0.0) for _ in range(MOST_LINKS + 1)]
    assert shut.exchange(links[0], 0.0) is None
    sessions = []
    for _ in range(MOST_SESSIONS + 1):
        session = shut.exchange(shut.new_link(0.0), 0.0)
        assert session is not None
        sessions.append(session)
    assert [shut.knows(session.cookie) for session in sessions] == [False] + [True] * MOST_SESSIONS


def test_a_session_shows_no_secret() -> None:
    shut = door()
    session = shut.exchange(shut.new_link(0.0), 0.0)
    assert "secret" not in repr(session)


# Whose program it is


TABLE = """\
   0: 0100007F:BAF4 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:BAF4 01 00000000:00000000 00:00000000 00000000  1001        0 2 1 0 20 4 30 10 -1
   2: 0100007F:BAF4 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 3 1 0 20 4 30 10 -1
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the table is one of a little-endian machine")
def test_the_owner_of_the_other_end_is_read_from_the_kernels_table() -> None:
    ours, peer = ("127.0.0.1", 47860), ("127.0.0.1", 50000)
    assert owner_of(TABLE.splitlines(), peer, ours) == 1001
    assert owner_of(TABLE.splitlines(), ("127.0.0.1", 50001), ours) is None
    assert owner_of(["", "0: x"], peer, ours) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says whose a connection is")
def test_our_own_connection_is_no_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = server.getsockname()
        with socket.create_connection(ours) as client:
            assert not is_stranger(client.getsockname(), ours)
            if os.getuid() != 0:
                monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
                assert is_stranger(client.getsockname(), ours)
    assert not is_stranger(("127.0.0.1", 1), ours)


# Commands


def junk() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@given(
    st.sampled_from(["hello", "press", "done", "set_language", "set_theme", "set_reader", "x", 1, None]),
    st.dictionaries(st.sampled_from(["key", "payment_id", "approved", "value"]), junk()),
)
def test_a_command_is_right_or_refused(kind: object, rest: dict[str, object]) -> None:
    refused = None
    try:
        parse_command(json.dumps({"type": kind, **rest}))
    except CommandError as error:
        refused = str(error)
    for value in rest.values():
        # What a stranger wrote is not said again.
        assert refused is None or not isinstance(value, str) or len(value) < 8 or value not in refused


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
    seen.tell(Notice(NoticeKind.EARLIER_PAID))
    seen.drop_notice(first)
    assert shown(seen)["notice"]["number"] == seen.notice_number != first
    seen.drop_notice(seen.notice_number)
    assert shown(seen)["notice"] is None


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_notice_has_its_place(kind: NoticeKind) -> None:
    """A notice is shown at a connection, passes by, or says what a step says already."""
    seen = view()
    seen.ask(REQUEST, 60.0)
    before = shown(seen)
    seen.tell(Notice(kind, "detail"))
    assert (shown(seen) != before) is (kind is not NoticeKind.READER_STATUS)


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
        seen.finish(Ending(REQUEST, End.COMPLETED), float(number))
    history = shown(seen)["history"]
    assert len(history) == phone_view.HISTORY_SHOWN
    assert history[0]["at"] == phone_view.HISTORY_SHOWN + 4


# Files


async def test_the_history_is_read_back(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    assert await history.past_payments(10) == []
    endings = [
        Ending(REQUEST, End.COMPLETED, None, "1111"),
        Ending(OTHER, End.NOT_SETTLED, "wrong_pin", "1111"),
        Ending(OTHER, End.UNKNOWN),
    ]
    for number, ending in enumerate(endings):
        await history.record(ending, 1_800_000_000.0 + number)
    read = await history.past_payments(10)
    assert [past.ended_at for past in read] == [1_800_000_002.0, 1_800_000_001.0, 1_800_000_000.0]
    for past, ending in zip(read, reversed(endings), strict=True):
        assert ending_text(past.ending) == ending_text(ending)
        assert (past.ending.last_four, past.payment_id) == (ending.last_four, ending.request.payment_id)
    assert len(await history.past_payments(2)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"last_four": "4111111111111111"},
        {"last_four": "１２３４"},
        {"amount_minor": True},
        {"amount_minor": -1},
        {"currency": "XXY"},
        {"outcome": "paid"},
        {"payment_id": "../x"},
        {"ended_at": "yesterday"},
        {"merchant_name": 7},
    ],
    ids=str,
)
async def test_a_damaged_line_is_left_out(tmp_path: Path, change: dict[str, object]) -> None:
    history = HistoryFile(tmp_path)
    await history.record(Ending(REQUEST, End.COMPLETED, None, "1111"), 1_800_000_000.0)
    file = tmp_path / "payments.jsonl"
    good = file.read_text()
    bad = json.dumps({**json.loads(good), **change})
    file.write_text(f"{good}{bad}\nnot json\n[]\n{{}}\n{good[:40]}")
    assert len(await history.past_payments(10)) == 1
    assert past_payments.read_past_payments([], 1) == []


def test_preferences_are_kept(tmp_path: Path) -> None:
    store = PreferencesFile(tmp_path)
    assert store.load() == Preferences()
    wanted = Preferences(Language.JAPANESE, Theme.DARK, READER, (READER,))
    store.save(wanted)
    assert store.load() == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"theme":"pink"}',
        '{"language":"de"}',
        '{"reader":7}',
        '{"readers":7}',
        '{"readers":["x"]}',
    ],
)
def test_preferences_that_cannot_be_used_begin_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert PreferencesFile(tmp_path).load() == Preferences()


def test_a_browser_is_opened_where_it_has_a_window() -> None:
    assert not has_desktop({}, "linux")
    for environment in ({"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "wayland-0"}, {"BROWSER": "firefox"}):
        assert has_desktop(environment, "linux")
    assert has_desktop({}, "darwin")
    assert has_desktop({}, "win32")


# Languages


@pytest.mark.parametrize("table", ["STEPS", "NOTICES", "STATUSES", "REASONS", "ENDINGS", "PAGE"])
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
        for reason in [*NotSettled, "no_response", "unheard_of", None]:
            for end in End:
                happened, advice = ending_text(Ending(REQUEST, end, reason, "1111"), language)
                assert "JPY 1,200" in happened
                assert "田中珈琲店" in happened
                assert "{" not in happened + advice
                assert advice
        assert request_text(REQUEST, language).endswith("2 coffees")


def test_japanese_has_no_english_left() -> None:
    allowed = re.compile(r"Bluetooth|Blind Relay|handset-client( [a-z]+)*|--reader|\{\w+\}|\bL\b")
    for table in (japanese.STEPS, japanese.NOTICES, japanese.STATUSES, japanese.PAGE):
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
