"""`reader-peripheral doctor`: faults of made-up machines, each with its remedy; honest without D-Bus."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pytest

from reader_peripheral import cli, doctor
from reader_peripheral.adapters import bluez_inspection
from reader_peripheral.commands import hardware
from reader_peripheral.input_settings import SwiperKind, SwiperSettings
from reader_peripheral.settings import BluetoothSettings, DisplayKind, DisplaySettings, ReaderSettings
from service_host.findings import Finding, Level

KEYBOARD = ReaderSettings(swiper=SwiperSettings(kind=SwiperKind.KEYBOARD, vendor=0x0801, product=0x0001))


class MadeUp(doctor.Machine):
    """Files below a folder, and what commands say."""

    def __init__(self, root: Path, **said: str) -> None:
        super().__init__(root)
        self.said = {name.replace("_", " "): text for name, text in said.items()}

    def put(self, name: str, text: str = "") -> None:
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(text)

    def run(self, *command: str) -> str | None:
        return self.said.get(" ".join(command[:2]))


class Said(MadeUp):
    """The same for commands that are told apart by all their words."""

    def run(self, *command: str) -> str | None:
        return self.said.get(" ".join(command))


def only(findings: object, check: str) -> Finding:
    [found] = [finding for finding in findings if finding.check == check]  # type: ignore[attr-defined]
    assert isinstance(found, Finding)
    assert found.remedy or found.level in (Level.OK, Level.UNKNOWN), "what is wrong has a remedy"
    return found


@pytest.mark.parametrize(
    ("said", "level"), [(None, "fault"), ("bluetoothctl: 5.50", "note"), ("bluetoothctl: 5.82", "ok")]
)
def test_the_version_of_bluez(tmp_path: Path, said: str | None, level: str) -> None:
    machine = MadeUp(tmp_path, **({"bluetoothctl_--version": said} if said else {}))
    assert only(doctor.bluetoothd_version(machine), "bluetoothd").level == level


def test_a_radio_switched_off(tmp_path: Path) -> None:
    machine = MadeUp(tmp_path)
    assert list(doctor.radio_switch(machine)) == []
    for name, text in (("type", "bluetooth\n"), ("soft", "1\n"), ("hard", "0\n")):
        machine.put(f"/sys/class/rfkill/rfkill0/{name}", text)
    found = only(doctor.radio_switch(machine), "radio switch")
    assert found.level is Level.FAULT
    assert "rfkill unblock" in found.remedy


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("[GATT]\n#KeySize = 0\n", "note"),
        ("[GATT]\nKeySize = 7\n", "note"),
        ("KeySize=16", "ok"),
        (None, "note"),
    ],
)
def test_key_size_matters_where_the_link_is_encrypted(tmp_path: Path, text: str | None, level: str) -> None:
    machine = MadeUp(tmp_path)
    if text is not None:
        machine.put("/etc/bluetooth/main.conf", text)
    encrypted = ReaderSettings(bluetooth=BluetoothSettings(encrypt=True))
    assert only(doctor.bonding(machine, encrypted), "link encryption").level == level
    assert only(doctor.bonding(machine, ReaderSettings()), "link encryption").level is Level.OK


def limits(locked: str, core: str) -> str:
    core_line = f"Max core file size  {core}  0  bytes\n"
    return f"Limit  Soft Limit  Hard Limit  Units\n{core_line}Max locked memory  {locked} 1 bytes\n"


@pytest.mark.parametrize(
    ("locked", "swaps", "level"),
    [("unlimited", "/swapfile", "ok"), ("8388608", "", "ok"), ("8388608", "/swapfile", "note")],
)
def test_memory_that_could_be_swapped(tmp_path: Path, locked: str, swaps: str, level: str) -> None:
    machine = MadeUp(tmp_path)
    machine.put("/proc/self/limits", limits(locked, "unlimited"))
    machine.put("/proc/swaps", f"Filename Type\n{swaps} file\n" if swaps else "Filename Type\n")
    assert only(doctor.memory(machine), "memory").level == level
    assert only(doctor.memory(machine), "core dumps").level is Level.OK


def test_a_service_that_may_dump_core(tmp_path: Path) -> None:
    machine = MadeUp(tmp_path, systemctl_show="77")
    machine.put("/proc/77/limits", limits("unlimited", "unlimited"))
    assert only(doctor.memory(machine), "core dumps").level is Level.FAULT


def test_a_login_prompt_that_a_swipe_would_be_typed_into(tmp_path: Path) -> None:
    machine = Said(tmp_path)
    machine.said = {"systemctl is-active getty@tty1.service": "active"}
    found = only(doctor.console(machine, KEYBOARD), "console")
    assert (found.level, "getty@tty1" in found.remedy) == (Level.NOTE, True)
    machine.said = {"systemctl is-active getty@tty1.service": "inactive"}
    assert only(doctor.console(machine, KEYBOARD), "console").level is Level.OK
    assert only(doctor.console(machine, ReaderSettings()), "console").level is Level.OK


def test_a_swiper_that_is_not_plugged_in(tmp_path: Path) -> None:
    found = only(doctor.inputs(MadeUp(tmp_path), KEYBOARD), "swiper")
    assert found.level is Level.FAULT
    assert "learn swiper" in found.remedy


def test_a_display_whose_bus_is_off_or_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = MadeUp(tmp_path)
    wired = ReaderSettings(display=DisplaySettings(kind=DisplayKind.SSD1306))
    assert "do_i2c" in only(doctor.raw_devices(machine, wired), "display").remedy
    machine.put("/dev/i2c-1")
    assert only(doctor.raw_devices(machine, wired), "display").level is Level.OK
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(doctor, "let_use", lambda node, group: f"{group} of {node}")
    assert only(doctor.raw_devices(machine, wired), "display").remedy == f"i2c of {tmp_path}/dev/i2c-1"


@pytest.mark.parametrize(("enabled", "level"), [("enabled", Level.FAULT), ("disabled", Level.NOTE)])
def test_the_service_has_no_terminal_for_a_swiper_and_a_display(
    tmp_path: Path, enabled: str, level: Level
) -> None:
    machine = Said(tmp_path)
    machine.said = {f"systemctl is-enabled {doctor.SERVICE}": enabled}
    found = [*doctor.inputs(machine, ReaderSettings()), *doctor.raw_devices(machine, ReaderSettings())]
    for what in ("swiper", "keypad", "display"):
        assert only(found, what).level is level


async def test_without_a_system_bus_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")
    [found] = await bluez_inspection.adapters(None)
    assert (found.check, found.level) == ("D-Bus", Level.FAULT)
    assert "no system bus" in found.seen


@pytest.mark.parametrize(
    ("objects", "wanted", "levels"),
    [
        ({}, None, ["fault"]),
        ({"/org/bluez/hci0": (True, True)}, None, ["ok"]),
        ({"/org/bluez/hci0": (False, True)}, None, ["note"]),
        ({"/org/bluez/hci0": (True, False)}, None, ["ok", "fault"]),
        ({"/org/bluez/hci0": (True, True)}, "hci7", ["fault"]),
    ],
)
def test_adapters(objects: dict[str, tuple[bool, bool]], wanted: str | None, levels: list[str]) -> None:
    from dbus_next.signature import Variant

    described = {
        path: {
            "org.bluez.Adapter1": {
                "Address": Variant("s", "00:00:00:00:00:01"),
                "Powered": Variant("b", powered),
            },
            **(
                {
                    "org.bluez.GattManager1": {},
                    "org.bluez.LEAdvertisingManager1": {
                        "SupportedInstances": Variant("y", 5),
                        "ActiveInstances": Variant("y", 0),
                    },
                }
                if low_energy
                else {}
            ),
        }
        for path, (powered, low_energy) in objects.items()
    }
    found = list(bluez_inspection._judged(described, wanted))
    assert [finding.level.value for finding in found] == levels
    assert all(finding.remedy for finding in found if finding.level is not Level.OK)


def test_the_command_prints_json_and_fails_on_faults(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["doctor", "--json", "--data", str(tmp_path)]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert {"check": "enrolment", "level": "fault"}.items() <= findings[2].items()
    assert all(finding["remedy"] for finding in findings if finding["level"] == "fault")


def test_settings_that_make_no_sense_are_a_finding(tmp_path: Path) -> None:
    wrong = tmp_path / "reader.toml"
    wrong.write_text('[display]\nkind = "oled"\n')
    options = argparse.Namespace(data=str(tmp_path), settings=str(wrong), adapter=None)
    found = only(hardware.examine(options, MadeUp(tmp_path)), "settings")
    assert found.level is Level.FAULT
    assert "ssd1306" in found.seen


def test_every_sample_screen_on_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings = tmp_path / "reader.toml"
    settings.write_text('[display]\nlanguage = "ja"\n')
    assert cli.main(["test-display", "--settings", str(settings)]) == 0
    out = capsys.readouterr().out
    assert "喫茶青" in out
    assert "USD 9,999,999,999.99" in out
