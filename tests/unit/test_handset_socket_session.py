"""The resumable session with the issuer, pure: numbering, repeating, forgetting."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handset_client.issuer_frames import Decline, DeclineReason, Json, ReaderUnavailable
from handset_client.issuer_session import (
    UNACKNOWLEDGED_LIMIT,
    Delivered,
    IssuerSession,
    OutOfStep,
    Welcomed,
)
from protocol.errors import LocalProtocolError, MessageError
from protocol.identifiers import PaymentId, mint

PAYMENT = PaymentId(mint("pay", bytes(16)))


def welcome(session: str = "s1", received: int = 0) -> Json:
    return {"type": "welcome", "session": session, "received": received, "phone": "+81901234567"}


def opened(session: str = "s1") -> IssuerSession:
    conversation = IssuerSession()
    conversation.hello()
    conversation.receive(welcome(session))
    return conversation


def test_the_first_hello_has_no_session() -> None:
    assert IssuerSession().hello() == {"type": "hello", "version": 1, "session": "", "received": 0}


def test_a_frame_is_numbered_sent_and_kept_until_acknowledged() -> None:
    conversation = opened()
    conversation.send({"type": "decline"})
    assert conversation.frames_to_send() == [{"type": "decline", "seq": 1}]
    assert not conversation.all_acknowledged
    conversation.receive({"type": "ack", "received": 1})
    assert conversation.all_acknowledged


def test_what_was_not_acknowledged_is_sent_again_in_order() -> None:
    conversation = opened()
    for name in "abc":
        conversation.send({"type": name})
    conversation.frames_to_send()
    conversation.receive({"type": "ack", "received": 1})
    conversation.disconnected()
    conversation.send({"type": "d"})
    assert conversation.hello()["session"] == "s1"
    assert conversation.receive(welcome(received=2)) == [Welcomed(False, "+81901234567", 0)]
    assert [(frame["type"], frame["seq"]) for frame in conversation.frames_to_send()] == [("c", 3), ("d", 4)]


def test_a_duplicate_is_acknowledged_and_not_delivered() -> None:
    conversation = opened()
    assert conversation.receive({"type": "x", "seq": 1}) == [Delivered({"type": "x", "seq": 1})]
    conversation.frames_to_send()
    assert conversation.receive({"type": "x", "seq": 1}) == []
    assert conversation.frames_to_send() == [{"type": "ack", "received": 1}]


def test_a_gap_is_out_of_step_and_nothing_is_delivered() -> None:
    conversation = opened()
    assert conversation.receive({"type": "x", "seq": 2}) == [OutOfStep(1, 2)]
    assert conversation.hello()["received"] == 0


def test_another_session_forgets_both_sides() -> None:
    conversation = opened("s1")
    conversation.send({"type": "from the old one"})
    conversation.receive({"type": "x", "seq": 1})
    conversation.disconnected()
    conversation.hello()
    assert conversation.receive(welcome("s2")) == [Welcomed(True, "+81901234567", 1)]
    assert conversation.frames_to_send() == []
    conversation.send({"type": "new"})
    assert conversation.frames_to_send() == [{"type": "new", "seq": 1}]
    assert conversation.receive({"type": "y", "seq": 1}) == [Delivered({"type": "y", "seq": 1})]


@pytest.mark.parametrize(
    "word",
    [
        Decline(PAYMENT, DeclineReason.DECLINED),
        Decline(PAYMENT, DeclineReason.DECLINED, block_merchant=True),
        ReaderUnavailable(PAYMENT),
    ],
    ids=["decline", "block", "no reader"],
)
def test_a_no_outlives_the_session(word: Decline | ReaderUnavailable) -> None:
    no = word.to_json()
    conversation = opened("s1")
    conversation.send({"type": "from the old one"})
    conversation.send(no)
    conversation.disconnected()
    conversation.hello()
    assert conversation.receive(welcome("s2")) == [Welcomed(True, "+81901234567", 1)]
    assert conversation.frames_to_send() == [{**no, "seq": 1}]
    assert conversation.unheard == {PAYMENT}
    conversation.receive({"type": "ack", "received": 1})
    conversation.disconnected()
    conversation.hello()
    conversation.receive(welcome("s3"))
    assert conversation.frames_to_send() == []  # said once: it may have been taken back since


def test_what_was_said_before_the_first_session_is_not_lost() -> None:
    conversation = IssuerSession()
    conversation.send({"type": "early"})
    conversation.hello()
    assert conversation.receive(welcome())[0] == Welcomed(True, "+81901234567", 0)
    assert conversation.frames_to_send() == [{"type": "early", "seq": 1}]


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": "ack", "received": 0},
        {"type": "x", "seq": 1},
        {"type": "welcome"},
        {"type": "welcome", "session": "", "received": 0, "phone": "+81"},
        {"type": "welcome", "session": "s" * 201, "received": 0, "phone": "+81"},
        {"type": "welcome", "session": 1, "received": 0, "phone": "+81"},
        {"type": "welcome", "session": "s", "received": -1, "phone": "+81"},
        {"type": "welcome", "session": "s", "received": True, "phone": "+81"},
        {"type": "welcome", "session": "s", "received": 0, "phone": None},
    ],
)
def test_a_bad_welcome_is_refused(frame: Json) -> None:
    conversation = IssuerSession()
    conversation.hello()
    with pytest.raises(MessageError):
        conversation.receive(frame)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "welcome", "session": "s", "received": 0, "phone": "+81"},
        {"type": "ack", "received": 1},
        {"type": "ack"},
        {"type": "x"},
        {"type": "x", "seq": "1"},
        {"type": "x", "seq": 1.0},
        {"type": "x", "seq": 2**60},
    ],
)
def test_a_bad_frame_is_refused(frame: Json) -> None:
    with pytest.raises(MessageError):
        opened().receive(frame)


def test_spinning_is_noticed() -> None:
    conversation = opened()
    for _ in range(UNACKNOWLEDGED_LIMIT):
        conversation.send({"type": "x"})
    with pytest.raises(LocalProtocolError):
        conversation.send({"type": "x"})


@given(st.lists(st.sampled_from(["send", "deliver", "ack", "cut"]), max_size=60))
def test_every_frame_arrives_once_and_in_order_however_the_socket_is_cut(actions: list[str]) -> None:
    conversation, arrived, numbers = opened(), [], itertools.count()
    wire: list[Json] = []
    for action in [*actions, "cut", "deliver"]:
        wire += conversation.frames_to_send()
        match action:
            case "send":
                conversation.send({"type": "x", "n": next(numbers)})
            case "deliver":
                for frame in wire:
                    if frame["seq"] == len(arrived) + 1:
                        arrived.append(frame["n"])
                wire = []
            case "ack":
                conversation.receive({"type": "ack", "received": len(arrived)})
            case "cut":
                wire = []
                conversation.disconnected()
                conversation.hello()
                conversation.receive(welcome(received=len(arrived)))
                wire += conversation.frames_to_send()
    assert arrived == list(range(next(numbers)))


def test_what_the_issuer_did_not_acknowledge_it_may_not_have_heard() -> None:
    conversation = opened()
    conversation.send(Decline(PAYMENT, DeclineReason.DECLINED).to_json())
    conversation.frames_to_send()
    conversation.disconnected()
    assert conversation.unheard == {PAYMENT}
    conversation.hello()
    conversation.receive({**welcome("s1"), "received": 1})
    assert conversation.unheard == frozenset()
