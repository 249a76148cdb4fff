"""The channel on a link that stays up: messages, acknowledgements, gaps, silence, failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from protocol import frames
from protocol.errors import LocalProtocolError
from protocol.frames import Ack, Continue, Nak, Resume, Start, parse
from protocol.framing import (
    ACK_DELAY,
    MOST_TRIES,
    RESEND_AFTER,
    Cancelled,
    CancelReason,
    Channel,
    Delivered,
    ErrorCode,
    KeepAlive,
    Link,
    MessageReceived,
    PeerFailed,
    Role,
)
from protocol.gatt import Status, largest_value
from protocol.messages import MessageType

if TYPE_CHECKING:
    from conftest import Pair

Message = Callable[[int], bytes]
OFFER, HELLO = MessageType.KEY_OFFER, MessageType.READER_HELLO
ROLES = pytest.mark.parametrize("role", list(Role))


@ROLES
@pytest.mark.parametrize("size", [1, 240, 241, 4096])
def test_a_message_arrives_whole_and_once(pair: Pair, message: Message, role: Role, size: int) -> None:
    sender, receiver = pair.side(role), pair.other(pair.side(role))
    message_id = sender.channel.send(OFFER, message(size), pair.now)
    pair.finish()
    assert receiver.told() == [MessageReceived(OFFER, message(size))]
    assert sender.told() == [Delivered(message_id)]
    assert pair.central.channel.idle
    assert pair.peripheral.channel.idle


def test_every_mtu_carries_every_size(new_pair: Callable[[], Pair], message: Message) -> None:
    """Value sizes for MTU 23 to 517: at the edges of one and two fragments, and the largest message."""
    for mtu in range(23, 518):
        largest = largest_value(mtu)
        pair = new_pair().open(largest)
        sizes = [1, largest - 4, largest - 3, largest - 4 + largest - 1, largest - 4 + largest, 4096]
        for size in sizes:
            pair.central.channel.send(OFFER, message(size), pair.now)
            pair.settle()
            pair.peripheral.channel.send(HELLO, message(size), pair.now)
            pair.settle()
        assert pair.peripheral.received() == pair.central.received() == [message(size) for size in sizes]
        values = pair.central.values + pair.peripheral.values
        assert max(map(len, values)) == largest
        expected = sum(
            1 if size <= largest - 4 else 1 - (largest - 4 - size) // (largest - 1) for size in sizes
        )
        assert len(values) == 2 * expected  # each message is the other's acknowledgement


def test_fragments_of_one_byte_make_the_same_message(pair: Pair, message: Message) -> None:
    """Byte by byte: a peer may send fragments as short as it likes."""
    body = message(300)
    channel = pair.peripheral.channel
    events = channel.receive(Start(OFFER, 1, 0, 300, body[:1], False).encode(), pair.now)
    for position in range(1, 300):
        assert events == []
        frame = Continue(position % 64, body[position : position + 1], position == 299)
        events = channel.receive(frame.encode(), pair.now)
    assert events == [MessageReceived(OFFER, body)]


def test_the_next_message_is_the_acknowledgement(pair: Pair) -> None:
    first = pair.peripheral.channel.send(HELLO, b"hello", pair.now)
    pair.settle()
    pair.central.channel.send(OFFER, b"offer", pair.now)
    pair.settle()
    assert pair.peripheral.told() == [Delivered(first), MessageReceived(OFFER, b"offer")]
    assert all(isinstance(parse(value), Start) for value in pair.central.values + pair.peripheral.values)


def test_without_a_message_an_ack_follows_after_the_delay(pair: Pair) -> None:
    pair.peripheral.channel.send(HELLO, b"hello", pair.now)
    pair.settle()
    assert pair.central.channel.deadline() == pair.now + ACK_DELAY
    assert pair.central.channel.handle_timer(pair.now + ACK_DELAY / 2) == []
    assert pair.central.channel.values_to_send() == []
    pair.wait(pair.central)
    assert [parse(value) for value in pair.central.values] == [Ack(1)]
    pair.settle()
    assert Delivered(1) in pair.peripheral.told()


def test_messages_that_cross_are_no_acknowledgement_of_each_other(pair: Pair) -> None:
    for side in (pair.central, pair.peripheral):
        side.channel.send(OFFER, b"earlier", pair.now)
        pair.finish()
    assert (pair.central.told(), pair.peripheral.told()) != ([], [])
    pair.central.channel.send(OFFER, b"to reader", pair.now)
    pair.peripheral.channel.send(HELLO, b"to phone", pair.now)
    pair.drain()
    pair.deliver_one(pair.central, lost=True)
    pair.deliver_one(pair.peripheral)
    assert pair.central.told() == [MessageReceived(HELLO, b"to phone")]  # and not Delivered
    pair.finish()
    assert pair.peripheral.received() == [b"to reader"]
    assert Delivered(2) in pair.central.told()


def test_one_message_at_a_time_and_the_rest_in_order(pair: Pair) -> None:
    for number in range(8):
        pair.central.channel.send(OFFER, bytes([number]), pair.now)
    with pytest.raises(LocalProtocolError):
        pair.central.channel.send(OFFER, b"9", pair.now)
    pair.drain()
    assert len(pair.central.flying) == 1
    pair.finish()
    assert pair.peripheral.received() == [bytes([number]) for number in range(8)]


def test_message_ids_wrap(pair: Pair) -> None:
    received: list[bytes] = []
    for number in range(600):
        sender = pair.central if number % 3 else pair.peripheral
        message_id = sender.channel.send(OFFER, number.to_bytes(2, "big"), pair.now)
        assert 1 <= message_id <= 255
        pair.finish()
        received += pair.other(sender).received()
        assert pair.other(sender).told() == [MessageReceived(OFFER, number.to_bytes(2, "big"))]
        assert sender.told() == [Delivered(message_id)]
    assert received == [number.to_bytes(2, "big") for number in range(600)]


def test_a_resume_beyond_what_is_here_is_asked_for_again(pair: Pair, message: Message) -> None:
    """The answer to an old NAK, after a restart that was itself cut short."""
    channel = pair.peripheral.channel
    channel.receive(Start(OFFER, 1, 0, 300, message(300)[:50], False).encode(), pair.now)
    for frame in (Resume(1, 60), Continue(1, message(300)[60:], True)):
        assert channel.receive(frame.encode(), pair.now) == []
    assert [parse(value) for value in channel.values_to_send()] == [Nak(1, 50)]
    channel.receive(Resume(1, 40).encode(), pair.now)
    events = channel.receive(Continue(1, message(300)[40:], True).encode(), pair.now)
    assert events == [MessageReceived(OFFER, message(300))]


@ROLES
@pytest.mark.parametrize("largest", [20, 244])
def test_any_one_lost_fragment_is_asked_for_and_sent_again(
    new_pair: Callable[[], Pair], message: Message, role: Role, largest: int
) -> None:
    body = message(2000)
    for lost in range(1 + -(-(2000 - largest + 4) // (largest - 1))):
        pair = new_pair().open(largest)
        sender, receiver = pair.side(role), pair.other(pair.side(role))
        message_id = sender.channel.send(OFFER, body, pair.now)
        for number in range(lost + 1):
            assert pair.deliver_one(sender, lost=number == lost)
        pair.finish()
        assert receiver.received() == [body]
        assert sender.told() == [Delivered(message_id)]
        # What was there before the gap was not sent again.
        assert sum(map(len, sender.values)) < 2000 * 2 + 500


def test_a_gap_is_asked_for_once_and_late_fragments_do_not_fit_in(pair: Pair, message: Message) -> None:
    pair.central.channel.send(OFFER, message(4096), pair.now)
    pair.deliver_one(pair.central)
    pair.deliver_one(pair.central, lost=True)
    for _ in range(3):
        pair.deliver_one(pair.central)
    assert [parse(value) for value in pair.peripheral.values] == [Nak(1, 240)]


def test_a_lost_start_is_asked_for_once(pair: Pair, message: Message) -> None:
    pair.central.channel.send(OFFER, message(4096), pair.now)
    pair.deliver_one(pair.central, lost=True)
    for _ in range(3):
        pair.deliver_one(pair.central)
    assert [parse(value) for value in pair.peripheral.values] == [Nak(1, 0)]
    pair.finish()
    assert pair.peripheral.received() == [message(4096)]


def test_silence_inside_a_message_is_a_stall(pair: Pair, message: Message) -> None:
    pair.central.channel.send(OFFER, message(1000), pair.now)
    while len(pair.central.flying) > 1 or not pair.central.values:
        pair.deliver_one(pair.central)
    pair.deliver_one(pair.central, lost=True)
    pair.wait(pair.peripheral)
    assert isinstance(parse(pair.peripheral.values[-1]), Nak)
    pair.settle()
    assert pair.peripheral.received() == [message(1000)]


def test_a_peer_that_is_slow_but_goes_on_is_waited_for(pair: Pair, message: Message) -> None:
    channel, body = pair.peripheral.channel, message(40)
    channel.receive(Start(OFFER, 1, 0, 40, body[:1], False).encode(), pair.now)
    for position in range(1, 40):
        pair.wait(pair.peripheral)
        assert channel.receive(Resume(1, position).encode(), pair.now) == []
        frame = Continue(1, body[position : position + 1], position == 39)
        events = channel.receive(frame.encode(), pair.now)
    assert events == [MessageReceived(OFFER, body)]


def test_a_peer_that_never_goes_on_is_given_up(pair: Pair, message: Message) -> None:
    pair.central.channel.send(OFFER, message(1000), pair.now)
    pair.deliver_one(pair.central)
    pair.central.flying.clear()
    for _ in range(MOST_TRIES + 1):
        pair.peripheral.flying.clear()
        pair.wait(pair.peripheral)
    assert pair.peripheral.told() == [PeerFailed(ErrorCode.TIMEOUT, told=False)]


def test_a_lost_acknowledgement_costs_a_resend_and_no_second_delivery(pair: Pair) -> None:
    pair.central.channel.send(OFFER, b"once", pair.now)
    pair.settle()
    pair.wait(pair.peripheral)
    pair.deliver_one(pair.peripheral, lost=True)
    sent_at = pair.now
    pair.wait(pair.central)
    assert pair.now >= sent_at + RESEND_AFTER - ACK_DELAY
    pair.settle()
    assert pair.peripheral.received() == [b"once"]
    assert pair.central.told() == [Delivered(1)]
    assert pair.central.channel.deadline() is None


def test_a_message_that_is_never_acknowledged_is_given_up(pair: Pair) -> None:
    pair.central.channel.send(OFFER, b"void", pair.now)
    for _ in range(MOST_TRIES + 1):
        pair.central.flying.clear()
        pair.wait(pair.central)
    assert pair.central.told() == [PeerFailed(ErrorCode.TIMEOUT, told=False)]
    assert pair.central.channel.link is Link.FAILED
    with pytest.raises(LocalProtocolError):
        pair.central.channel.send(OFFER, b"more", pair.now)


def test_a_slow_link_has_time_for_every_value_before_a_resend(pair: Pair, message: Message) -> None:
    pair.central.channel.send(OFFER, message(4096), pair.now)
    deadline = pair.central.channel.deadline()
    assert deadline is not None
    assert deadline - pair.now > RESEND_AFTER + 17 * 0.09


def test_cancel_and_keepalive_reach_the_other_side(pair: Pair) -> None:
    pair.central.channel.cancel(CancelReason.USER, pair.now)
    pair.peripheral.channel.keepalive(Status.WAITING_FOR_CARD, pair.now)
    pair.settle()
    assert pair.peripheral.told() == [Cancelled(CancelReason.USER)]
    assert pair.central.told() == [KeepAlive(Status.WAITING_FOR_CARD)]


def test_cancel_and_keepalive_without_a_link_say_nothing(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.central.channel.cancel(CancelReason.USER, pair.now)
    pair.central.channel.keepalive(Status.IDLE, pair.now)
    pair.central.channel.error(ErrorCode.BUSY, pair.now)
    assert pair.central.channel.values_to_send() == []


@ROLES
def test_error_ends_the_session_at_both_sides(pair: Pair, role: Role) -> None:
    sender, receiver = pair.side(role), pair.other(pair.side(role))
    sender.channel.error(ErrorCode.BUSY, pair.now)
    pair.settle()
    assert receiver.told() == [PeerFailed(ErrorCode.BUSY, told=True)]
    assert sender.channel.link is receiver.channel.link is Link.FAILED
    assert receiver.channel.values_to_send() == []


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (bytes.fromhex("97 01 00 02 aa"), ErrorCode.FORMAT),
        (bytes.fromhex("91 01 10 01 aa"), ErrorCode.FORMAT),
        (Start(OFFER, 3, 0, 2, b"x", False).encode(), ErrorCode.SEQUENCE),
        (Resume(3, 1).encode(), ErrorCode.SEQUENCE),
        (bytes(513), ErrorCode.FORMAT),
        (b"", ErrorCode.FORMAT),
    ],
)
@ROLES
def test_what_cannot_be_accepted_is_answered_with_error(
    pair: Pair, role: Role, value: bytes, code: ErrorCode
) -> None:
    side = pair.side(role)
    assert side.channel.receive(value, pair.now) == [PeerFailed(code, told=False)]
    assert [parse(answer) for answer in side.channel.values_to_send()] == [frames.Failure(code)]
    assert side.channel.receive(value, pair.now) == []
    assert side.channel.deadline() is None


@pytest.mark.parametrize(
    "second",
    [
        Start(OFFER, 2, 0, 9, b"y", False),
        Start(MessageType.OUTCOME, 1, 0, 9, b"y", False),
        Start(OFFER, 1, 0, 8, b"y", False),
    ],
)
def test_a_start_inside_another_message_is_an_error(pair: Pair, second: Start) -> None:
    channel = pair.peripheral.channel
    assert channel.receive(Start(OFFER, 1, 0, 9, b"x", False).encode(), pair.now) == []
    assert channel.receive(second.encode(), pair.now) == [PeerFailed(ErrorCode.SEQUENCE, told=False)]


def test_the_same_start_again_begins_the_message_again(pair: Pair) -> None:
    channel = pair.peripheral.channel
    for _ in range(3):
        assert channel.receive(Start(OFFER, 1, 0, 4, b"wo", False).encode(), pair.now) == []
    events = channel.receive(Continue(1, b"rd", True).encode(), pair.now)
    assert events == [MessageReceived(OFFER, b"word")]


@pytest.mark.parametrize(
    "frame",
    [
        Continue(1, b"x" * 9, True),
        Continue(1, b"x" * 10, True),
        Continue(1, b"x" * 3, True),
        Continue(1, b"x" * 8, False),
    ],
)
def test_fragments_that_do_not_add_up_are_an_error(pair: Pair, frame: Continue) -> None:
    channel = pair.peripheral.channel
    channel.receive(Start(OFFER, 1, 0, 9, b"x", False).encode(), pair.now)
    assert channel.receive(frame.encode(), pair.now) == [PeerFailed(ErrorCode.FORMAT, told=False)]


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(OFFER, b""), (OFFER, bytes(4097)), (MessageType.READER_ENROLMENT, b"x")],
)
def test_what_bluetooth_does_not_carry_is_our_error(pair: Pair, kind: MessageType, payload: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        pair.central.channel.send(kind, payload, pair.now)


@pytest.mark.parametrize("session", [0, -1, 1 << 32])
def test_a_central_names_a_session_of_32_bits(session: int) -> None:
    with pytest.raises(LocalProtocolError):
        Channel(Role.CENTRAL, session=session)


def test_values_under_20_bytes_are_our_own_error() -> None:
    with pytest.raises(LocalProtocolError):
        Channel(Role.PERIPHERAL, largest_value=19)
    channel = Channel(Role.PERIPHERAL)
    with pytest.raises(LocalProtocolError):
        channel.connected(0.0, 19)


def test_values_after_the_link_went_down_are_dropped(pair: Pair) -> None:
    pair.cut()
    assert pair.central.channel.receive(Ack(1).encode(), pair.now) == []
    pair.cut()  # saying it twice does no harm
    assert pair.central.channel.deadline() is None


def test_payloads_stay_out_of_representations(pair: Pair) -> None:
    pair.central.channel.send(OFFER, b"SEALED" * 200, pair.now)
    pair.settle()
    shown = repr(pair.peripheral.events) + repr(vars(pair.central.channel))
    assert "SEALED" not in shown
