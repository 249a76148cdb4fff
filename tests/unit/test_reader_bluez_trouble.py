"""The reader's radio on a BlueZ that refuses, is off, blocked or cut off: dark for no longer than that."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest

if sys.platform != "linux":
    pytest.skip("BlueZ is Linux", allow_module_level=True)

from dbus_next.errors import DBusError

from protocol import framing
from reader_peripheral.adapters import bless_on_bluez, bluez_bus, bluez_radio
from reader_peripheral.adapters.bluez_radio import BluezRadio
from reader_peripheral.adapters.peripheral_radio import RadioError
from tests.unit.reader_mock_bluez import OTHER, PHONE, Air, MockAdapter, MockBus, mock_bluez, turns

UP = ["application", "advertise"]


@pytest.fixture
async def bus() -> MockBus:
    return MockBus()


@pytest.fixture
def adapter() -> MockAdapter:
    return MockAdapter()


@pytest.fixture(autouse=True)
def bluez(bus: MockBus, adapter: MockAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    mock_bluez(monkeypatch, bus, adapter)


async def soon(so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if so():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("not within two seconds")


async def test_an_advertisement_that_is_refused_is_tried_until_it_is_taken_and_told_once(
    bus: MockBus, adapter: MockAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    air = await Air().up()
    air.radio.serve(PHONE)
    await turns()
    adapter.refuses = 5
    bus.say_connected(PHONE, False)
    await soon(lambda: adapter.log == [*UP, "silent", "advertise"])
    assert len(air.server.app.advertisements) == 1
    await turns()
    assert caplog.text.count("trying until it works") == 1
    assert caplog.text.count("phones find the reader again") == 1
    adapter.refuses = 1
    air.radio.serve(PHONE)
    await turns()
    bus.say_connected(PHONE, False)
    await soon(lambda: caplog.text.count("phones find the reader again") == 2)


async def test_one_that_was_taken_without_an_answer_is_no_bar(bus: MockBus, adapter: MockAdapter) -> None:
    air = await Air().up()
    air.radio.serve(PHONE)
    await turns()
    adapter.refuses, adapter.refusal = 1, DBusError("org.bluez.Error.AlreadyExists", "Already Exists")
    bus.say_connected(PHONE, False)
    await soon(lambda: adapter.log == [*UP, "silent", "silent", "advertise"])


async def test_an_adapter_that_was_switched_off_is_switched_on_and_advertises_again(
    bus: MockBus, adapter: MockAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    air = await Air().up()
    air.radio.serve(PHONE)
    await turns()
    bus.blocked = True
    bus.say_powered(False)
    assert air.news == [(PHONE, False)], "its link is gone, told or not"
    await turns()
    assert adapter.log == [*UP, "silent"]
    assert caplog.text.count("the Bluetooth adapter is switched off") == 1
    bus.blocked = False
    await soon(lambda: adapter.log == [*UP, "silent", "advertise"])
    bus.say_powered(False)  # while it advertises: it forgets what it advertised
    await soon(lambda: adapter.log == [*UP, "silent", "advertise", "silent", "advertise"])
    assert bus.properties["Powered"] is True
    await air.radio.close()


async def test_a_refusal_when_bluetoothd_is_back_is_told_once(
    bus: MockBus, adapter: MockAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    await Air().up()
    adapter.refuses = 3
    bus.say_owner("")
    bus.say_owner(":1.9")
    await soon(lambda: "Bluetooth is back" in caplog.text)
    assert caplog.text.count("refuses the reader") == 1
    assert adapter.log[-2:] == UP


async def test_a_bus_that_is_gone_is_told_and_nothing_waits_for_it(
    bus: MockBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    air = await Air().up()
    lost = asyncio.create_task(air.radio.lost())
    await turns()
    assert not lost.done()
    bus.hangs = True  # nothing that is sent arrives
    bus.end.set_exception(BlockingIOError())
    with pytest.raises(RadioError, match="connection to D-Bus is lost"):
        await asyncio.wait_for(lost, 2)
    async with asyncio.timeout(2):
        await air.radio.disconnect(PHONE)
        await air.radio.close()
    assert not bus.disconnected, "there is nothing to leave any more"


async def test_an_answer_that_never_comes_ends_a_call(bus: MockBus, monkeypatch: pytest.MonkeyPatch) -> None:
    air = await Air().up()
    monkeypatch.setattr(bluez_bus, "ANSWER_SECONDS", 0.01)
    bus.hangs = True
    async with asyncio.timeout(2):
        await air.radio.disconnect(PHONE)
        await air.radio.close()
    assert bus.disconnected


async def test_a_start_that_is_never_answered_is_said_in_words(
    adapter: MockAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_path: str, _options: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(bless_on_bluez, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(adapter, "call_register_application", never)
    with pytest.raises(RadioError, match="TimeoutError"):
        await Air().up()


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        (DBusError("org.bluez.Error.Failed", "Failed"), r"run: sudo rfkill unblock bluetooth; .* doctor"),
        (
            DBusError("org.bluez.Error.NotPermitted", "Maximum advertisements reached"),
            "Another program advertises",
        ),
    ],
    ids=["refused", "full"],
)
async def test_who_may_not_advertise_at_the_start_is_told_what_to_do(
    adapter: MockAdapter, refusal: DBusError, remedy: str
) -> None:
    adapter.refuses, adapter.refusal = 1, refusal
    with pytest.raises(RadioError, match=remedy) as error:
        await Air().up()
    assert error.value.__suppress_context__


async def test_bluetooth_that_is_blocked_is_said_in_words(bus: MockBus) -> None:
    bus.properties["Powered"], bus.blocked = False, True
    radio = BluezRadio()
    with pytest.raises(RadioError, match="sudo rfkill unblock bluetooth"):
        await radio.open("BR-0a1b", lambda *_: None)
    await radio.close()
    assert bus.disconnected


async def test_an_adapter_that_is_off_is_switched_on(bus: MockBus) -> None:
    bus.properties["Powered"] = False
    await Air().up()
    assert bus.properties["Powered"] is True


async def test_no_bluetooth_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(_bus: object, _name: str | None) -> None:
        raise Exception("No adapter named hci0 found")

    monkeypatch.setattr(bless_on_bluez, "get_adapter", none)
    with pytest.raises(RadioError, match=r"To find out why, run: .*reader-peripheral doctor"):
        await BluezRadio().open("BR-0a1b", lambda *_: None)


@pytest.mark.parametrize("told", ["new", "known"])
async def test_who_connects_and_says_nothing_is_hung_up_on(
    bus: MockBus, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setattr(framing, "GREETING_WITHIN", 0.01)
    air = await Air().up()
    for device in (OTHER, PHONE):
        if told == "new":
            bus.say_new(device)
        else:
            bus.say_connected(device, True)
    air.radio.serve(PHONE)
    await soon(lambda: bus.hung_up() == [OTHER])
    await asyncio.sleep(0.02)
    assert bus.hung_up() == [OTHER], "the phone said HELLO"
    assert air.news == []


async def test_who_is_paired_may_be_a_keyboard_and_who_is_being_paired_has_time(
    bus: MockBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "GREETING_WITHIN", 0.0)
    monkeypatch.setattr(bluez_radio, "_PAIRING_SECONDS", 0.1)
    air = await Air().up()
    bus.others["Paired"] = True
    bus.say_connected(OTHER, True)
    await turns()
    bus.others.update(Paired=False, Pairable=True)
    bus.say_connected(PHONE, True)
    await turns()
    assert bus.hung_up() == []
    await soon(lambda: bus.hung_up() == [PHONE])
    await air.radio.close()


async def test_the_time_for_hello_begins_with_each_link(
    bus: MockBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "GREETING_WITHIN", 0.05)
    air = await Air().up()
    bus.say_connected(OTHER, True)
    await asyncio.sleep(0.03)
    bus.say_connected(OTHER, False)
    await asyncio.sleep(0.03)
    assert bus.hung_up() == []
    assert air.radio._silent == {}
