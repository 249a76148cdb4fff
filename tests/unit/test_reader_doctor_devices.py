"""`reader-peripheral doctor` at the devices: there, told apart, permitted, free to grab; or a remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from reader_peripheral import doctor, remedies
from reader_peripheral.adapters import input_events, magtek_hid
from reader_peripheral.adapters.input_events import Listed
from reader_peripheral.input_settings import (
    DeviceIdentity,
    KeypadKind,
    KeypadSettings,
    SwiperKind,
    SwiperSettings,
)
from reader_peripheral.settings import DisplayKind, DisplaySettings, ReaderSettings
from service_host.findings import Finding, Level

SWIPER = DeviceIdentity(0x0801, 0x0001, "", "usb-1/input0", "MagTek")
KEYPAD = DeviceIdentity(0x1A2C, 0x0042, "", "usb-2/input0", "Keypad")
BOTH = ReaderSettings(
    swiper=SwiperSettings(kind=SwiperKind.KEYBOARD, vendor=0x0801),
    keypad=KeypadSettings(kind=KeypadKind.KEYBOARD, vendor=0x1A2C),
)


class Quiet(doctor.Machine):
    """A machine whose service runs, or not."""

    def __init__(self, root: Path, active: bool = False) -> None:
        super().__init__(root)
        self._active = active

    def run(self, *command: str) -> str | None:
        return "active" if self._active and command[:2] == ("systemctl", "is-active") else None

    def put(self, name: str) -> Path:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> list[Listed]:
    """What is plugged in; nothing at first."""
    there: list[Listed] = []
    monkeypatch.setattr(input_events, "listed_devices", lambda *_: there)
    return there


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, OSError]:
    """What opening and grabbing a node raises, by its name."""
    problems: dict[str, OSError] = {}

    class Node:
        def __init__(self, node: Path) -> None:
            if node.name in problems:
                raise problems[node.name]

        def close(self) -> None:
            pass

    monkeypatch.setattr(input_events, "InputNode", Node)
    monkeypatch.setattr(doctor, "let_use", lambda node, group: f"{group} of {node}")
    return problems


def by_check(findings: Iterator[Finding]) -> dict[str, Finding]:
    found = {finding.check: finding for finding in findings}
    assert all(finding.remedy for finding in found.values() if finding.level is not Level.OK)
    return found


def listed(name: str, identity: DeviceIdentity, *, types: bool = True) -> Listed:
    return Listed(Path("/dev/input") / name, identity, types)


def test_both_are_there_and_can_be_grabbed(
    tmp_path: Path, plugged: list[Listed], opened: dict[str, OSError]
) -> None:
    plugged += [listed("event3", SWIPER), listed("event4", SWIPER, types=False), listed("event5", KEYPAD)]
    found = by_check(doctor.inputs(Quiet(tmp_path), BOTH))
    assert [found[what].level for what in ("swiper", "keypad")] == [Level.OK, Level.OK]
    assert found["swiper"].seen == "/dev/input/event3 can be grabbed"


def test_two_alike_are_told_apart_by_learning(
    tmp_path: Path, plugged: list[Listed], opened: dict[str, OSError]
) -> None:
    plugged += [listed("event3", SWIPER), listed("event4", SWIPER)]
    found = by_check(doctor.inputs(Quiet(tmp_path), BOTH))
    assert (found["swiper"].level, found["swiper"].seen) == (Level.FAULT, "2 devices are vendor 0801")
    assert found["swiper"].remedy.endswith("learn swiper")
    assert found["keypad"].seen == "vendor 1a2c is not there"


@pytest.mark.parametrize(
    ("number", "active", "level", "says"),
    [
        (errno.EACCES, False, Level.FAULT, "input of /dev/input/event3"),
        (errno.EBUSY, True, Level.OK, "grabbed by the running service"),
        (errno.EBUSY, False, Level.FAULT, "sudo fuser -v /dev/input/event3"),
        (errno.ENODEV, True, Level.FAULT, "cannot be grabbed"),
    ],
)
def test_a_swiper_that_cannot_be_grabbed(
    tmp_path: Path,
    plugged: list[Listed],
    opened: dict[str, OSError],
    number: int,
    active: bool,
    level: Level,
    says: str,
) -> None:
    plugged += [listed("event3", SWIPER)]
    opened["event3"] = OSError(number, "why")
    found = by_check(doctor.inputs(Quiet(tmp_path, active), BOTH))["swiper"]
    assert found.level is level
    assert says in f"{found.seen} {found.remedy}"


@pytest.mark.parametrize("there", [False, True])
def test_a_magtek_reader_in_hid_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    machine = Quiet(tmp_path)
    machine.put("/dev/hidraw1")
    nodes = [(Path("/dev/hidraw0"), KEYPAD), *([(Path("/dev/hidraw1"), SWIPER)] if there else [])]
    monkeypatch.setattr(magtek_hid, "listed_hidraws", lambda *_: nodes)
    settings = ReaderSettings(swiper=SwiperSettings(kind=SwiperKind.MAGTEK_HID))
    found = by_check(doctor.raw_devices(machine, settings))["swiper"]
    assert found.level is (Level.OK if there else Level.FAULT)
    assert there or found.remedy.endswith("learn swiper")
    monkeypatch.setattr(machine, "usable", lambda _: False)
    monkeypatch.setattr(doctor, "let_use", lambda _, group: f"become a member of {group}")
    found = by_check(doctor.raw_devices(machine, settings))["swiper"]
    assert not there or found.remedy == "become a member of blind-relay", "no grab covers hidraw"


@pytest.mark.parametrize("display", [DisplayKind.LCD_GPIO, DisplayKind.LCD, DisplayKind.SH1106])
def test_what_is_wired_to_the_header(tmp_path: Path, display: DisplayKind) -> None:
    machine = Quiet(tmp_path)
    settings = ReaderSettings(
        display=DisplaySettings(kind=display),
        keypad=KeypadSettings(kind=KeypadKind.GPIO, row_lines=(5, 6, 13, 19), column_lines=(12, 16, 20)),
    )
    found = by_check(doctor.raw_devices(machine, settings))
    assert (found["keypad"].level, found["display"].level) == (Level.FAULT, Level.FAULT)
    for node in ("/dev/gpiochip0", "/dev/i2c-1"):
        machine.put(node)
    found = by_check(doctor.raw_devices(machine, settings))
    assert (found["keypad"].level, found["display"].level) == (Level.OK, Level.OK)


def test_learning_is_named_as_it_is_typed_here(tmp_path: Path, plugged: list[Listed]) -> None:
    for what, found in by_check(doctor.inputs(Quiet(tmp_path), BOTH)).items():
        assert found.remedy.endswith(remedies.ours(f"learn {what}", root=True))
