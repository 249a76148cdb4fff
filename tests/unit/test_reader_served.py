"""Who is served by a reader whose radio tells of nobody until he writes, as BlueZ does: who said HELLO."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from protocol import gatt
from protocol.frames import VERSION, Ack, Alive, Cancel, CancelReason, Failure, Hello, parse
from protocol.messages import MessageType
from reader_peripheral.adapters import bless_link
from reader_peripheral.adapters.bless_link import BlessLink
from reader_peripheral.adapters.peripheral_radio import WriteRefused
from tests.unit.reader_mock_radio import INFO, Handlers, MockRadio, Phone, Refused, started_link

STRANGER = "stranger"
ENVELOPE = bytes(range(256)) * 5
NOT_HELLO = {
    "noise": bytes(range(200)),
    "nothing": b"",
    "keepalive": Alive(gatt.Status.IDLE).encode(),
    "cancel": Cancel(CancelReason.USER).encode(),
    "acknowledgement": Ack(1).encode(),
    "the beginning of an offer": b"\x91\x01\x05\x00" + bytes(100),
}


class QuietPhone(Phone):
    """A phone whose coming the radio does not tell of."""

    def connect(self) -> None:
        self._up = True
        self.channel.connected(self.now(), gatt.largest_value(self.mtu))


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


def errors(radio: MockRadio) -> list[bytes]:
    said = (value for uuid, value in radio.server.notified if uuid == gatt.CIPHERTEXT_UUID)
    return [value for value in said if isinstance(parse(value), Failure)]


async def soon(so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if so():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("not within two seconds")


@pytest.mark.parametrize("said", NOT_HELLO.values(), ids=NOT_HELLO)
async def test_who_begins_with_anything_but_hello_keeps_nobody_out(
    radio: MockRadio, handlers: Handlers, link: BlessLink, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        radio.write(STRANGER, said)
    assert radio.served == [], "the radio goes on advertising"
    assert errors(radio), "he is told why"
    phone = QuietPhone(radio)
    await phone.join(handlers, "started")  # in the same moment: he is not even gone yet
    await soon(lambda: radio.hung_up == [STRANGER])
    phone.say(MessageType.KEY_OFFER, ENVELOPE)
    await phone.talk(lambda: (MessageType.KEY_OFFER, ENVELOPE) in handlers.told)
    assert radio.served == [phone.address]
    assert handlers.told == ["started", (MessageType.KEY_OFFER, ENVELOPE)]
    assert caplog.text.count("did not say hello") == 1


async def test_writing_where_nothing_is_to_be_written_makes_nobody_served(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    for uuid in (gatt.STATUS_UUID, gatt.CIPHERTEXT_UUID, gatt.READER_INFO_UUID):
        with pytest.raises(Refused):
            radio.write(STRANGER, b"\xc1" + bytes(19), uuid=uuid)
    await QuietPhone(radio).join(handlers, "started")
    assert radio.served == ["phone-1"]


@pytest.mark.parametrize("said", NOT_HELLO.values(), ids=NOT_HELLO)
async def test_in_the_resume_window_a_stranger_changes_nothing(
    radio: MockRadio, handlers: Handlers, link: BlessLink, said: bytes
) -> None:
    phone = QuietPhone(radio)
    await phone.join(handlers, "started")
    link.set_status(gatt.Status.WAITING_FOR_CARD)
    phone.hang_up()
    link.send(MessageType.CARD_ENVELOPE, ENVELOPE)
    for _ in range(3):
        with pytest.raises(Refused) as refusal:
            radio.write(STRANGER, said)
        assert refusal.value.why is WriteRefused.READER_FAILED
    # Every subscriber would hear it, and the phone that is coming back would take it for its own.
    assert errors(radio) == []
    await soon(lambda: radio.hung_up == [STRANGER])
    await phone.join(handlers, "resumed")
    await phone.talk(lambda: any(getattr(event, "payload", b"") == ENVELOPE for event in phone.events))
    assert handlers.told == ["started", "lost", "resumed"]


async def test_in_the_resume_window_a_strangers_hello_ends_no_payment(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    phone = QuietPhone(radio)
    await phone.join(handlers, "started")
    link.set_status(gatt.Status.WAITING_FOR_CARD)
    phone.hang_up()
    for known in (False, True):
        with pytest.raises(Refused) as refusal:
            radio.write(STRANGER, Hello(VERSION, known, 510, 99, 0, 0).encode())
        assert refusal.value.why is WriteRefused.BUSY
    await soon(lambda: radio.hung_up == [STRANGER])
    assert (radio.served, errors(radio)) == ([phone.address], [])
    await phone.join(handlers, "resumed")
    # Once its window is over, whoever comes is served.
    phone.hang_up()
    await asyncio.sleep(0)
    link.forget_session()
    await QuietPhone(radio, address=STRANGER, session=99).join(handlers, "started")
    assert handlers.told == ["started", "lost", "resumed", "lost", "started"]


async def test_a_phone_that_was_started_anew_in_a_payment_starts_at_once(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    phone = QuietPhone(radio)
    await phone.join(handlers, "started")
    link.set_status(gatt.Status.WAITING_FOR_CARD)
    phone.hang_up()
    await QuietPhone(radio, session=8).join(handlers, "started")
    assert handlers.told == ["started", "lost", "started"]
    assert radio.hung_up == []


async def test_a_crowd_of_strangers_fills_no_log(
    radio: MockRadio, handlers: Handlers, link: BlessLink, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        radio.write(f"{STRANGER} {number}", b"noise")
        await asyncio.sleep(0)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 30
    assert lines[-1].endswith("; more of this are not told for a while")


async def test_what_the_phone_wrote_before_its_link_broke_ends_nothing(
    radio: MockRadio, handlers: Handlers, link: BlessLink
) -> None:
    phone = QuietPhone(radio)
    await phone.join(handlers, "started")
    phone.hang_up()
    for said in NOT_HELLO.values():
        with pytest.raises(Refused) as refusal:
            radio.write(phone.address, said)
        assert refusal.value.why is WriteRefused.READER_FAILED
    await asyncio.sleep(0)
    assert (errors(radio), radio.hung_up) == ([], []), "it may be connecting again at this moment"
    await phone.join(handlers, "resumed")


async def test_a_second_phone_is_told_busy_and_shown_out_once_however_much_it_writes(
    radio: MockRadio, handlers: Handlers, link: BlessLink, caplog: pytest.LogCaptureFixture
) -> None:
    phone = QuietPhone(radio)
    await phone.join(handlers, "started")
    second = QuietPhone(radio, address="phone-2", session=9)
    second.connect()
    radio.server.on_notify = phone._notified
    for value in second.channel.values_to_send() * 20:
        with pytest.raises(Refused) as refusal:
            radio.write("phone-2", value)
        assert refusal.value.why is WriteRefused.BUSY
    await soon(lambda: radio.hung_up == ["phone-2"])
    assert caplog.text.count("a second phone is refused") == 1
    phone.say(MessageType.KEY_OFFER, ENVELOPE)
    await phone.talk(lambda: (MessageType.KEY_OFFER, ENVELOPE) in handlers.told)
    assert radio.served == ["phone-1"]


async def test_who_says_hello_and_pays_nothing_makes_room_after_a_while(
    radio: MockRadio, handlers: Handlers, link: BlessLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bless_link, "UNUSED_SECONDS", 0.02)
    phone = QuietPhone(radio)
    await phone.join(handlers, "started")
    await soon(lambda: radio.hung_up == [phone.address])
    assert errors(radio) == [], "its session is kept: it may have waited for its person"
    phone.channel.disconnected(phone.now())
    await phone.join(handlers, "resumed")
    # Within a payment it is the payment that has its times.
    link.set_status(gatt.Status.WAITING_FOR_CARD)
    await asyncio.sleep(0.06)
    assert radio.hung_up == [phone.address]
    for status in (gatt.Status.PIN_READ, gatt.Status.APPROVED, gatt.Status.IDLE):
        link.set_status(status)
    await soon(lambda: radio.hung_up == [phone.address] * 2)


@pytest.mark.skipif(sys.platform != "linux", reason="BlueZ is Linux")
async def test_on_bluez_a_strangers_write_stops_no_advertising(monkeypatch: pytest.MonkeyPatch) -> None:
    from reader_peripheral.adapters.bluez_radio import BluezRadio
    from tests.unit.reader_mock_bluez import OTHER, PHONE, MockAdapter, MockBus, mock_bluez, write_value

    bus, adapter, handlers = MockBus(), MockAdapter(), Handlers()
    mock_bluez(monkeypatch, bus, adapter)
    link = BlessLink(BluezRadio(), INFO)
    await link.start(handlers)
    [service] = link._server.app.services
    [key] = [one for one in service.characteristics if one._uuid == gatt.KEY_UUID]

    def hung_up() -> list[str]:
        return [str(call.path) for call in bus.calls if call.member == "Disconnect"]

    for _ in range(3):
        write_value(key, NOT_HELLO["keepalive"], OTHER, mtu=517)
    await soon(lambda: hung_up() == [OTHER])
    assert adapter.log == ["application", "advertise"]
    write_value(key, Hello(VERSION, False, 510, 7, 0, 0).encode(), PHONE, mtu=517)
    await soon(lambda: handlers.told == ["started"])
    await soon(lambda: adapter.log == ["application", "advertise", "silent"])
    bus.say_connected(PHONE, False)
    await soon(lambda: adapter.log[-1] == "advertise")
    assert handlers.told == ["started", "lost"]
    await link.stop()
