"""A whole payment on USB hardware: swiped and typed on two keyboards, over real bluetoothd."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

import pytest

from tests.bluez.bluetooth import GUEST_PYTHON
from tests.bluez.machine import Machine, UsbKeyboard
from tests.bluez.town import BenchTown

SETTINGS = "/home/reader/usb.toml"
# What `reader-peripheral learn` writes for these two (test_reader_input.py); the processor here is emulated,
# so that a pause between two characters can be long.
DEVICES = """
[swiper]
kind = "keyboard"
uniq = "MAGSTRIPE0001"
idle_seconds = 3
[keypad]
kind = "keyboard"
uniq = "KEYPAD0001"
"""


@pytest.fixture
def usb_town(town: BenchTown) -> Iterator[BenchTown]:
    """The town, its reader run with the USB devices for this test."""
    town.guest.run("sh", "-c", f"cat > {SETTINGS}", user="reader", typed=DEVICES)
    town.reader.stop()
    town.start_reader("--settings", SETTINGS)
    yield town
    town.reader.stop()
    town.start_reader()


def presses(codes: Iterable[int]) -> str:
    """Key presses as the kernel hands them over; between two lie five events, and the time of the next."""
    return ".{1,160}?".join(re.escape(bytes([1, 0, code, 0, 1, 0, 0, 0]).decode("latin-1")) for code in codes)


def left_in_memory(town: BenchTown) -> list[str]:
    """What of card and PIN the reader's memory holds, and what it must hold for the search to be one."""
    (number,) = set(re.findall("[0-9]{13,19}", town.card.stripe))
    row = [2 + (int(digit) - 1) % 10 for digit in number]  # KEY_1 to KEY_0
    pad = {"7": 71, "8": 72, "9": 73, "4": 75, "5": 76, "6": 77, "1": 79, "2": 80, "3": 81, "0": 82}
    pin = town.card.pin
    needles = {
        "the swiper's name": UsbKeyboard.MAGSTRIPE.value,
        "number": number,
        "number, key by key": presses(row),
        "PIN, as it is sealed": re.escape(chr(len(pin)) + pin + "\0" * (15 - len(pin))),
        "PIN, as text": f"[^0-9]{pin}\n",
        "PIN, key by key": presses(pad[digit] for digit in pin),
    }
    process = town.guest.run("pgrep", "-u", "reader", "-f", "reader-peripheral run").split()[0]
    search = (GUEST_PYTHON, "/luggage/memory_search.py", process)
    names: list[str] = json.loads(town.guest.run(*search, typed=json.dumps(needles)))
    return names


def test_a_card_swiped_and_a_pin_typed_on_usb_are_paid_with(machine: Machine, usb_town: BenchTown) -> None:
    console = machine.guest.start("console", "cat", "/dev/tty1")
    charge = usb_town.charge()
    usb_town.approve()
    usb_town.reader.expect("Swipe your card")
    machine.type_on(UsbKeyboard.MAGSTRIPE, usb_town.card.stripe + "\n")
    usb_town.reader.expect("Enter PIN")
    assert left_in_memory(usb_town) == ["the swiper's name"]
    machine.type_on(UsbKeyboard.KEYPAD, "9\b" + usb_town.card.pin + "\n")
    usb_town.reader.expect("APPROVED")
    assert usb_town.receipt(charge).outcome == "completed"
    assert left_in_memory(usb_town) == ["the swiper's name"]
    assert console.output == "", "a key press reached the console"
    console.kill()


def test_a_swiper_unplugged_in_the_middle_is_plugged_in_and_paid_with(
    machine: Machine, usb_town: BenchTown
) -> None:
    charge = usb_town.charge()
    usb_town.approve()
    usb_town.reader.expect("Swipe your card")
    machine.type_on(UsbKeyboard.MAGSTRIPE, usb_town.card.stripe[:20])
    machine.unplug(UsbKeyboard.MAGSTRIPE)
    usb_town.reader.expect("Swipe again")
    machine.plug(UsbKeyboard.MAGSTRIPE)
    usb_town.reader.expect("swiper .* is there")
    machine.type_on(UsbKeyboard.MAGSTRIPE, usb_town.card.stripe + "\n")
    usb_town.reader.expect("Enter PIN")
    machine.type_on(UsbKeyboard.KEYPAD, usb_town.card.pin + "\n")
    usb_town.reader.expect("APPROVED")
    assert usb_town.receipt(charge).outcome == "completed"


def test_cancel_on_the_keypad_ends_the_payment(machine: Machine, usb_town: BenchTown) -> None:
    charge = usb_town.charge()
    usb_town.approve()
    usb_town.reader.expect("Swipe your card")
    machine.type_on(UsbKeyboard.KEYPAD, "\x1b")
    receipt = usb_town.receipt(charge)
    assert (receipt.outcome, receipt.reason) == ("not_settled", "refused_user_cancelled")
