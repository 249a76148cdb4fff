"""What the reader adds to bless on BlueZ, against a mocked bus: options, bare errors, phones that go."""

from __future__ import annotations

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("BlueZ is Linux", allow_module_level=True)

from bless.backends.bluezdbus.dbus.characteristic import Flags
from dbus_next.errors import DBusError
from dbus_next.service import ServiceInterface
from dbus_next.signature import Variant

from protocol import gatt
from reader_peripheral.adapters.peripheral_radio import Writer, WriteRefused
from tests.unit.reader_mock_bluez import ADAPTER, OTHER, PHONE, Air, MockAdapter, MockBus, mock_bluez, turns


@pytest.fixture
async def bus() -> MockBus:
    return MockBus()


@pytest.fixture
def adapter() -> MockAdapter:
    return MockAdapter()


@pytest.fixture(autouse=True)
def bluez(bus: MockBus, adapter: MockAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    mock_bluez(monkeypatch, bus, adapter)


async def test_the_interface_on_the_bus_is_what_bluez_expects() -> None:
    air = await Air().up()
    methods = {m.name: (m.in_signature, m.out_signature) for m in ServiceInterface._get_methods(air.dbus)}
    assert methods == {
        "ReadValue": ("a{sv}", "ay"),
        "WriteValue": ("aya{sv}", ""),
        "StartNotify": ("", ""),
        "StopNotify": ("", ""),
    }
    assert air.dbus.Flags == [Flags.WRITE.value]


async def test_it_tells_who_writes_and_with_what_mtu_only_while_it_is_written() -> None:
    air = await Air().up()
    air.write(b"hello", mtu=247)
    assert air.written == [(gatt.KEY_UUID, b"hello", Writer(PHONE, 247))]
    assert air.radio.writer() is None
    assert air.news == [], "whether it is a phone is the link's to judge"


async def test_a_read_in_pieces_ends() -> None:
    air = await Air().up()
    assert air.call("ReadValue", {}) == bytes(range(100))
    assert air.call("ReadValue", {"offset": Variant("q", 90)}) == bytes(range(90, 100))
    assert air.call("ReadValue", {"offset": Variant("q", 100)}) == b""


@pytest.mark.parametrize("method", ["ReadValue", "WriteValue"])
async def test_what_is_raised_reaches_the_bus_without_its_text(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    air = await Air().up()

    def fail(*_: object) -> None:
        raise ValueError("4000002760003184")

    air.server.read_request_func = air.server.write_request_func = fail
    with pytest.raises(DBusError) as error:
        air.call(method, *([{}] if method == "ReadValue" else [b"x", {}]))
    assert (error.value.type, error.value.text) == ("org.bluez.Error.Failed", "0x80")
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
    assert "4000002760003184" not in caplog.text


async def test_a_refusal_reaches_the_bus_as_it_is() -> None:
    air = await Air().up()

    def refuse(*_: object) -> None:
        raise air.radio.refusal(WriteRefused.NOT_PERMITTED)

    air.server.write_request_func = refuse
    with pytest.raises(DBusError) as error:
        air.write(b"x")
    assert error.value.type == "org.bluez.Error.NotPermitted"
    assert air.radio.writer() is None


async def test_pieces_of_long_writes_are_no_frames() -> None:
    air = await Air().up()
    with pytest.raises(DBusError) as error:
        air.write(b"x", offset=20)
    assert error.value.type == "org.bluez.Error.InvalidOffset"
    assert air.written == []


async def test_whoever_did_not_subscribe_may_stop() -> None:
    air = await Air().up()
    air.call("StopNotify")
    air.call("StartNotify")
    air.call("StopNotify")
    assert await air.server.is_connected() is False


async def test_it_advertises_exactly_while_no_phone_is_served(bus: MockBus, adapter: MockAdapter) -> None:
    air = await Air().up()
    assert adapter.log == ["application", "advertise"]
    air.radio.serve(PHONE)
    await turns()
    assert adapter.log[2:] == ["silent"]
    air.write(b"b", device=OTHER)
    bus.say_connected(OTHER, False)
    await turns()
    assert adapter.log[2:] == ["silent"], "the first is still there"
    bus.say_connected(PHONE, False)
    await turns()
    assert adapter.log[2:] == ["silent", "advertise"]
    assert air.news == [(PHONE, False)]


async def test_devices_that_are_not_served_are_no_phones(bus: MockBus, adapter: MockAdapter) -> None:
    air = await Air().up()
    keyboard = f"{ADAPTER}/dev_11_22_33_44_55_66"
    bus.say_connected(keyboard, True)
    bus.say_connected(keyboard, False)
    bus.say_connected("/org/bluez/hci1/dev_AA_BB_CC_DD_EE_01", False)
    air.write(b"a", device=OTHER)
    bus.say_connected(OTHER, False)
    air.radio.serve(PHONE)
    bus.say_connected(PHONE, False, interface="org.bluez.Battery1")
    bus.links[PHONE] = True
    await turns()
    assert air.news == []
    assert adapter.log == ["application", "advertise", "silent"]


@pytest.mark.parametrize("told", [False, True], ids=["found when served", "told by hanging up"])
async def test_who_is_gone_before_it_is_served_does_not_keep_the_others_out(
    bus: MockBus, adapter: MockAdapter, told: bool
) -> None:
    air = await Air().up()
    bus.links[PHONE] = told
    air.radio.serve(PHONE)
    await turns()
    if told:
        assert adapter.log == ["application", "advertise", "silent"]
        bus.links[PHONE] = False  # and no signal of it
        await air.radio.disconnect(PHONE)
        await turns()
        assert adapter.log == ["application", "advertise", "silent", "advertise"]
    assert bool(air.server.app.advertisements)
    assert air.news == [(PHONE, False)]


async def test_it_hangs_up_on_devices_only(bus: MockBus) -> None:
    air = await Air().up()
    await air.radio.disconnect(PHONE)
    await air.radio.disconnect("/org/bluez/hci0")
    hung_up = [str(call.path) for call in bus.calls if call.member == "Disconnect"]
    assert hung_up == [PHONE]


async def test_a_bluetoothd_that_was_restarted_is_told_everything_again(
    bus: MockBus, adapter: MockAdapter
) -> None:
    air = await Air().up()
    air.radio.serve(PHONE)
    await turns()
    del adapter.log[:]
    bus.properties.update(Alias="raspberrypi", Powered=False)
    bus.silent = True
    bus.say_owner("", name="org.example")
    assert air.news == [], "somebody else has ended"
    bus.say_owner("")
    assert air.news == [(PHONE, False)]
    await turns()
    assert adapter.log == [], "it is not there yet"
    bus.silent, adapter.refuses = False, 1
    bus.say_owner(":1.9")
    await turns()
    assert adapter.log == ["application", "no application", "application", "advertise"]
    assert bus.properties == {"Alias": "BR-0a1b", "Powered": True}
    assert len(air.server.app.advertisements) == 1
    await air.radio.close()
    assert bus.properties["Alias"] == "raspberrypi", "its own name, as it was at the start"


async def test_an_adapter_that_is_plugged_in_again_is_used_again(bus: MockBus, adapter: MockAdapter) -> None:
    await Air().up()
    del adapter.log[:]
    bus.say("InterfacesRemoved", "oas", [f"{ADAPTER}/dev_AA_BB_CC_DD_EE_01", ["org.bluez.Device1"]])
    bus.say("InterfacesRemoved", "oas", ["/org/bluez/hci1", ["org.bluez.Adapter1"]])
    await turns()
    assert adapter.log == []
    bus.say("InterfacesRemoved", "oas", [ADAPTER, ["org.bluez.Adapter1", "org.bluez.GattManager1"]])
    await turns()
    assert adapter.log == ["application", "advertise"]


async def test_lost_twice_it_is_registered_once_more(bus: MockBus, adapter: MockAdapter) -> None:
    await Air().up()
    del adapter.log[:]
    bus.say_owner("")
    bus.say_owner(":1.9")
    bus.say_owner("")
    bus.say_owner(":1.10")
    await turns()
    assert adapter.log == ["application", "advertise"]


@pytest.mark.parametrize(("alias", "restored"), [("raspberrypi", "raspberrypi"), ("BR-0a1b", "")])
async def test_the_adapters_name_is_given_back(bus: MockBus, alias: str, restored: str) -> None:
    bus.properties["Alias"] = alias
    air = await Air().up()
    assert bus.properties["Alias"] == "BR-0a1b"
    await air.radio.close()
    assert bus.properties["Alias"] == restored
    assert bus.disconnected
    await air.radio.close()
