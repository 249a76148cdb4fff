"""A peer that means harm: nothing but ERROR comes of it, and no more than one message is held."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.frames import (
    Ack,
    Alive,
    Cancel,
    CancelReason,
    Continue,
    ErrorCode,
    Failure,
    Hello,
    Nak,
    Resume,
    Start,
    parse,
)
from protocol.framing import Channel, Connected, Link, MessageReceived, PeerFailed, Role
from protocol.gatt import Status
from protocol.messages import MessageType

IDS = st.integers(1, 5) | st.integers(1, 255)
PIECES = st.binary(min_size=1, max_size=40)
OVER_BLUETOOTH = [kind for kind in MessageType if kind < 32]


@st.composite
def starts(draw: st.DrawFn) -> Start:
    """A START that the codec accepts."""
    piece, rest = draw(PIECES), draw(st.sampled_from([0, 0, 1, 40, 4000]))
    kind, ack = draw(st.sampled_from(OVER_BLUETOOTH)), draw(st.integers(0, 7))
    return Start(kind, draw(IDS), ack, len(piece) + rest, piece, not rest)


FRAMES = st.one_of(
    starts(),
    st.builds(Continue, st.integers(0, 63), PIECES, st.booleans()),
    st.builds(Resume, IDS, st.integers(0, 60)),
    st.builds(Nak, IDS, st.integers(0, 60)),
    st.builds(Ack, IDS),
    st.builds(
        lambda known, session, held_id, held: Hello(1, known, 244, session, held_id if held else 0, held),
        st.booleans(),
        st.integers(7, 9),
        IDS,
        st.integers(0, 60),
    ),
    st.builds(Alive, st.sampled_from(Status)),
    st.builds(Cancel, st.sampled_from(CancelReason)),
    st.builds(Failure, st.sampled_from(ErrorCode)),
).map(lambda frame: frame.encode())
STEPS = st.lists(
    st.one_of(FRAMES, FRAMES, FRAMES, st.binary(max_size=520), st.sampled_from(["timer", "send", "link"])),
    max_size=40,
)


def attacked(role: Role, steps: list[bytes | str]) -> None:
    """Feed the steps to one end, and check after each that it stands."""
    now = 0.0
    channel = Channel(role, session=7 if role is Role.CENTRAL else 0)
    channel.connected(now, 244)
    greeting = Hello(1, role is Role.CENTRAL, 244, 7, 0, 0).encode()
    assert channel.receive(greeting, now) == [Connected(resumed=False)]
    for step in steps:
        events = []
        if step == "timer":
            now = max(now, channel.deadline() or now)
            events = channel.handle_timer(now)
        elif step == "send":
            if channel.link is Link.OPEN and channel.idle:
                channel.send(MessageType.KEY_OFFER, bytes(700), now)
        elif step == "link":
            channel.disconnected(now)
            channel.connected(now, 100)
        else:
            assert isinstance(step, bytes)
            before = channel.link
            events = channel.receive(step, now)
            if PeerFailed(ErrorCode.FORMAT, told=False) in events and before is not Link.FAILED:
                assert parse(channel.values_to_send()[-1]) == Failure(ErrorCode.FORMAT)
        for event in events:
            if isinstance(event, MessageReceived):
                assert 1 <= len(event.payload) <= 4096
        for value in channel.values_to_send():
            parse(value)
            assert len(value) <= 244
        _, held = channel._inbox.held()
        assert held <= 4096


@given(STEPS)
@settings(deadline=None, max_examples=300)
def test_a_hostile_handset_stops_itself_only(steps: list[bytes | str]) -> None:
    attacked(Role.PERIPHERAL, steps)


@given(STEPS)
@settings(deadline=None, max_examples=300)
def test_a_hostile_reader_stops_itself_only(steps: list[bytes | str]) -> None:
    attacked(Role.CENTRAL, steps)


def test_a_message_that_never_ends_holds_no_more_than_it_may() -> None:
    channel = Channel(Role.PERIPHERAL)
    channel.connected(0.0, 244)
    channel.receive(Hello(1, False, 244, 7, 0, 0).encode(), 0.0)
    channel.receive(Start(MessageType.KEY_OFFER, 1, 0, 4096, b"x", False).encode(), 0.0)
    for index in range(1, 5000):
        channel.receive(Continue(index % 64, b"y", False).encode(), 0.0)
        assert channel._inbox.held()[1] <= 4096
    assert channel.link is Link.FAILED


def test_fragments_without_a_start_fill_nothing_and_are_answered_once() -> None:
    channel = Channel(Role.PERIPHERAL)
    channel.connected(0.0, 244)
    channel.receive(Hello(1, False, 244, 7, 0, 0).encode(), 0.0)
    channel.values_to_send()
    for index in range(1, 1000):
        assert channel.receive(Continue(index % 64, bytes(200), False).encode(), 0.0) == []
    assert [parse(value) for value in channel.values_to_send()] == [Nak(1, 0)]
    assert channel._inbox.held() == (0, 0)
