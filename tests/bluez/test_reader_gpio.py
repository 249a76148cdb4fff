"""The matrix keypad on lines of the kernel's own GPIO character device, pulled by its simulator, gpio-sim."""

from __future__ import annotations

from tests.bluez.guest import GuestProgram
from tests.bluez.image import VENV
from tests.bluez.machine import Machine

CHIP = "/sys/kernel/config/gpio-sim/keypad"
KEYS = "1 2 3 4 5 6 7 8 9 0 enter cancel"
_MAKE = f"""
modprobe -a gpio-sim && (mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config)
mkdir -p {CHIP}/bank && echo 13 > {CHIP}/bank/num_lines && echo 1 > {CHIP}/live
chmod 666 /dev/$(cat {CHIP}/bank/chip_name)
name=$(cat {CHIP}/bank/chip_name)
echo chip $name at /sys/devices/platform/$(cat {CHIP}/dev_name)/$name
"""
# One row: what the simulator cannot do is join a row to a column while it is low.
_USE = f"""
import asyncio, glob, sys
sys.path[:0] = glob.glob("/luggage/*.whl")
from reader_peripheral.adapters.gpio_keypad import GpioKeypad
from reader_peripheral.input_settings import KeypadKind, KeypadSettings

async def main():
    columns = tuple(range(1, 13))
    settings = KeypadSettings(
        KeypadKind.GPIO, chip=sys.argv[1], row_lines=(0,), column_lines=columns, layout=("{KEYS}",)
    )
    keypad = GpioKeypad(settings)
    await keypad.open(lambda key: print("key", key.value, flush=True))
    print("open", flush=True)
    while True:
        await asyncio.sleep(0.5)
        if keypad._matrix.at_rest:
            print("rests", flush=True)

asyncio.run(main())
"""


def test_keys_that_the_kernel_sees_reach_the_reader(machine: Machine) -> None:
    _, chip, _, place = machine.guest.run("sh", "-ec", _MAKE).split()
    command = (f"{VENV}/bin/python", "-c", _USE, f"/dev/{chip}")
    using: GuestProgram = machine.guest.start("keypad", *command, user="reader")
    using.expect("open\n")
    for column, key in enumerate(KEYS.split(), start=1):
        pull = f"{place}/sim_gpio{column}/pull"
        machine.guest.run("sh", "-ec", f"echo pull-down > {pull}")
        using.expect(f"key {key}\n")
        machine.guest.run("sh", "-ec", f"echo pull-up > {pull}")
        using.expect("rests\n")
    assert using.output.count("key ") == len(KEYS.split())
    taken = machine.guest.start("second", *command, user="reader")
    taken.expect("See: gpioinfo")
    using.kill()
