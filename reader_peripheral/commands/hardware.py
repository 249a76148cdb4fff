"""The commands that look after a reader's hardware: `doctor` and `test-display`; and which display it has."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from typing import Any

from protocol.errors import BlindRelayError
from protocol.money import Money, currency
from protocol.track_data import TrackFault
from reader_peripheral import doctor, screens, settings
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.ports import Display
from reader_peripheral.remedies import SERVICE, guide, install_extra, install_reader, ours
from reader_peripheral.settings import DisplayKind, DisplaySettings, ReaderSettings
from reader_peripheral.settings_file import settings_path
from reader_peripheral.texts import Language
from service_host import findings
from service_host.findings import Finding, Level
from service_host.machine import service

_SHOP = screens.Bill(
    "Kissaten Ao 喫茶青", Money(1200, currency("JPY")), "2 coffees, 1 cheese cake 珈琲とケーキ"
)
_LARGE = screens.Bill(
    "W" * 40,
    Money(999_999_999_999, currency("USD")),
    "a test of a long description, over as many pages as it takes",
)
_SAMPLES: tuple[screens.Screen, ...] = (
    screens.Idle(),
    screens.Offer(_SHOP),
    screens.BadSwipe(_SHOP, TrackFault.TRACK_ERROR, 2),
    *(screens.EnterPin(_SHOP, "1111", 3, stars) for stars in range(5)),
    screens.Working(_SHOP),
    screens.Approved(_SHOP),
    screens.NotSettled(_SHOP, None),
    screens.Unknown(_SHOP),
    screens.Offer(_LARGE),
)
_LONG_LOOK = 6.0
_SHORT_LOOK = 0.5


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add them to the parser of `reader-peripheral`."""
    examine = commands.add_parser("doctor", parents=[shared], help="find what keeps this reader from working")
    examine.add_argument("--adapter", metavar="NAME", help="the Bluetooth adapter, for example hci1")
    examine.add_argument("--json", action="store_true", help="for scripts")
    examine.set_defaults(command=_doctor)

    test = commands.add_parser("test-display", parents=[shared], help="show a sample of every screen")
    test.add_argument("--language", choices=[language.value for language in Language])
    test.set_defaults(command=_test_display)


def display_of(wanted: DisplaySettings, language: Language) -> Display:
    """The display of the settings. Imported here: each needs libraries that others do without."""
    try:
        match wanted.kind:
            case DisplayKind.TERMINAL:
                from reader_peripheral.adapters.terminal import TerminalDisplay

                return TerminalDisplay(sys.stdout, language)
            case DisplayKind.SSD1306 | DisplayKind.SH1106:
                from reader_peripheral.adapters.oled_display import oled_display

                return oled_display(wanted, language)
            case DisplayKind.LCD | DisplayKind.LCD_GPIO:
                from reader_peripheral.adapters.lcd_display import lcd_display

                return lcd_display(wanted, language)
    except ModuleNotFoundError as problem:
        raise BlindRelayError(
            f"The display needs {problem.name}, which is not installed. {install_extra('reader')}"
        ) from None


def _test_display(options: argparse.Namespace) -> int:
    wanted = settings.read_settings(settings_path(options.settings)).display
    language = Language(options.language) if options.language else wanted.language
    asyncio.run(_show_samples(display_of(wanted, language), wanted.kind is DisplayKind.TERMINAL))
    return 0


async def _show_samples(display: Display, at_once: bool) -> None:
    await display.open()
    try:
        for screen in _SAMPLES:
            display.show(screen)
            typing = isinstance(screen, screens.EnterPin) and screen.stars < 4
            await asyncio.sleep(0 if at_once else _SHORT_LOOK if typing else _LONG_LOOK)
    finally:
        await display.close()


def _doctor(options: argparse.Namespace) -> int:
    found = list(examine(options))
    print(findings.document(found) if options.json else "\n".join(findings.lines(found)))
    return findings.worst(found)


def examine(options: argparse.Namespace, machine: doctor.Machine | None = None) -> Iterator[Finding]:
    """Every check, in the order in which one would repair things."""
    looked_at = machine or doctor.Machine()
    yield from doctor.system(looked_at)
    yield from _enrolled(options)
    try:
        chosen = settings.read_settings(settings_path(options.settings))
    except BlindRelayError as problem:
        remedy = f"Correct the file; the settings are listed in {guide()}"
        yield Finding("settings", Level.FAULT, str(problem), remedy)
        chosen = ReaderSettings()
    else:
        yield Finding(
            "settings", Level.OK, str(settings_path(options.settings) or "none: all is this terminal")
        )
    yield from doctor.bluetoothd_version(looked_at)
    yield from doctor.radio_switch(looked_at)
    yield from _bluez(options.adapter or chosen.bluetooth.adapter)
    yield from doctor.bonding(looked_at, chosen)
    yield from doctor.inputs(looked_at, chosen)
    yield from doctor.raw_devices(looked_at, chosen)
    yield from doctor.font(chosen)
    yield from doctor.console(looked_at, chosen)
    yield from doctor.memory(looked_at)
    yield from service(looked_at, SERVICE, install_reader())


def _bluez(adapter: str | None) -> list[Finding]:
    try:
        from reader_peripheral.adapters.bluez_inspection import adapters
    except ModuleNotFoundError as problem:
        return [Finding("D-Bus", Level.FAULT, f"{problem.name} is not installed", install_extra("reader"))]
    return asyncio.run(adapters(adapter))


def _enrolled(options: argparse.Namespace) -> Iterator[Finding]:
    folder = settings.data_directory(options.data)
    try:
        issuer = FileKeyStore(folder).issuer()
    except BlindRelayError as problem:
        yield Finding("enrolment", Level.FAULT, f"{folder} cannot be used", str(problem))
        return
    if issuer is None:
        remedy = f"Get a code from the issuer (issuer-server reader add), then run: {ours('enrol')}"
        yield Finding("enrolment", Level.FAULT, f"not enrolled in {folder}", remedy)
    else:
        yield Finding("enrolment", Level.OK, f"with {issuer.issuer_id}, in {folder}")
