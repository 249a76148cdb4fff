"""A whole payment on USB hardware: swiped and typed on two keyboards, over real bluetoothd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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


def test_a_card_swiped_and_a_pin_typed_on_usb_are_paid_with(machine: Machine, usb_town: BenchTown) -> None:
    charge = usb_town.charge()
    usb_town.approve()
    usb_town.reader.expect("Swipe your card")
    machine.type_on(UsbKeyboard.MAGSTRIPE, usb_town.card.stripe + "\n")
    usb_town.reader.expect("Enter PIN")
    machine.type_on(UsbKeyboard.KEYPAD, "9\b" + usb_town.card.pin + "\n")
    usb_town.reader.expect("APPROVED")
    assert usb_town.receipt(charge).outcome == "completed"


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
