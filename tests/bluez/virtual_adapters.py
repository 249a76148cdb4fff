"""Runs in the guest: two Bluetooth adapters for its kernel, and a third radio for a stranger, in one room.

    virtual_adapters.py PORT

The room is virtual_radio's; Linux takes two of its controllers through /dev/vhci, and whoever connects to
PORT of loopback has the third one's HCI. (btvirt, which is made for this, says each advertisement once: a
scan that starts a moment late hears nothing.) Lines on standard input: `part` takes the radios out of range
of each other, `meet` brings them back, `cut` drops the links only.
"""

from __future__ import annotations

import asyncio
import sys

from bumble.hci import Address, LeFeatureMask
from bumble.transport import open_transport

from virtual_radio.airwaves import Airwaves
from virtual_radio.conditions import RadioConditions
from virtual_radio.controller import RadioController

ADDRESS = "F0:F0:F0:F0:F0:{:02X}"
# As a kernel's controller Bumble's has gaps here: privacy, and advertising in sets (Bumble issue 841).
NOT_OFFERED = LeFeatureMask.LL_PRIVACY | LeFeatureMask.LE_EXTENDED_ADVERTISING


async def main(port: str) -> None:
    room = Airwaves(RadioConditions())
    for number, place in enumerate(("vhci", "vhci", f"tcp-server:127.0.0.1:{port}")):
        transport = await open_transport(place)
        address = Address(ADDRESS.format(number), Address.PUBLIC_DEVICE_ADDRESS)
        controller = RadioController(f"radio {number}", room, address)
        controller.le_features &= ~NOT_OFFERED
        controller.set_packet_sink(transport.sink)
        transport.source.set_packet_sink(controller)
    print("radios are on", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().strip():
        if line == "meet":
            room.in_range = True
        else:
            room.in_range = line != "part"
            room.cut()
        print(f"done: {line}", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
