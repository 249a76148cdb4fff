"""The reader's own swiper and keypad on real USB keyboards: learned, kept from the console, unplugged."""

from __future__ import annotations

import time
import tomllib

from tests.bluez.guest import GuestProgram
from tests.bluez.image import VENV
from tests.bluez.machine import Machine, UsbKeyboard

NUMBER = "4111111111111111"
STRIPE = f"%B{NUMBER}^DOE/JANE^49122010000?;{NUMBER}=49122010000?\n"
SETTINGS = "/home/reader/reader.toml"
# The devices as `reader-peripheral run` makes them, without a payment around them.
_USE = """
import asyncio, pathlib, sys
from protocol.track_data import Swipe
from reader_peripheral.adapters.terminal import TerminalInput
from reader_peripheral.devices import input_devices
from reader_peripheral.settings import read_settings

async def main():
    settings = read_settings(pathlib.Path(sys.argv[1]))
    swiper, keypad = input_devices(settings.swiper, settings.keypad, TerminalInput(0))
    def take(result):
        if isinstance(result, Swipe):
            size = len(bytes(result.card_plaintext()).rstrip(bytes(1)))
            print("swipe card", result.last_four, size, flush=True)
        else:
            print("swipe", result.name, flush=True)
        swiper.arm()
    await keypad.open(lambda key: print("key", key.value, flush=True))
    await swiper.open(take)
    swiper.arm()
    print("present", swiper._device.present, keypad._device.present, flush=True)
    while True:
        await asyncio.sleep(0.2)
        if sys.argv[2:] == ["watch"]:
            print("plugged" if swiper._device.present else "unplugged", flush=True)

asyncio.run(main())
"""


def use(machine: Machine, *more: str) -> GuestProgram:
    """Start the two devices as the user that the reader runs as."""
    command = (f"{VENV}/bin/python", "-c", _USE, SETTINGS, *more)
    using = machine.guest.start("devices", *command, user="reader")
    using.expect("present True True")
    return using


def learn(machine: Machine, role: str, keyboard: UsbKeyboard, typed: str) -> str:
    """What the command said."""
    command = ("reader-peripheral", "learn", role, "--settings", SETTINGS, "--seconds", "120")
    learning = machine.guest.start(f"learn {role}", *command, user="reader")
    learning.expect("Ctrl-C stops")
    machine.type_on(keyboard, typed)
    assert learning.finish() == 0, learning.output
    return learning.output


def test_learn_writes_down_which_is_which_and_shows_no_card(machine: Machine) -> None:
    # The processor is emulated: a pause between two characters can be long.
    machine.guest.run("sh", "-c", f"printf '[swiper]\\nidle_seconds = 2.0\\n' > {SETTINGS}", user="reader")
    said = learn(machine, "swiper", UsbKeyboard.MAGSTRIPE, STRIPE)
    said += learn(machine, "keypad", UsbKeyboard.KEYPAD, "5")
    assert "4111" not in said
    written = tomllib.loads(machine.guest.read_file(SETTINGS).decode())
    usb = {"kind": "keyboard", "vendor": 0x0627, "product": 0x0001}
    assert written == {
        "swiper": {**usb, "uniq": "MAGSTRIPE0001", "idle_seconds": 2.0},
        "keypad": {**usb, "uniq": "KEYPAD0001"},
    }


def test_swipe_and_pin_reach_the_reader_and_not_the_console(machine: Machine) -> None:
    console = machine.guest.start("console", "cat", "/dev/tty1")
    using = use(machine)
    machine.type_on(UsbKeyboard.MAGSTRIPE, STRIPE)
    using.expect("swipe card 1111 69")
    machine.type_on(UsbKeyboard.KEYPAD, "1234\b\n\x1b")
    for key in ("1", "2", "3", "4", "clear", "enter", "cancel"):
        using.expect(f"key {key}\n")
    assert console.output == ""
    using.kill()
    # Ungrabbed, the same keyboard does type at the console: the silence above was the grab.
    machine.type_on(UsbKeyboard.MAGSTRIPE, "seen\n")
    console.expect("seen")
    console.kill()


def test_unplugged_in_the_middle_of_a_swipe_and_back(machine: Machine) -> None:
    using = use(machine, "watch")
    machine.type_on(UsbKeyboard.MAGSTRIPE, STRIPE[:30])
    machine.unplug(UsbKeyboard.MAGSTRIPE)
    using.expect("swipe KEYS_LOST")
    using.expect("unplugged")
    time.sleep(1)
    machine.plug(UsbKeyboard.MAGSTRIPE)
    using.expect("\nplugged")
    machine.type_on(UsbKeyboard.MAGSTRIPE, STRIPE)
    using.expect("swipe card 1111 69")
    using.kill()
