"""The two USB keyboards: told apart, typed on as fast as a magstripe reader, unplugged and back."""

from __future__ import annotations

from tests.bluez.image import VENV
from tests.bluez.machine import Machine, UsbKeyboard

STRIPE = "%B4111111111111111^DOE/JANE^49122010000?;4111111111111111=49122010000?"
_READ_A_LINE = """
import evdev, sys
wanted, plain = sys.argv[1], {}
keyboards = [evdev.InputDevice(path) for path in evdev.list_devices()]
keyboard = next(one for one in keyboards if one.uniq == wanted)
keyboard.grab()
print("grabbed", flush=True)
line = []
try:
    for event in keyboard.read_loop():
        if event.type == evdev.ecodes.EV_KEY and event.value == 1:
            name = evdev.ecodes.KEY[event.code]
            line.append(name if isinstance(name, str) else name[0])
            if line[-1] in ("KEY_ENTER", "KEY_KPENTER"):
                break
except OSError as error:
    print("gone", error.errno, flush=True)
print("line", *line, flush=True)
"""


def read_a_line(machine: Machine, keyboard: UsbKeyboard):  # type: ignore[no-untyped-def]
    reading = machine.guest.start("evdev", f"{VENV}/bin/python", "-c", _READ_A_LINE, keyboard.value)
    reading.expect("grabbed")
    return reading


def test_what_is_typed_arrives_where_it_belongs(machine: Machine) -> None:
    card, pin = (read_a_line(machine, keyboard) for keyboard in UsbKeyboard)
    machine.type_on(UsbKeyboard.MAGSTRIPE, STRIPE + "\n")
    machine.type_on(UsbKeyboard.KEYPAD, "1234\n")
    typed = card.expect("line (.*)")[1].split()
    assert typed[:4] == ["KEY_LEFTSHIFT", "KEY_5", "KEY_LEFTSHIFT", "KEY_B"]
    assert len([key for key in typed if key != "KEY_LEFTSHIFT"]) == len(STRIPE) + 1
    assert pin.expect("line (.*)")[1].split() == ["KEY_KP1", "KEY_KP2", "KEY_KP3", "KEY_KP4", "KEY_KPENTER"]


def test_a_keyboard_comes_back_after_it_was_unplugged(machine: Machine) -> None:
    cut = read_a_line(machine, UsbKeyboard.MAGSTRIPE)
    machine.unplug(UsbKeyboard.MAGSTRIPE)
    cut.expect("gone 19")
    machine.plug(UsbKeyboard.MAGSTRIPE)
    machine.guest.run("udevadm", "settle")
    again = read_a_line(machine, UsbKeyboard.MAGSTRIPE)
    machine.type_on(UsbKeyboard.MAGSTRIPE, "1\n")
    again.expect("line KEY_1 KEY_ENTER")
