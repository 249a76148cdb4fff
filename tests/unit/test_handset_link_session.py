"""One session with a reader, without a radio: when the reader is said to be ready, and what is on the air."""

from __future__ import annotations

import pytest

from handset_client.adapters.link_session import LinkSession
from handset_client.ports import ReaderEvent, ReaderReady, ReaderTook
from protocol import framing
from protocol.identifiers import PaymentId, ReaderId, mint
from protocol.messages import MessageType

READER = ReaderId(b"\x01" * 8)
PAYMENT = PaymentId(mint("pay", b"\x07" * 16))
HELLO = b"hello of the reader"
READY = ReaderReady(READER, HELLO)
NOW = 1000.0


class Bench:
    """A session whose reader has sent its hello; what the phone wants to write lies in `on_the_air`."""

    def __init__(self, *, expecting: bool = False) -> None:
        self.told: list[ReaderEvent] = []
        self.reader = framing.Channel(framing.Role.PERIPHERAL)
        self.session = LinkSession(self.told.append, lambda: 7)
        self.session.reader_id = READER
        if expecting:
            self.session.expect_message()
        self.session.channel.connected(NOW, 100)
        self.reader.connected(NOW, 100)
        self.to_the_reader()
        self.reader.send(MessageType.READER_HELLO, HELLO, NOW)
        for value in self.reader.values_to_send():
            self.session.heed(self.session.channel.receive(value, NOW))
        self.on_the_air = self.session.channel.values_to_send()

    def to_the_reader(self) -> None:
        for value in self.session.channel.values_to_send():
            self.reader.receive(value, NOW)


def test_while_nobody_has_approved_the_hello_is_acknowledged_before_the_reader_is_ready() -> None:
    bench = Bench()
    assert len(bench.on_the_air) == 1
    assert bench.told == []
    bench.session.all_written()
    assert bench.told == [READY]
    bench.session.all_written()
    assert bench.told == [READY]


def test_who_expects_a_message_waits_for_no_acknowledgement() -> None:
    bench = Bench()
    bench.session.expect_message()
    assert bench.told == [READY]
    bench.session.all_written()
    assert bench.told == [READY]


def test_the_message_that_was_expected_is_the_acknowledgement() -> None:
    bench = Bench(expecting=True)
    assert bench.told == [READY]
    assert bench.on_the_air == []
    assert bench.session.send(PAYMENT, MessageType.KEY_OFFER, b"offer", NOW)
    heard = [
        event
        for value in bench.session.channel.values_to_send()
        for event in bench.reader.receive(value, NOW)
    ]
    assert [type(event) for event in heard] == [framing.Delivered, framing.MessageReceived]


@pytest.mark.parametrize("expecting", [False, True])
def test_an_offer_is_told_as_taken_either_way(expecting: bool) -> None:
    bench = Bench(expecting=expecting)
    for value in bench.on_the_air:
        bench.reader.receive(value, NOW)
    bench.session.all_written()
    bench.session.send(PAYMENT, MessageType.KEY_OFFER, b"offer", NOW)
    bench.to_the_reader()
    due = bench.reader.deadline()
    assert due is not None
    bench.reader.handle_timer(due)
    for value in bench.reader.values_to_send():
        bench.session.heed(bench.session.channel.receive(value, due))
    assert bench.told == [READY, ReaderTook(PAYMENT, MessageType.KEY_OFFER)]
