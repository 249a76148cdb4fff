"""The greeting: who speaks first, what both agree on, HELLO lost or answered twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from protocol.errors import LocalProtocolError
from protocol.frames import Hello, Start, parse
from protocol.framing import (
    GREETING_WITHIN,
    MOST_TRIES,
    Connected,
    Delivered,
    ErrorCode,
    Link,
    MessageReceived,
    PeerFailed,
)
from protocol.messages import MessageType

if TYPE_CHECKING:
    from conftest import Pair

Message = Callable[[int], bytes]
OFFER, HELLO = MessageType.KEY_OFFER, MessageType.READER_HELLO


def test_both_sides_greet_and_agree_on_the_smaller_value(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.connect(largest=182, peripheral_largest=510)
    pair.settle()
    assert pair.central.events == pair.peripheral.events == [Connected(resumed=False)]
    assert pair.central.channel.largest_value == pair.peripheral.channel.largest_value == 182
    assert pair.peripheral.channel.session == pair.central.channel.session == 7
    assert pair.central.channel.link is pair.peripheral.channel.link is Link.OPEN


def test_a_central_that_says_nothing_does_not_block_the_reader(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.peripheral.channel.connected(pair.now, 244)
    assert pair.peripheral.channel.deadline() == pair.now + GREETING_WITHIN
    pair.wait(pair.peripheral)
    assert pair.peripheral.told() == [PeerFailed(ErrorCode.TIMEOUT, told=False)]


def test_the_reader_speaks_only_after_hello(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.peripheral.channel.connected(pair.now, 244)
    assert pair.peripheral.channel.values_to_send() == []
    with pytest.raises(LocalProtocolError):
        pair.peripheral.channel.send(HELLO, b"early", pair.now)
    events = pair.peripheral.channel.receive(Start(OFFER, 1, 0, 1, b"x", True).encode(), pair.now)
    assert events == [PeerFailed(ErrorCode.SEQUENCE, told=False)]


def test_a_lost_hello_is_said_again(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.connect()
    pair.deliver_one(pair.central, lost=True)
    pair.wait(pair.central)
    pair.settle()
    assert pair.central.told() == pair.peripheral.told() == [Connected(resumed=False)]


def test_a_lost_answer_to_hello_is_given_again_with_what_followed(
    new_pair: Callable[[], Pair],
) -> None:
    pair = new_pair()
    pair.connect()
    pair.deliver_one(pair.central)
    pair.peripheral.channel.send(HELLO, b"nonce", pair.now)
    pair.deliver_one(pair.peripheral, lost=True)  # the answer
    pair.deliver_one(pair.peripheral)  # the message, which the central cannot place yet
    assert pair.central.told() == []
    pair.wait(pair.central)
    pair.finish()
    assert pair.central.told() == [Connected(resumed=False), MessageReceived(HELLO, b"nonce")]
    assert pair.peripheral.told() == [Connected(resumed=False), Delivered(1)]


def test_two_answers_to_two_hellos_do_no_harm(new_pair: Callable[[], Pair], message: Message) -> None:
    pair = new_pair()
    pair.connect()
    pair.wait(pair.central)
    assert [type(parse(value)) for value in pair.central.flying] == [Hello, Hello]
    pair.deliver_one(pair.central)
    pair.peripheral.channel.send(HELLO, message(1000), pair.now)
    pair.finish()
    assert pair.central.told() == [Connected(resumed=False), MessageReceived(HELLO, message(1000))]
    assert pair.peripheral.told() == [Connected(resumed=False), Delivered(1)]


def test_a_reader_that_never_answers_is_given_up(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.connect()
    for _ in range(MOST_TRIES + 1):
        pair.wait(pair.central)
    assert pair.central.told() == [PeerFailed(ErrorCode.TIMEOUT, told=False)]


def test_another_version_of_the_framing_is_refused_by_name(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.peripheral.channel.connected(pair.now, 244)
    hello = bytearray(Hello(1, False, 244, 7, 0, 0).encode())
    hello[4] = 2
    events = pair.peripheral.channel.receive(bytes(hello), pair.now)
    assert events == [PeerFailed(ErrorCode.VERSION, told=False)]
