"""Link encryption as a setting: who was paired pays, everybody else is refused by bluetoothd itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocol import gatt
from tests.bluez.bluetooth import ADDRESSES, PHONE_ADAPTER, READER_ADAPTER, Bluetooth, device_path
from tests.bluez.guest import eventually
from tests.bluez.test_strangers_on_bluez import told
from tests.bluez.town import BenchTown

SETTINGS = "/home/reader/encrypted.toml"
INSUFFICIENT_AUTHENTICATION = {"att_error": 0x05}
INSUFFICIENT_ENCRYPTION = {"att_error": 0x0F}


@pytest.fixture
def encrypted_town(town: BenchTown) -> Iterator[BenchTown]:
    """The town, its reader run with `encrypt = true` for this test."""
    town.guest.run(*("sh", "-c", f"cat > {SETTINGS}"), user="reader", typed="[bluetooth]\nencrypt = true\n")
    town.reader.stop()
    town.start_reader("--settings", SETTINGS)
    yield town
    town.phone.stop()
    town.reader.stop()
    town.bluetooth.forget(PHONE_ADAPTER, READER_ADAPTER)
    town.bluetooth.forget(READER_ADAPTER, PHONE_ADAPTER)
    town.start_reader()
    town.start_phone()


def test_only_a_paired_phone_writes_and_it_pays(encrypted_town: BenchTown, bluetooth: Bluetooth) -> None:
    town = encrypted_town
    saw = told(bluetooth.stranger("look"))
    assert gatt.ReaderInfo.decode(bytes.fromhex(saw["read reader info"]["ok"]))
    assert saw["write noise"] in (INSUFFICIENT_AUTHENTICATION, INSUFFICIENT_ENCRYPTION)
    assert saw["said"] == []

    # As docs/pi.md says: while the reader runs, with an agent that says yes.
    pairing = town.guest.start("bluetoothctl", "bluetoothctl", "--agent", "NoInputNoOutput", terminal=True)
    pairing.expect("Agent registered")
    for line in ("default-agent", f"select {ADDRESSES[READER_ADAPTER]}", "pairable on"):
        pairing.type(line)
    eventually(lambda: bluetooth.adapter(READER_ADAPTER, "Pairable") == "true", "pairable")
    town.phone.stop()
    town.start_phone("--pair")
    charge = town.charge("with pairing")
    pairing.expect("Accept pairing")
    pairing.type("yes")
    town.approve()
    town.swipe()
    town.type_pin()
    assert town.receipt(charge).outcome == "completed"
    pairing.kill()
    assert (
        bluetooth.property(device_path(PHONE_ADAPTER, READER_ADAPTER), "org.bluez.Device1", "Paired")
        == "true"
    )

    # From then on nobody needs to be there to say yes.
    town.phone.stop()
    town.start_phone()
    with bluetooth.recording(PHONE_ADAPTER) as recorded:
        assert town.pay("paired before").outcome == "completed"
    assert encryption_was_switched_on(recorded.h4)


def encryption_was_switched_on(h4: bytes) -> bool:
    """Whether the controller said so: Encryption Change, status 0, enabled 1 (Core 5.4, 4.E.7.7.8)."""
    at = h4.find(b"\x04\x08\x04\x00")
    return at >= 0 and h4[at + 6] == 1
