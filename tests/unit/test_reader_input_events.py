"""Linux input devices: what sysfs says of them, which one is meant, what the kernel's numbers are."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from reader_peripheral.adapters import input_events
from reader_peripheral.adapters.evdev_swipe import find_keyboard
from reader_peripheral.adapters.input_events import InputNode, KeyEvents, listed_devices
from reader_peripheral.input_settings import DeviceMatch
from tests.unit.reader_input_fakes import DROPPED, REPORT, key, tap

# capabilities/key of a USB keyboard, as QEMU's and most have it, and of the volume keys beside one.
KEYBOARD = "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe"
VOLUME = (
    "3f000301ff 0 0 483ffff17aff32d bfd4444600000000 1 130ff38b17d000 677bfad9415fed 19ed68000004400 10000002"
)


class FakeSys:
    """A /sys and a /dev with input devices."""

    def __init__(self, folder: Path) -> None:
        self.sys, self.dev = folder / "sys", folder / "dev"
        (self.dev / "input").mkdir(parents=True)

    def add(self, number: int, uniq: str, *, keys: str = KEYBOARD, port: str = "", product: int = 1) -> None:
        about = self.sys / "class" / "input" / f"event{number}" / "device"
        for name, text in {
            "id/vendor": "0801",
            "id/product": f"{product:04x}",
            "uniq": uniq,
            "phys": port,
            "name": "Mag-Tek USB Swipe Reader",
            "capabilities/key": keys,
        }.items():
            (about / name).parent.mkdir(parents=True, exist_ok=True)
            (about / name).write_text(text + "\n")
        (self.dev / "input" / f"event{number}").touch()


@pytest.fixture
def machine(tmp_path: Path) -> FakeSys:
    return FakeSys(tmp_path)


def test_devices_are_listed_by_number_with_what_they_say_of_themselves(machine: FakeSys) -> None:
    machine.add(10, "B", port="usb-1/input0")
    machine.add(2, "A", keys=VOLUME)
    first, second = listed_devices(machine.sys, machine.dev)
    assert first.node == machine.dev / "input" / "event2"
    assert not first.types, "volume keys type nothing"
    assert second.types
    assert (second.identity.vendor, second.identity.product) == (0x801, 1)
    assert (second.identity.uniq, second.identity.port) == ("B", "usb-1/input0")


def test_a_device_that_goes_while_it_is_looked_at_is_passed_over(machine: FakeSys) -> None:
    machine.add(1, "A")
    (machine.sys / "class" / "input" / "event1" / "device" / "uniq").unlink()
    machine.add(2, "B")
    assert [listed.identity.uniq for listed in listed_devices(machine.sys, machine.dev)] == ["B"]


def test_no_machine_without_input_devices_is_an_error(tmp_path: Path) -> None:
    assert listed_devices(tmp_path, tmp_path) == []


@pytest.mark.parametrize(
    ("match", "found"),
    [
        (DeviceMatch(uniq="B"), "event2"),
        (DeviceMatch(vendor=0x801, product=2), "event3"),
        (DeviceMatch(vendor=0x801), "event1"),
        (DeviceMatch(vendor=0x801, port="usb-2/input0"), "event2"),
        (DeviceMatch(vendor=0x802), None),
        (DeviceMatch(), None),
        (DeviceMatch(uniq="D"), None),
    ],
)
def test_all_that_is_given_must_agree(
    machine: FakeSys, match: DeviceMatch, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add(1, "A", port="usb-1/input0")
    machine.add(2, "B", port="usb-2/input0")
    machine.add(3, "C", port="usb-3/input0", product=2)
    machine.add(4, "D", keys=VOLUME)
    opened: list[Path] = []
    monkeypatch.setattr("reader_peripheral.adapters.evdev_swipe.InputNode", opened.append)
    find_keyboard(match, machine.sys, machine.dev)
    assert [node.name for node in opened] == ([found] if found else []), "no other device is opened"


def test_the_node_is_grabbed_as_soon_as_it_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda descriptor, request, argument: asked.append(request))
    (tmp_path / "event0").touch()
    InputNode(tmp_path / "event0").close()
    assert asked == [input_events._EVIOCGRAB, input_events._EVIOCSMASK]


def test_a_node_that_cannot_be_grabbed_is_closed_again(tmp_path: Path) -> None:
    (tmp_path / "event0").touch()
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(OSError, match="ioctl"):  # a plain file: ENOTTY
        InputNode(tmp_path / "event0")
    assert len(os.listdir("/dev/fd")) == before


def test_the_kernels_numbers_are_those_of_linux_input_h() -> None:
    def write(number: int, size: int) -> int:  # _IOW of asm-generic/ioctl.h, x86 and Arm
        return 1 << 30 | size << 16 | ord("E") << 8 | number

    assert write(0x90, 4) == input_events._EVIOCGRAB
    assert write(0x93, 16) == input_events._EVIOCSMASK
    assert 2 << 30 | 96 << 16 | ord("E") << 8 | 0x18 == input_events._EVIOCGKEY
    assert input_events._EVENT.size == len(REPORT)


def test_what_is_torn_by_a_drop_is_dropped_up_to_the_next_report() -> None:
    whole = tap(2) + DROPPED + key(3, 1)[:48] + REPORT + tap(4)
    split = KeyEvents()
    by_event = [
        found for at in range(0, len(whole), 24) for found in split.keys(memoryview(whole)[at : at + 24])
    ]
    assert by_event == list(KeyEvents().keys(memoryview(whole))) == [(2, 1), (2, 0), None, (4, 1), (4, 0)]
