"""The reader's link against a mocked bless server: refused writes, lost notifications, cuts at each step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from bless.backends.attribute import GATTAttributePermissions
from bless.backends.characteristic import GATTCharacteristicProperties

from protocol import framing, gatt
from protocol.channel_events import KeepAlive, MessageReceived
from protocol.framing import CancelReason
from protocol.messages import MessageType
from reader_peripheral.adapters.bless_link import BlessLink
from reader_peripheral.adapters.peripheral_radio import WriteRefused
from tests.unit.reader_mock_radio import INFO, Handlers, MockRadio, Phone, Refused, started_link

OFFER = bytes(range(256)) * 5
ENVELOPE = bytes(reversed(range(256))) * 6


@pytest.fixture
def radio() -> MockRadio:
    return MockRadio()


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def link(radio: MockRadio, handlers: Handlers) -> AsyncIterator[BlessLink]:
    link = await started_link(radio, handlers)
    yield link
    await link.stop()


async def turns(count: int = 10) -> None:
    """Let the loop do what is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def soon(so: Callable[[], bool]) -> None:
    """Wait, while timers run, until something is so."""
    for _ in range(1000):
        if so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within five seconds")


def received(phone: Phone) -> list[bytes]:
    return [event.payload for event in phone.events if isinstance(event, MessageReceived)]


async def test_it_puts_up_the_service_as_declared(radio: MockRadio, link: BlessLink) -> None:
    assert radio.name == gatt.device_name(INFO.reader_id)
    assert radio.server.started
    assert radio.server.services == [gatt.SERVICE_UUID]
    found = {uuid: c.properties for uuid, c in radio.server.characteristics.items()}
    assert found == {
        gatt.READER_INFO_UUID: GATTCharacteristicProperties.read,
        gatt.KEY_UUID: GATTCharacteristicProperties.write,
        gatt.CIPHERTEXT_UUID: GATTCharacteristicProperties.notify,
        gatt.STATUS_UUID: GATTCharacteristicProperties.read | GATTCharacteristicProperties.notify,
    }


async def test_with_encryption_only_paired_phones_write_and_everybody_reads(
    radio: MockRadio, handlers: Handlers
) -> None:
    link = BlessLink(radio, INFO, encrypt=True)
    await link.start(handlers)
    key = radio.server.get_characteristic(gatt.KEY_UUID)
    must_pair = GATTAttributePermissions.write_encryption_required
    assert key.permissions == GATTAttributePermissions.writeable | must_pair
    assert [must_pair in one.permissions for one in radio.server.characteristics.values()].count(True) == 1
    await link.stop()


async def test_reads_answer_info_and_status_and_nothing_else(radio: MockRadio, link: BlessLink) -> None:
    read = radio.server.read_request_func
    info = bytes(read(radio.server.get_characteristic(gatt.READER_INFO_UUID)))
    assert gatt.ReaderInfo.decode(info) == INFO
    assert len(info) < 20
    link.set_status(gatt.Status.WAITING_FOR_PIN)
    assert bytes(read(radio.server.get_characteristic(gatt.STATUS_UUID))) == b"\x04"
    assert radio.server.notified == [(gatt.STATUS_UUID, b"\x04")]
    assert bytes(read(radio.server.get_characteristic(gatt.CIPHERTEXT_UUID))) == b""


@pytest.mark.parametrize("mtu", [23, 24, 185, 247, 512, 517])
async def test_messages_pass_both_ways_in_values_that_fit(
    radio: MockRadio, handlers: Handlers, link: BlessLink, mtu: int
) -> None:
    phone = Phone(radio, mtu=mtu)
    await phone.join(handlers, "started")
    link.send(MessageType.READER_HELLO, b"hello")
    await phone.talk(lambda: b"hello" in received(phone))
    phone.say(MessageType.KEY_OFFER, OFFER)
    await phone.talk(lambda: (MessageType.KEY_OFFER, OFFER) in handlers.told)
    link.send(MessageType.CARD_ENVELOPE, ENVELOPE)
    await phone.talk(lambda: ENVELOPE in received(phone))
    assert phone.largest_notified == min(mtu - 3, 510)
    assert handlers.told == ["started", (MessageType.KEY_OFFER, OFFER)]


async def test_writes_to_other_characteristics_are_refused(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    phone = Phone(radio)
    await phone.join(handlers, "started")
    for uuid in (gatt.CIPHERTEXT_UUID, gatt.STATUS_UUID, gatt.READER_INFO_UUID):
        with pytest.raises(Refused) as refusal:
            radio.write(phone.address, b"\x81\x00\x00\x00", uuid=uuid)
        assert refusal.value.why is WriteRefused.NOT_PERMITTED
    await turns()
    assert handlers.told == ["started"]


async def test_no_exception_of_ours_passes_a_callback(
    radio: MockRadio, link: BlessLink, caplog: pytest.LogCaptureFixture
) -> None:
    radio.writer_fails = ValueError("4000002760003184")
    with pytest.raises(Refused) as refusal:
        radio.write("phone-1", b"anything")
    assert refusal.value.why is WriteRefused.READER_FAILED
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__
    assert "4000002760003184" not in caplog.text
    assert "ValueError" in caplog.text


async def test_a_write_that_cannot_be_placed_is_refused(radio: MockRadio, link: BlessLink) -> None:
    characteristic = radio.server.get_characteristic(gatt.KEY_UUID)
    with pytest.raises(Refused):
        radio.server.write_request_func(characteristic, bytearray(b"x"))


async def test_a_write_may_come_before_the_news_of_its_connection(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    phone = Phone(radio)
    phone._up = True
    phone.channel.connected(phone.now(), 510)
    await phone.talk(lambda: handlers.told == ["started"])
    radio.tell(phone.address, True)
    assert radio.hung_up == []


async def test_a_second_phone_is_refused_and_the_first_goes_on(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    phone = Phone(radio)
    await phone.join(handlers, "started")
    radio.tell("phone-2", True)
    with pytest.raises(Refused) as refusal:
        radio.write("phone-2", Phone(MockRadio(), session=9).address.encode())
    assert refusal.value.why is WriteRefused.BUSY
    await turns()
    assert radio.hung_up == ["phone-2"]
    phone.say(MessageType.KEY_OFFER, OFFER)
    await phone.talk(lambda: (MessageType.KEY_OFFER, OFFER) in handlers.told)
    assert "lost" not in handlers.told


async def test_garbage_ends_the_session_with_an_error_frame_and_hangs_up(
    radio: MockRadio, handlers: Handlers, link: BlessLink, caplog: pytest.LogCaptureFixture
) -> None:
    phone = Phone(radio)
    await phone.join(handlers, "started")
    radio.write(phone.address, b"\xffGARBAGE")
    await turns(30)
    assert handlers.told == ["started", "over"]
    assert radio.hung_up == [phone.address]
    last = [value for uuid, value in radio.server.notified if uuid == gatt.CIPHERTEXT_UUID][-1]
    assert last[0] & 0x3F == 6, "ERROR"
    assert "GARBAGE" not in caplog.text
    again = Phone(radio, session=8)
    await again.join(handlers, "started")


async def test_a_fragment_out_of_order_is_asked_for_again(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    phone = Phone(radio, mtu=100)
    await phone.join(handlers, "started")
    phone.say(MessageType.KEY_OFFER, OFFER)
    values = phone.channel.values_to_send()
    assert len(values) > 4
    for value in (*values[:2], *values[3:]):
        radio.write(phone.address, value, mtu=100)
    await phone.talk(lambda: (MessageType.KEY_OFFER, OFFER) in handlers.told)
    assert handlers.told.count((MessageType.KEY_OFFER, OFFER)) == 1


@pytest.mark.parametrize("fault", [RuntimeError("4000002760003184"), False], ids=["raises", "refuses"])
async def test_a_lost_notification_is_sent_again(
    radio: MockRadio,
    handlers: Handlers,
    link: BlessLink,
    fault: Exception | bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(framing, "RESEND_AFTER", 0.01)
    monkeypatch.setattr(framing, "SECONDS_PER_VALUE", 0.0)
    phone = Phone(radio)
    await phone.join(handlers, "started")
    await turns()
    radio.server.broken = [fault]
    link.send(MessageType.CARD_ENVELOPE, b"envelope")
    await soon(lambda: b"envelope" in received(phone))
    assert received(phone) == [b"envelope"]
    assert "4000002760003184" not in caplog.text


@pytest.mark.parametrize("cut", range(17))
async def test_a_link_cut_anywhere_resumes_and_loses_and_repeats_nothing(
    radio: MockRadio, handlers: Handlers, link: BlessLink, cut: int
) -> None:
    phone = Phone(radio, mtu=185)
    await phone.join(handlers, "started")
    await turns()
    phone.cut_after = cut
    sent = False

    def done() -> bool:
        nonlocal sent
        if (MessageType.KEY_OFFER, OFFER) in handlers.told and not sent:
            sent = True
            link.send(MessageType.CARD_ENVELOPE, ENVELOPE)
        return ENVELOPE in received(phone)

    phone.say(MessageType.KEY_OFFER, OFFER)
    await phone.talk(lambda: done() or not phone._up)
    if not phone._up:
        await turns(30)
        await phone.join(handlers, "resumed")
        await phone.talk(done)
    await turns(30)
    assert received(phone) == [ENVELOPE]
    assert handlers.told.count((MessageType.KEY_OFFER, OFFER)) == 1
    assert handlers.told.count("started") == 1


async def test_what_is_sent_while_the_phone_is_away_arrives_when_it_is_back(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    phone = Phone(radio)
    await phone.join(handlers, "started")
    phone.hang_up()
    await turns()
    link.send(MessageType.CARD_ENVELOPE, ENVELOPE)
    await turns()
    await phone.join(handlers, "resumed")
    await phone.talk(lambda: received(phone) == [ENVELOPE])
    assert handlers.told == ["started", "lost", "resumed"]


@pytest.mark.parametrize("connected", [False, True], ids=["away", "saying_hello"])
async def test_a_forgotten_session_starts_again(
    radio: MockRadio, handlers: Handlers, link: BlessLink, connected: bool
) -> None:
    phone = Phone(radio)
    await phone.join(handlers, "started")
    phone.hang_up()
    await turns()
    if connected:
        phone.connect()
        link.forget_session()
        await phone.talk(lambda: handlers.told.count("started") == 2)
    else:
        link.forget_session()
        await phone.join(handlers, "started")
    assert "resumed" not in handlers.told


async def test_another_session_value_starts_again(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    first = Phone(radio)
    await first.join(handlers, "started")
    first.hang_up()
    await turns()
    await Phone(radio, address="phone-2", session=99).join(handlers, "started")
    assert handlers.told == ["started", "lost", "started"]


async def test_a_phone_that_says_nothing_is_hung_up_on(
    radio: MockRadio, handlers: Handlers, link: BlessLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "GREETING_WITHIN", 0.01)
    radio.tell("silent", True)
    await soon(lambda: bool(radio.hung_up))
    assert radio.hung_up == ["silent"]


@pytest.mark.parametrize("said", [None, b"\xffGARBAGE"], ids=["silent", "garbage"])
async def test_a_stranger_in_the_resume_window_is_hung_up_on_and_the_session_goes_on(
    radio: MockRadio,
    handlers: Handlers,
    link: BlessLink,
    said: bytes | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    phone = Phone(radio)
    await phone.join(handlers, "started")
    phone.hang_up()
    monkeypatch.setattr(framing, "GREETING_WITHIN", 0.01)
    radio.tell("stranger", True)
    if said is not None:
        radio.write("stranger", said)
    await soon(lambda: bool(radio.hung_up))
    assert radio.hung_up == ["stranger"]
    errors = [value for uuid, value in radio.server.notified if value[0] & 0x3F == 6 and value[0] & 0x80]
    assert len(errors) == (said is not None), "garbage is answered; who is slow hears nothing"
    link.send(MessageType.CARD_ENVELOPE, ENVELOPE)
    await phone.join(handlers, "resumed")
    await phone.talk(lambda: received(phone) == [ENVELOPE])
    # Told once: the resume window runs from when the phone went, however many strangers come and go.
    assert handlers.told == ["started", "lost", "resumed"]


async def test_the_error_frame_goes_out_though_the_session_is_forgotten_at_once(
    radio: MockRadio, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await started_link(radio, handlers)
    monkeypatch.setattr(handlers, "session_over", link.forget_session)
    phone = Phone(radio)
    await phone.join(handlers, "started")
    await turns(30)
    radio.write(phone.address, b"\xffGARBAGE")
    await soon(lambda: bool(radio.hung_up))
    last = [value for uuid, value in radio.server.notified if uuid == gatt.CIPHERTEXT_UUID][-1]
    assert last[0] & 0x3F == 6, "ERROR"
    assert radio.hung_up == [phone.address]
    await link.stop()


async def test_it_gives_signs_of_life_while_it_waits_for_a_person(
    radio: MockRadio, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatt, "KEEPALIVE_EVERY", 0.01)
    link = await started_link(radio, handlers)
    phone = Phone(radio)
    await phone.join(handlers, "started")
    await asyncio.sleep(0.03)
    assert not [event for event in phone.events if isinstance(event, KeepAlive)]
    link.set_status(gatt.Status.WAITING_FOR_CARD)
    await soon(lambda: KeepAlive(gatt.Status.WAITING_FOR_CARD) in phone.events)
    await link.stop()


async def test_the_phones_cancel_is_passed_on(radio: MockRadio, handlers: Handlers, link: BlessLink) -> None:
    phone = Phone(radio)
    await phone.join(handlers, "started")
    phone.channel.cancel(CancelReason.USER, phone.now())
    await phone.talk(lambda: "cancelled" in handlers.told)


async def test_sending_without_a_session_is_logged_and_dropped(
    radio: MockRadio, link: BlessLink, caplog: pytest.LogCaptureFixture
) -> None:
    link.send(MessageType.REFUSAL, b"nobody hears")
    assert "REFUSAL is not sent" in caplog.text
    assert "nobody hears" not in caplog.text


async def test_stopping_hangs_up_and_closes_the_radio(radio: MockRadio, handlers: Handlers) -> None:
    link = await started_link(radio, handlers)
    phone = Phone(radio)
    await phone.join(handlers, "started")
    await link.stop()
    assert radio.hung_up == [phone.address]
    assert radio.closed
    assert not [task for task in asyncio.all_tasks() if "BlessLink" in repr(task)]


async def test_stopping_before_the_start_is_harmless(radio: MockRadio) -> None:
    await BlessLink(radio, INFO).stop()
    assert radio.closed


async def test_nothing_of_a_message_is_logged(
    radio: MockRadio, handlers: Handlers, link: BlessLink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    phone = Phone(radio)
    await phone.join(handlers, "started")
    phone.say(MessageType.KEY_OFFER, b"a secret offer")
    await phone.talk(lambda: len(handlers.told) == 2)
    assert "secret" not in caplog.text
    assert b"a secret offer".hex() not in caplog.text
