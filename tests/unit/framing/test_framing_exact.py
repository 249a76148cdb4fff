"""Counts, clocks and edges to the last digit: what a change of one sign or one number would alter."""

from __future__ import annotations

import pytest

from protocol.errors import FramingError, LocalProtocolError
from protocol.fragments import Duplicate, Inbox, Outbox, Whole
from protocol.frames import Ack, Continue, Failure, Hello, Nak, Resume, Start, ack_tag, parse
from protocol.framing import (
    ACK_DELAY,
    GREETING_WITHIN,
    MOST_TRIES,
    RESEND_AFTER,
    SECONDS_PER_VALUE,
    STALL_AFTER,
    Channel,
    Delivered,
    ErrorCode,
    Link,
    MessageReceived,
    PeerFailed,
    Role,
    SessionLost,
)
from protocol.messages import MessageType

OFFER, HELLO = MessageType.KEY_OFFER, MessageType.READER_HELLO
SMALL = 20


def greeting(session: int = 7, *, known: bool = False, held_id: int = 0, held: int = 0) -> bytes:
    return Hello(1, known, SMALL, session, held_id, held).encode()


def open_central(now: float = 100.0, session: int = 7) -> Channel:
    channel = Channel(Role.CENTRAL, session=session)
    channel.connected(now, SMALL)
    channel.values_to_send()
    channel.receive(greeting(session, known=True), now)
    assert channel.link is Link.OPEN
    return channel


def open_peripheral(now: float = 100.0) -> Channel:
    channel = Channel(Role.PERIPHERAL)
    channel.connected(now, SMALL)
    channel.receive(greeting(), now)
    channel.values_to_send()
    assert channel.link is Link.OPEN
    return channel


def start(size: int, message_id: int = 1, *, ack: int = 0, kind: MessageType = OFFER) -> bytes:
    """The START of a message of so many bytes."""
    head = b"x" * min(size, SMALL - 4)
    return Start(kind, message_id, ack, size, head, last=len(head) == size).encode()


def test_how_many_values_are_left() -> None:
    outbox = Outbox()
    assert outbox.fragments_left(SMALL) == 0
    outbox.put(OFFER, bytes(40))
    assert outbox.fragments_left(SMALL) == 4  # 40 bytes in pieces of 19, and one value more for a header
    outbox.drain(SMALL, 0)
    assert outbox.fragments_left(SMALL) == 1
    assert outbox.rewind(16)
    assert outbox.fragments_left(SMALL) == 3
    outbox.rewind(2)
    assert outbox.fragments_left(SMALL) == 3  # 38 bytes are two pieces to the last byte
    outbox.rewind(1)
    assert outbox.fragments_left(SMALL) == 4


def test_only_the_message_under_way_is_acknowledged() -> None:
    outbox = Outbox()
    assert not outbox.acknowledge(0)
    first = outbox.put(OFFER, b"1")
    assert not outbox.acknowledge(0)
    assert not outbox.acknowledge(first + 1)
    assert outbox.acknowledge(first)
    assert not outbox.acknowledge(first)


def test_an_offset_is_within_the_message_and_progress_is_beyond_what_was_named() -> None:
    outbox = Outbox()
    outbox.put(OFFER, bytes(40))
    assert [outbox.rewind(offset) for offset in (0, 16, 16, 10, 39)] == [False, True, False, False, True]
    for beyond in (40, 41):
        with pytest.raises(FramingError) as refused:
            outbox.rewind(beyond)
        assert refused.value.code == ErrorCode.SEQUENCE


def whole_inbox() -> Inbox:
    """It holds message 1, whole."""
    inbox = Inbox()
    assert inbox.start(Start(OFFER, 1, 0, 3, b"abc", True)) == Whole(1, OFFER, b"abc")
    return inbox


def partial_inbox() -> Inbox:
    """It holds 16 of 40 bytes of message 1."""
    inbox = Inbox()
    assert inbox.start(Start(OFFER, 1, 0, 40, b"x" * 16, False)) is None
    return inbox


def test_fragments_of_a_message_that_is_here_are_passed_over_in_silence() -> None:
    for again in (Start(OFFER, 1, 0, 3, b"a", False), Resume(1, 1)):
        inbox = whole_inbox()
        arrival = inbox.start(again) if isinstance(again, Start) else inbox.resume(again)
        assert arrival == Duplicate(1)
        assert inbox.go_on(Continue(1, b"bc", True)) is None
        # On another link nothing of it can be on its way: what comes is of the next, and lacks its START.
        inbox.link_lost()
        assert inbox.go_on(Continue(1, b"bc", True)) == Nak(2, 0)


def test_a_fragment_that_outlived_its_link_is_passed_over() -> None:
    inbox = partial_inbox()
    inbox.link_lost()
    assert inbox.go_on(Continue(1, b"y" * 19, False)) is None
    assert inbox.held() == (1, 16)
    assert inbox.resume(Resume(1, 16)) is None
    assert inbox.go_on(Continue(1, b"y" * 19, False)) is None
    assert inbox.held() == (1, 35)
    assert inbox.go_on(Continue(2, b"z" * 5, True)) == Whole(1, OFFER, b"x" * 16 + b"y" * 19 + b"z" * 5)


def test_a_resume_of_what_never_began_asks_for_all_of_it() -> None:
    assert Inbox().resume(Resume(1, 5)) == Nak(1, 0)
    inbox = partial_inbox()
    assert inbox.resume(Resume(1, 17)) == Nak(1, 16)
    assert inbox.go_on(Continue(1, b"y" * 19, False)) is None
    assert inbox.held() == (1, 16)
    with pytest.raises(FramingError):
        inbox.resume(Resume(2, 0))


def test_a_central_must_name_its_session() -> None:
    with pytest.raises(LocalProtocolError):
        Channel(Role.CENTRAL)
    assert Channel(Role.PERIPHERAL).session == 0
    assert Channel(Role.PERIPHERAL, session=5).session == 0


@pytest.mark.parametrize("size", [4, 5, 15, 20])
def test_another_versions_hello_is_known_as_such_whatever_its_length(size: int) -> None:
    header = (0x80 | 0x40 | 1, 0, 0, size - 4)
    with pytest.raises(FramingError) as refused:
        parse(bytes(header) + bytes([2] * (size - 4)))
    assert refused.value.code == ErrorCode.VERSION
    with pytest.raises(FramingError) as refused:
        parse(bytes((*header[:3], 17)) + bytes([2] * 17))
    assert refused.value.code == ErrorCode.FORMAT


def test_hello_is_said_again_after_exactly_so_long_and_so_often() -> None:
    channel = Channel(Role.CENTRAL, session=7)
    channel.connected(100.0, SMALL)
    now = 100.0
    for _ in range(MOST_TRIES):
        assert [type(parse(value)) for value in channel.values_to_send()] == [Hello]
        now += RESEND_AFTER
        assert channel.deadline() == now
        assert channel.handle_timer(now - 0.001) == []
        assert channel.values_to_send() == []
        assert channel.handle_timer(now) == []
    assert [type(parse(value)) for value in channel.values_to_send()] == [Hello]
    assert channel.handle_timer(now + RESEND_AFTER) == [PeerFailed(ErrorCode.TIMEOUT, False)]
    waiting = Channel(Role.PERIPHERAL)
    waiting.connected(100.0, SMALL)
    assert waiting.deadline() == 100.0 + GREETING_WITHIN


def test_a_message_is_sent_again_after_exactly_so_long_and_so_often() -> None:
    for channel in (open_central(), open_peripheral()):
        channel.send(OFFER if channel.session else HELLO, bytes(40), 100.0)
        assert channel.deadline() == 100.0 + RESEND_AFTER + 4 * SECONDS_PER_VALUE
        now, sent = 100.0, channel.values_to_send()
        for _ in range(MOST_TRIES):
            now = channel.deadline() or 0.0
            assert channel.handle_timer(now) == []
            assert channel.values_to_send() == sent
            assert channel.deadline() == now + RESEND_AFTER + 4 * SECONDS_PER_VALUE
        assert channel.handle_timer(channel.deadline() or 0.0) == [PeerFailed(ErrorCode.TIMEOUT, False)]


def test_an_acknowledgement_of_something_else_is_no_news() -> None:
    channel = open_central()
    message_id = channel.send(OFFER, bytes(40), 100.0)
    channel.values_to_send()
    due = channel.deadline()
    assert channel.receive(Ack(message_id + 1).encode(), 101.0) == []
    assert channel.deadline() == due
    # A START that acknowledges nothing delivers its own message and leaves ours on its clock.
    assert channel.receive(start(3, kind=HELLO), 101.0) == [MessageReceived(HELLO, b"xxx")]
    assert channel.deadline() == 101.0 + ACK_DELAY
    channel.handle_timer(101.0 + ACK_DELAY)
    assert channel.deadline() == due
    assert channel.receive(Ack(message_id).encode(), 101.5) == [Delivered(message_id)]
    assert channel.deadline() is None
    assert channel.receive(Ack(message_id).encode(), 101.5) == []


def test_a_start_that_acknowledges_stops_the_clock() -> None:
    channel = open_central()
    message_id = channel.send(OFFER, bytes(10), 100.0)
    channel.values_to_send()
    events = channel.receive(start(3, ack=ack_tag(message_id), kind=HELLO), 101.0)
    assert events == [Delivered(message_id), MessageReceived(HELLO, b"xxx")]
    assert channel.deadline() == 101.0 + ACK_DELAY


def test_a_start_that_acknowledges_starts_the_next_messages_clock() -> None:
    channel = open_central()
    first = channel.send(OFFER, bytes(10), 100.0)
    second = channel.send(OFFER, bytes(40), 100.0)
    channel.values_to_send()
    channel.receive(start(3, ack=ack_tag(first), kind=HELLO), 101.0)
    channel.handle_timer(101.0 + ACK_DELAY)
    assert channel.deadline() == 101.0 + RESEND_AFTER + 4 * SECONDS_PER_VALUE
    assert channel.receive(Ack(second).encode(), 102.0) == [Delivered(second)]


@pytest.mark.parametrize("role", list(Role))
def test_the_clock_of_a_message_starts_anew_with_the_link(role: Role) -> None:
    channel = open_central() if role is Role.CENTRAL else open_peripheral()
    channel.send(OFFER, bytes(40), 100.0)
    channel.values_to_send()
    channel.handle_timer(channel.deadline() or 0.0)
    channel.values_to_send()
    channel.disconnected(110.0)
    assert channel.deadline() is None
    channel.connected(120.0, SMALL)
    channel.values_to_send()
    channel.receive(greeting(known=True, held_id=1, held=16), 121.0)
    # 24 bytes are left, with one value for the RESUME.
    assert channel.deadline() == 121.0 + RESEND_AFTER + 3 * SECONDS_PER_VALUE
    # And all the tries are there again.
    for _ in range(MOST_TRIES):
        assert channel.handle_timer(channel.deadline() or 0.0) == []
    assert channel.handle_timer(channel.deadline() or 0.0) == [PeerFailed(ErrorCode.TIMEOUT, False)]


@pytest.mark.parametrize("role", list(Role))
def test_the_rest_is_asked_for_after_exactly_so_long_and_so_often(role: Role) -> None:
    channel = open_central() if role is Role.CENTRAL else open_peripheral()
    # A whole message first: the count of silences begins with each anew.
    channel.receive(start(30), 100.0)
    for _ in range(MOST_TRIES):
        channel.handle_timer(channel.deadline() or 0.0)
    channel.receive(Resume(1, 16).encode(), 130.0)
    assert channel.receive(Continue(1, b"y" * 14, True).encode(), 130.0) == [
        MessageReceived(OFFER, b"x" * 16 + b"y" * 14)
    ]
    channel.handle_timer(130.0 + ACK_DELAY)
    channel.values_to_send()
    channel.receive(start(40, 2), 200.0)
    now = 200.0
    for _ in range(MOST_TRIES):
        now += STALL_AFTER
        assert channel.deadline() == now
        assert channel.handle_timer(now) == []
        assert channel.values_to_send() == [Nak(2, 16).encode()]
    assert channel.handle_timer(now + STALL_AFTER) == [PeerFailed(ErrorCode.TIMEOUT, False)]
    assert channel.values_to_send() == [Failure(ErrorCode.TIMEOUT).encode()]


def test_a_peer_that_asks_for_the_same_again_and_again_is_given_up() -> None:
    channel = open_central()
    message_id = channel.send(OFFER, bytes(60), 100.0)
    channel.values_to_send()
    for offset in (16, 35):  # a step forward each: the count begins anew
        for _ in range(MOST_TRIES + 1):
            assert channel.receive(Nak(message_id, offset).encode(), 101.0) == []
            assert parse(channel.values_to_send()[0]) == Resume(message_id, offset)
    assert channel.receive(Nak(message_id, 35).encode(), 101.0) == [PeerFailed(ErrorCode.TIMEOUT, False)]
    assert channel.values_to_send() == [Failure(ErrorCode.TIMEOUT).encode()]
    other = open_central()
    assert other.receive(Nak(9, 0).encode(), 101.0) == []


def test_a_session_that_is_lost_is_followed_by_another_with_all_its_tries() -> None:
    channel = open_central(session=0xFFFFFFFF)
    channel.disconnected(110.0)
    channel.connected(120.0, SMALL)
    for _ in range(MOST_TRIES):
        channel.handle_timer(channel.deadline() or 0.0)
    assert channel.receive(greeting(0xFFFFFFFF), 140.0) == [SessionLost()]
    assert channel.session == 1
    assert channel.deadline() == 140.0 + RESEND_AFTER
    for _ in range(MOST_TRIES):
        assert channel.handle_timer(channel.deadline() or 0.0) == []
    assert channel.handle_timer(channel.deadline() or 0.0) == [PeerFailed(ErrorCode.TIMEOUT, False)]
    assert channel.session == 2


def test_a_peripheral_whose_session_failed_has_none() -> None:
    channel = open_peripheral()
    assert channel.receive(Failure(ErrorCode.SEQUENCE).encode(), 101.0) == [
        PeerFailed(ErrorCode.SEQUENCE, True)
    ]
    assert channel.session == 0
    assert channel.values_to_send() == []
