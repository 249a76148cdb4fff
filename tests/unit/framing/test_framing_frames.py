"""Frames as bytes: every kind there and back, and every way to be malformed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import frames
from protocol.errors import FramingError
from protocol.frames import (
    Ack,
    Alive,
    Cancel,
    CancelReason,
    Continue,
    ErrorCode,
    Failure,
    Frame,
    Hello,
    Nak,
    Resume,
    Start,
    ack_tag,
    next_message_id,
    parse,
)
from protocol.gatt import Status
from protocol.messages import MessageType

EXAMPLES: list[tuple[Frame, str]] = [
    (Start(MessageType.KEY_OFFER, 3, 0, 4096, b"\xaa" * 2, False), "91 03 10 00 aa aa"),
    (Start(MessageType.OUTCOME, 255, 7, 2, b"ab", True), "d6 ff e0 02 61 62"),
    (Continue(1, b"x", False), "01 78"),
    (Continue(63, b"xy", True), "7f 78 79"),
    (Hello(1, True, 244, 0xDEADBEEF, 9, 4096), "c1 00 00 0b 01 01 00 f4 de ad be ef 09 10 00"),
    (Ack(9), "c2 00 00 01 09"),
    (Nak(9, 513), "c3 00 00 03 09 02 01"),
    (Alive(Status.WAITING_FOR_PIN), "c4 00 00 01 04"),
    (Cancel(CancelReason.USER), "c5 00 00 01 01"),
    (Failure(ErrorCode.TIMEOUT), "c6 00 00 01 04"),
    (Resume(9, 513), "c7 00 00 03 09 02 01"),
]


@pytest.mark.parametrize(("frame", "octets"), EXAMPLES)
def test_the_bytes_of_every_frame(frame: Frame, octets: str) -> None:
    assert frame.encode() == bytes.fromhex(octets)
    assert parse(bytes.fromhex(octets)) == frame


@pytest.mark.parametrize(("frame", "octets"), EXAMPLES)
def test_a_control_frame_fits_the_smallest_value(frame: Frame, octets: str) -> None:
    if not isinstance(frame, Start | Continue):
        assert len(bytes.fromhex(octets)) <= frames.LARGEST_CONTROL


@pytest.mark.parametrize(("frame", "octets"), EXAMPLES)
def test_byte_by_byte_only_the_whole_frame_is_that_frame(frame: Frame, octets: str) -> None:
    """A value is a frame, so a part of one is another frame or none, and never half of this one."""
    whole = bytes.fromhex(octets)
    for cut in range(len(whole)):
        try:
            part = parse(whole[:cut])
        except FramingError:
            continue
        assert part != frame
        assert isinstance(part, Start | Continue)  # what carries a payload may have been sent shorter


@pytest.mark.parametrize(("frame", "octets"), EXAMPLES)
def test_a_tail_is_not_ignored(frame: Frame, octets: str) -> None:
    try:
        longer = parse(bytes.fromhex(octets) + b"\0")
    except FramingError:
        return
    assert longer != frame
    assert isinstance(longer, Start | Continue)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("", "nothing"),
        ("01", "CONTINUE without payload"),
        ("91", "START header cut"),
        ("91 03 00", "START header cut"),
        ("91 03 00 02", "START without payload"),
        ("91 00 00 02 aa", "message id 0"),
        ("91 03 00 00", "no length"),
        ("91 03 10 01 aa", "4097 bytes"),
        ("d1 03 00 02 aa", "last, and a byte short"),
        ("91 03 00 01 aa", "whole, and not last"),
        ("d1 03 00 01 aa bb", "longer than its length"),
        ("80 03 00 02 aa", "type 0"),
        ("88 03 00 02 aa", "unknown control type"),
        ("97 03 00 02 aa", "type 23"),
        ("a0 03 00 02 aa", "an enrolment message, which never crosses Bluetooth"),
        ("bf 03 00 02 aa", "type 63"),
        ("82 00 00 01 09", "control frame that is not last"),
        ("c2 01 00 01 09", "control frame with a message id"),
        ("c2 00 20 01 09", "control frame with an acknowledgement"),
        ("c2 00 00 02 09", "control frame shorter than its length"),
        ("c2 00 00 01 00", "ACK of message 0"),
        ("c2 00 00 00", "empty ACK"),
        ("c2 00 00 02 09 09", "long ACK"),
        ("c3 00 00 03 00 00 01", "NAK of message 0"),
        ("c3 00 00 03 09 10 00", "NAK of a whole message"),
        ("c7 00 00 03 09 ff ff", "RESUME beyond any message"),
        ("c4 00 00 01 63", "unknown status"),
        ("c5 00 00 01 00", "unknown reason"),
        ("c6 00 00 01 63", "unknown error"),
        ("c1 00 00 0b 01 02 00 f4 de ad be ef 09 10 00", "HELLO neither known nor unknown"),
        ("c1 00 00 0b 01 01 00 13 de ad be ef 09 10 00", "HELLO with 19-byte values"),
        ("c1 00 00 0b 01 01 00 f4 00 00 00 00 09 10 00", "HELLO without a session"),
        ("c1 00 00 0b 01 01 00 f4 de ad be ef 09 10 01", "HELLO holding too much"),
        ("c1 00 00 0b 01 01 00 f4 de ad be ef 00 10 00", "HELLO holding bytes of no message"),
        ("c1 00 00 0b 01 01 00 f4 de ad be ef 09 00 00", "HELLO holding no bytes of a message"),
        ("c1 00 00 0a 01 01 00 f4 de ad be ef 09 10", "short HELLO"),
    ],
)
def test_a_malformed_value_is_refused(octets: str, why: str) -> None:
    with pytest.raises(FramingError) as refused:
        parse(bytes.fromhex(octets))
    assert refused.value.code is ErrorCode.FORMAT, why


def test_a_value_longer_than_any_attribute_is_refused() -> None:
    parse(b"\x01" + bytes(511))
    with pytest.raises(FramingError):
        parse(b"\x01" + bytes(512))


def test_another_version_is_named_as_such_whatever_follows() -> None:
    with pytest.raises(FramingError) as refused:
        parse(bytes.fromhex("c1 00 00 03 02 aa bb"))
    assert refused.value.code is ErrorCode.VERSION


def test_a_peer_that_takes_more_than_we_send_is_taken_at_our_limit() -> None:
    hello = parse(Hello(1, False, 514, 1, 0, 0).encode())
    assert isinstance(hello, Hello)
    assert hello.largest == 510


def test_message_ids_go_round_without_zero() -> None:
    seen, current = [], 0
    for _ in range(256):
        current = next_message_id(current)
        seen.append(current)
    assert seen[:255] == list(range(1, 256))
    assert seen[255] == 1


def test_neighbours_have_different_tags() -> None:
    assert ack_tag(0) == 0
    assert all(1 <= ack_tag(number) <= 7 for number in range(1, 256))
    assert all(ack_tag(number) != ack_tag(next_message_id(number)) for number in range(256))


@given(st.binary(max_size=520))
def test_any_bytes_are_a_frame_or_a_framing_error(value: bytes) -> None:
    try:
        frame = parse(value)
    except FramingError:
        return
    if not isinstance(frame, Hello):  # `largest` above our limit is cut to it
        assert frame.encode() == value
