"""Swipers at the pace of real ones, made of kernel input: a keyboard in bursts, a MagTek in HID mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.bluez.bluetooth import GUEST_PYTHON
from tests.bluez.guest import GuestProgram
from tests.bluez.machine import Machine, UsbKeyboard
from tests.bluez.town import BenchTown
from tests.unit.reader_magtek_reports import report_of

SETTINGS = "/home/reader/fast.toml"
KEYPAD = '[keypad]\nkind = "keyboard"\nuniq = "KEYPAD0001"\n'
# As long as settings unless said otherwise: a swipe is over half a second after its last character.
TYPING = f'[swiper]\nkind = "keyboard"\nvendor = 0x1bad\nproduct = 1\n{KEYPAD}'
MAGTEK = f'[swiper]\nkind = "magtek-hid"\n{KEYPAD}'
MOST_SWIPES = 5
"""A reader too slow for a burst says so, and the person swipes again; the processor here is emulated."""


@contextmanager
def reader_with(town: BenchTown, kind: str, settings: str) -> Iterator[GuestProgram]:
    """The town's reader with such a swiper, which is plugged in."""
    command = (GUEST_PYTHON, "/luggage/fast_swiper.py", kind)
    swiper = town.guest.start(f"{kind} swiper", *command)
    node = swiper.expect("there: (.*)\n")[1]
    if kind == "magtek":
        # The udev rule does this for a USB device, which one made by uhid is not.
        town.guest.run("chown", "reader", node)
    town.guest.run("sh", "-c", f"cat > {SETTINGS}", user="reader", typed=settings)
    town.reader.stop()
    try:
        town.start_reader("--settings", SETTINGS)
        yield swiper
    finally:
        swiper.kill()
        town.reader.stop()
        town.start_reader()


def pay(machine: Machine, town: BenchTown, swiper: GuestProgram, swipe: str) -> None:
    """A payment in which the person swipes as often as the reader asks for it."""
    charge = town.charge()
    town.approve()
    town.reader.expect("Swipe your card")
    for _ in range(MOST_SWIPES):
        swiper.type(swipe)
        if town.reader.expect("Enter PIN|Swipe again")[0] == "Enter PIN":
            break
    machine.type_on(UsbKeyboard.KEYPAD, town.card.pin + "\n")
    town.reader.expect("APPROVED")
    assert town.receipt(charge).outcome == "completed"


def test_a_swiper_that_types_as_fast_as_usb_is_paid_with(machine: Machine, town: BenchTown) -> None:
    with reader_with(town, "keyboard", TYPING) as swiper:
        pay(machine, town, swiper, town.card.stripe)


def test_key_presses_that_the_kernel_drops_are_no_card(machine: Machine, town: BenchTown) -> None:
    with reader_with(town, "burst", TYPING) as swiper:
        charge = town.charge()
        town.approve()
        town.reader.expect("Swipe your card")
        swiper.type(town.card.stripe)
        town.reader.expect("Swipe again")
        machine.type_on(UsbKeyboard.KEYPAD, "\x1b")
        assert town.receipt(charge).reason == "refused_user_cancelled"


def test_a_magtek_reader_in_hid_mode_is_paid_with(machine: Machine, town: BenchTown) -> None:
    with reader_with(town, "magtek", MAGTEK) as swiper:
        pay(machine, town, swiper, report_of(town.card.stripe).hex())
