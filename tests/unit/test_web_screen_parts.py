"""The page's parts without a server: the door, the commands, the files."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handset_client import past_payments
from handset_client.adapters.desktop_browser import has_desktop
from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.loopback_peer import is_stranger, owner_of
from handset_client.adapters.preferences_file import FILE_NAME, PreferencesFile
from handset_client.effects import End, Ending
from handset_client.issuer_frames import PaymentRequest
from handset_client.page_commands import CommandError, parse_command
from handset_client.page_door import LINK_LIVES, MOST_LINKS, MOST_SESSIONS, Door
from handset_client.preferences import Preferences, Theme
from handset_client.wording import (
    Language,
    ending_text,
)
from protocol.identifiers import PaymentId, mint, parse_reader_id
from protocol.money import Money, currency

P1, P2, P3 = (PaymentId(mint("pay", bytes([number]) * 16)) for number in (1, 2, 3))
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
    session = shut.exchange(first, "mine", LINK_LIVES - 1)
    assert session is not None
    assert shut.exchange(first, "another's", LINK_LIVES - 1) is None
    assert shut.exchange(second, "mine", LINK_LIVES) is None
    assert shut.exchange("", "mine", 0.0) is None
    assert shut.knows(session.cookie)
    assert shut.admits(session.cookie, session.key)
    assert not shut.admits(session.cookie, session.cookie)
    assert not shut.admits(session.key, session.key)
    assert not shut.admits(None, session.key)
    assert not shut.knows("")


def test_a_page_that_was_reloaded_before_its_answer_came_says_its_word_again() -> None:
    shut = door()
    link = shut.new_link(0.0)
    lost, got = shut.exchange(link, "mine", 0.0), shut.exchange(link, "mine", 1.0)
    assert lost is not None
    assert got is not None
    assert not shut.knows(lost.cookie)
    assert shut.admits(got.cookie, got.key)
    assert shut.exchange(link, "mine", LINK_LIVES) is None
    assert shut.exchange(link, "", 2.0) is None


def test_only_the_newest_links_and_sessions_count() -> None:
    shut = door()
    links = [shut.new_link(0.0) for _ in range(MOST_LINKS + 1)]
    assert shut.exchange(links[0], "mine", 0.0) is None
    sessions = []
    for _ in range(MOST_SESSIONS + 1):
        session = shut.exchange(shut.new_link(0.0), "mine", 0.0)
        assert session is not None
        sessions.append(session)
    assert [shut.knows(session.cookie) for session in sessions] == [False] + [True] * MOST_SESSIONS


def test_a_session_shows_no_secret() -> None:
    shut = door()
    session = shut.exchange(shut.new_link(0.0), "mine", 0.0)
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
    assert is_stranger(("127.0.0.1", 1), ours)  # who is not in the table is not let in


@pytest.mark.skipif(sys.byteorder != "little", reason="the table is one of a little-endian machine")
def test_the_owner_of_an_ipv6_socket_is_read_as_well() -> None:
    mapped, loopback = "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"
    lines = [
        f"0: {address}:C350 {address}:BAF4 01 00000000:00000000 00:00000000 00000000 {owner} 0 2 1 0 20 4"
        for address, owner in ((mapped, 1001), (loopback, 1002))
    ]
    assert owner_of(lines, ("127.0.0.1", 50000), ("127.0.0.1", 47860)) == 1001
    assert owner_of(lines, ("::ffff:127.0.0.1", 50000), ("127.0.0.1", 47860)) == 1001
    assert owner_of(lines, ("::1", 50000), ("::1", 47860)) == 1002


CHILD = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
with socket.socket(getattr(socket, sys.argv[1])) as client:
    client.connect((sys.argv[2], int(sys.argv[3])))
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("family", "to"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::ffff:127.0.0.1")])
def test_a_program_of_another_user_is_a_stranger_over_both_families(family: str, to: str) -> None:
    if family == "AF_INET6" and not Path("/proc/net/tcp6").exists():
        pytest.skip("this kernel has no IPv6")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        ours = server.getsockname()
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", CHILD, family, to, str(ours[1])], stdin=subprocess.PIPE
        )
        try:
            connection, peer = server.accept()
            with connection:
                assert is_stranger(peer, ours)
        finally:
            child.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says whose a connection is")
def test_our_own_connection_from_an_ipv6_socket_is_no_strangers() -> None:
    if not Path("/proc/net/tcp6").exists():
        pytest.skip("this kernel has no IPv6")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
        connection, peer = server.accept()
        with connection:
            assert not is_stranger(peer, server.getsockname())


# Commands


def junk() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy with something else
@given(
    st.sampled_from(["hello", "press", "done", "set_language", "set_theme", "set_reader", "x", 1, None]),
    st.dictionaries(st.sampled_from(["key", "payment_id", "approved", "block", "value"]), junk()),
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


# Files


async def test_the_history_is_read_back(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    assert await history.past_payments(10) == []
    endings = [
        Ending(REQUEST, End.COMPLETED, None, "1111"),
        Ending(OTHER, End.NOT_SETTLED, "wrong_pin", "1111"),
        Ending(replace(OTHER, payment_id=P3), End.UNKNOWN),
    ]
    for number, ending in enumerate(endings):
        await history.record(ending, 1_800_000_000.0 + number)
    read = await history.past_payments(10)
    assert [past.ended_at for past in read] == [1_800_000_002.0, 1_800_000_001.0, 1_800_000_000.0]
    for past, ending in zip(read, reversed(endings), strict=True):
        assert ending_text(past.ending) == ending_text(ending)
        assert (past.ending.last_four, past.payment_id) == (ending.last_four, ending.request.payment_id)
    assert len(await history.past_payments(2)) == 2


async def test_a_payment_that_ended_anew_stands_at_its_new_time(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    await history.record(Ending(REQUEST, End.UNKNOWN), 1_800_000_000.0)
    await history.record(Ending(OTHER, End.COMPLETED, None, "1111"), 1_800_000_001.0)
    await history.record(Ending(REQUEST, End.COMPLETED, None, "1111"), 1_800_000_002.0)
    read = await history.past_payments(10)
    assert [(past.payment_id, past.ended_at) for past in read] == [
        (P1, 1_800_000_002.0),
        (P2, 1_800_000_001.0),
    ]


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
