"""The greeting: who speaks first, what both agree on, HELLO lost or answered twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from protocol.errors import LocalProtocolError
from protocol.frames import Failure, Hello, Start, parse
from protocol.framing import (
    GREETING_WITHIN,
    MOST_TRIES,
    Connected,
    Delivered,
    ErrorCode,
    GreetingFailed,
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
    assert pair.peripheral.told() == [GreetingFailed(ErrorCode.TIMEOUT)]
    assert pair.peripheral.values == [], "a phone that was only slow must not take its session for lost"


def interrupted(pair: Pair, message: Message) -> None:
    """A session whose link broke with a message of the reader's half-way."""
    pair.peripheral.channel.send(HELLO, message(1000), pair.now)
    pair.deliver_one(pair.peripheral)
    pair.cut()


def of_another_version(hello: bytes) -> bytes:
    return hello[:4] + b"\x02" + hello[5:]


STRANGERS = {
    "silent": None,
    "garbage": b"\xffGARBAGE",
    "a message before hello": Start(OFFER, 1, 0, 1, b"x", True).encode(),
    "an error": Failure(ErrorCode.TIMEOUT).encode(),
    "a session nobody knows": Hello(1, True, 244, 99, 0, 0).encode(),
    "a hello of another version": of_another_version(Hello(1, False, 244, 7, 0, 0).encode()),
}


@pytest.mark.parametrize("value", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_who_says_no_hello_leaves_the_session_as_it_was(
    pair: Pair, message: Message, value: bytes | None
) -> None:
    interrupted(pair, message)
    reader = pair.peripheral.channel
    reader.connected(pair.now, 244)
    if value is not None:
        pair.peripheral.events += reader.receive(value, pair.now)
    if reader.link is Link.GREETING:
        pair.wait(pair.peripheral)
    [event] = pair.peripheral.told()
    assert isinstance(event, GreetingFailed)
    assert reader.link is Link.FAILED
    assert reader.deadline() is None
    assert reader.receive(Hello(1, False, 244, 99, 0, 0).encode(), pair.now) == [], "it is to be hung up on"
    reader.disconnected(pair.now)
    pair.peripheral.flying.clear()
    pair.connect()
    pair.finish()
    assert pair.central.told() == [Connected(resumed=True), MessageReceived(HELLO, message(1000))]
    assert pair.peripheral.told() == [Connected(resumed=True), Delivered(1)]


def test_the_reader_speaks_only_after_hello(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.peripheral.channel.connected(pair.now, 244)
    assert pair.peripheral.channel.values_to_send() == []
    with pytest.raises(LocalProtocolError):
        pair.peripheral.channel.send(HELLO, b"early", pair.now)
    events = pair.peripheral.channel.receive(Start(OFFER, 1, 0, 1, b"x", True).encode(), pair.now)
    assert events == [GreetingFailed(ErrorCode.SEQUENCE)]
    assert pair.peripheral.channel.values_to_send() == [Failure(ErrorCode.SEQUENCE).encode()]


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
    hello = of_another_version(Hello(1, False, 244, 7, 0, 0).encode())
    events = pair.peripheral.channel.receive(hello, pair.now)
    assert events == [GreetingFailed(ErrorCode.VERSION)]
    assert pair.peripheral.channel.values_to_send() == [Failure(ErrorCode.VERSION).encode()]
