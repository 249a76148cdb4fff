"""Links that are cut: at every fragment, in both directions, and what each side knows afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from protocol.errors import LocalProtocolError
from protocol.frames import Ack, Hello, Resume, Start, parse
from protocol.framing import (
    Channel,
    Connected,
    Delivered,
    ErrorCode,
    Link,
    MessageReceived,
    PeerFailed,
    Role,
    SessionLost,
)
from protocol.messages import MessageType

if TYPE_CHECKING:
    from conftest import Pair

Message = Callable[[int], bytes]
OFFER, HELLO = MessageType.KEY_OFFER, MessageType.READER_HELLO
ROLES = pytest.mark.parametrize("role", list(Role))


def fragments(size: int, largest: int) -> int:
    return 1 + max(0, -(-(size - largest + 4) // (largest - 1)))


@ROLES
@pytest.mark.parametrize(
    ("size", "largest"),
    [(1, 20), (16, 20), (17, 20), (400, 20), (4096, 20), (1400, 244), (4096, 244), (4096, 510)],
)
def test_cut_after_every_fragment_and_resumed(
    new_pair: Callable[[], Pair], message: Message, role: Role, size: int, largest: int
) -> None:
    body, count = message(size), fragments(size, largest)
    for cut_after in range(count + 1):
        pair = new_pair().open(largest)
        sender, receiver = pair.side(role), pair.other(pair.side(role))
        message_id = sender.channel.send(OFFER, body, pair.now)
        for _ in range(cut_after):
            pair.deliver_one(sender)
        held = min(size, largest - 4 + (cut_after - 1) * (largest - 1)) if cut_after else 0
        pair.cut()
        sender.values.clear()
        pair.connect(largest)
        pair.finish()
        assert receiver.received() == [body]
        assert Delivered(message_id) in sender.events
        assert Connected(resumed=True) in sender.events
        assert Connected(resumed=True) in receiver.events
        data = [value for value in sender.values if not isinstance(parse(value), Hello | Ack)]
        if held == size:
            assert data == []
        else:
            assert isinstance(parse(data[0]), Resume if held else Start)
            assert sum(map(len, data)) <= size - held + 7 + len(data) * 4


@ROLES
def test_what_never_arrived_is_sent_again_at_once(pair: Pair, message: Message, role: Role) -> None:
    sender, receiver = pair.side(role), pair.other(pair.side(role))
    sender.channel.send(OFFER, message(700), pair.now)
    pair.drain()
    pair.cut()
    pair.connect()
    pair.settle()  # the clock stands: no timer helps
    assert receiver.received() == [message(700)]


@ROLES
def test_cut_again_and_again_at_every_fragment(
    new_pair: Callable[[], Pair], message: Message, role: Role
) -> None:
    pair = new_pair().open(20)
    sender, receiver = pair.side(role), pair.other(pair.side(role))
    sender.channel.send(OFFER, message(1000), pair.now)
    for _ in range(200):
        for _ in range(3):  # HELLO or its answer, RESUME, one fragment
            pair.deliver_one(pair.central)
            pair.deliver_one(pair.peripheral)
        pair.cut()
        pair.connect(20)
    pair.finish()
    assert receiver.received() == [message(1000)]


@ROLES
def test_the_value_size_may_change_between_links(
    new_pair: Callable[[], Pair], message: Message, role: Role
) -> None:
    pair = new_pair().open(510)
    sender, receiver = pair.side(role), pair.other(pair.side(role))
    sender.channel.send(OFFER, message(4096), pair.now)
    for largest in (20, 100, 23, 510, 244):
        pair.deliver_one(sender)
        pair.deliver_one(sender)
        pair.cut()
        pair.connect(largest)
        pair.deliver_one(pair.central)
        pair.deliver_one(pair.peripheral)
    pair.finish()
    assert receiver.received() == [message(4096)]


@ROLES
def test_an_acknowledgement_lost_with_the_link_is_given_by_hello(pair: Pair, role: Role) -> None:
    sender, receiver = pair.side(role), pair.other(pair.side(role))
    message_id = sender.channel.send(OFFER, b"once", pair.now)
    pair.settle()
    pair.cut()
    pair.connect()
    pair.settle()
    assert receiver.received() == [b"once"]
    assert sender.told() == [Connected(resumed=True), Delivered(message_id)]
    assert receiver.channel.deadline() is None  # no ACK is owed any more


@ROLES
def test_a_message_sent_while_the_link_is_down_follows_on_the_next(pair: Pair, role: Role) -> None:
    sender, receiver = pair.side(role), pair.other(pair.side(role))
    pair.cut()
    sender.channel.send(OFFER, b"first", pair.now)
    sender.channel.send(OFFER, b"second", pair.now)
    assert sender.channel.values_to_send() == []
    pair.connect()
    pair.finish()
    assert receiver.received() == [b"first", b"second"]


def test_a_handset_may_send_before_the_first_link(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.central.channel.send(OFFER, b"offer", pair.now)
    pair.connect()
    pair.finish()
    assert pair.peripheral.received() == [b"offer"]


def test_a_reader_that_forgot_the_session_makes_the_handset_lose_it(pair: Pair) -> None:
    pair.peripheral.channel.send(HELLO, b"nonce 1", pair.now)
    pair.central.channel.send(OFFER, b"offer", pair.now)
    pair.finish()
    pair.central.told()
    pair.cut()
    pair.peripheral.channel = Channel(Role.PERIPHERAL)
    pair.peripheral.told()
    pair.central.channel.send(OFFER, b"PIN request", pair.now)
    pair.connect()
    pair.settle()
    assert pair.central.told() == [SessionLost(), Connected(resumed=False)]
    assert pair.peripheral.told() == [Connected(resumed=False)]
    assert pair.central.channel.session == pair.peripheral.channel.session == 8
    pair.peripheral.channel.send(HELLO, b"nonce 2", pair.now)
    pair.finish()
    assert pair.central.told() == [MessageReceived(HELLO, b"nonce 2")]
    assert pair.peripheral.received() == []


def test_a_reader_that_forgot_before_anything_was_said_is_noticed_too(pair: Pair) -> None:
    """Both sides hold nothing, yet the reader that comes back has another nonce to tell: not a resumption."""
    pair.cut()
    pair.peripheral.channel = Channel(Role.PERIPHERAL)
    pair.connect()
    pair.settle()
    assert pair.central.told() == [SessionLost(), Connected(resumed=False)]
    assert pair.peripheral.told() == [Connected(resumed=False)]


def test_a_link_lost_between_hello_and_its_answer_is_no_new_session(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.connect()
    pair.deliver_one(pair.central)
    pair.peripheral.channel.send(HELLO, b"nonce", pair.now)
    pair.cut()
    pair.connect()
    pair.finish()
    assert pair.peripheral.told() == [
        Connected(resumed=False),
        Connected(resumed=True),
        Delivered(1),
    ]
    assert pair.central.told() == [Connected(resumed=False), MessageReceived(HELLO, b"nonce")]


def test_a_new_session_of_the_handset_ends_the_one_the_reader_holds(pair: Pair, message: Message) -> None:
    pair.peripheral.channel.send(HELLO, message(2000), pair.now)
    pair.deliver_one(pair.peripheral)
    pair.cut()
    pair.central.channel = Channel(Role.CENTRAL, session=99)
    pair.connect()
    pair.finish()
    assert pair.peripheral.told() == [SessionLost(), Connected(resumed=False)]
    assert pair.central.told() == [Connected(resumed=False)]
    assert pair.peripheral.channel.session == 99


def test_a_new_session_after_a_finished_one_loses_nothing(pair: Pair) -> None:
    pair.peripheral.channel.send(HELLO, b"nonce", pair.now)
    pair.finish()
    pair.peripheral.told()
    pair.cut()
    pair.central.channel = Channel(Role.CENTRAL, session=99)
    pair.connect()
    pair.finish()
    assert pair.peripheral.told() == [Connected(resumed=False)]


def test_a_new_session_may_begin_on_the_same_link(pair: Pair) -> None:
    pair.central.channel = Channel(Role.CENTRAL, session=99)
    pair.central.channel.connected(pair.now, 244)
    pair.finish()
    assert pair.peripheral.told() == [Connected(resumed=False)]
    assert pair.peripheral.channel.session == 99


@ROLES
def test_after_a_failure_the_next_link_has_a_new_session(pair: Pair, role: Role) -> None:
    failing, other = pair.side(role), pair.other(pair.side(role))
    other.channel.send(OFFER, b"not delivered", pair.now)
    failing.events += failing.channel.receive(b"", pair.now)
    assert failing.told() == [PeerFailed(ErrorCode.FORMAT, told=False)]
    pair.cut()
    pair.connect()
    pair.finish()
    assert pair.central.channel.link is Link.OPEN
    assert Connected(resumed=False) in failing.told()
    assert other.told() == [SessionLost(), Connected(resumed=False)]
    other.channel.send(OFFER, b"anew", pair.now)
    pair.finish()
    assert failing.received() == [b"anew"]


@pytest.mark.parametrize(("held_id", "held"), [(0, 0), (2, 31), (3, 1), (200, 1)])
def test_a_peer_that_claims_to_hold_what_was_never_sent_fails(pair: Pair, held_id: int, held: int) -> None:
    pair.peripheral.channel.send(HELLO, b"x" * 40, pair.now)
    pair.finish()
    pair.peripheral.channel.send(HELLO, b"y" * 30, pair.now)
    pair.cut()
    pair.peripheral.channel.connected(pair.now, 244)
    hello = Hello(1, True, 244, 7, held_id, held).encode()
    events = pair.peripheral.channel.receive(hello, pair.now)
    assert events == [PeerFailed(ErrorCode.SEQUENCE, told=False)]


def test_a_reader_that_refuses_a_new_session_fails(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.connect()
    answer = Hello(1, False, 244, 7, 0, 0).encode()
    assert pair.central.channel.receive(answer, pair.now) == [PeerFailed(ErrorCode.SEQUENCE, told=False)]


def test_no_link_twice(pair: Pair) -> None:
    with pytest.raises(LocalProtocolError):
        pair.central.channel.connected(pair.now, 244)
