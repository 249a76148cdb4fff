"""The resumable conversation with one phone, without a socket."""

from __future__ import annotations

import json

import pytest

from issuer_server.handset_session import MOST_UNACKNOWLEDGED, HandsetSession, SessionBroken


def test_the_session_numbers_and_keeps() -> None:
    session = HandsetSession("s")
    for text in (b'{"type":"a"}', b'{"type":"b"}', b'{"type":"c"}'):
        session.push(text)
    assert [json.loads(text)["seq"] for _, text in session.frames_after(0)] == [1, 2, 3]
    session.acknowledge(2)
    session.acknowledge(1)  # late, and no harm
    assert [seq for seq, _ in session.frames_after(0)] == [3]
    assert session.can_resume(2)
    assert session.can_resume(3)
    for impossible in (1, 4, -1, "2", None, True):
        assert not session.can_resume(impossible)


def test_the_session_takes_each_frame_once_and_none_out_of_order() -> None:
    session = HandsetSession("s")
    assert session.is_new(1)
    session.took(1)
    assert not session.is_new(1)
    session.took(1)
    assert session.received == 1
    for impossible in (3, 0, -1, "2", None, 2.0):
        with pytest.raises(SessionBroken):
            session.is_new(impossible)


def test_the_session_has_a_bound() -> None:
    session = HandsetSession("s")
    for _ in range(MOST_UNACKNOWLEDGED):
        session.push(b"{}")
    with pytest.raises(SessionBroken):
        session.push(b"{}")
