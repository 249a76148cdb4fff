"""Runs in the guest: two Bluetooth adapters for its kernel, and a third radio for a stranger, in one room.

    virtual_adapters.py PORT

The room is virtual_radio's; Linux takes two of its controllers through /dev/vhci, and whoever connects to
PORT of loopback has the third one's HCI. (btvirt, which is made for this, says each advertisement once: a
scan that starts a moment late hears nothing.) Lines on standard input: `part` takes the radios out of range
of each other, `meet` brings them back, `cut` drops the links only; `unplug` and `plug` are the first radio's.
"""

from __future__ import annotations

import asyncio
import sys

from bumble.hci import Address, LeFeatureMask
from bumble.transport import open_transport
from bumble.transport.common import Transport

from virtual_radio.airwaves import Airwaves
from virtual_radio.conditions import RadioConditions
from virtual_radio.controller import RadioController

ADDRESS = "F0:F0:F0:F0:F0:{:02X}"
# As a kernel's controller Bumble's has gaps here: privacy, and advertising in sets (Bumble issue 841).
NOT_OFFERED = LeFeatureMask.LL_PRIVACY | LeFeatureMask.LE_EXTENDED_ADVERTISING


class Radio:
    """One that is on, until it is unplugged."""

    def __init__(self, room: Airwaves, number: int, transport: Transport) -> None:
        self._room = room
        self._transport = transport
        address = Address(ADDRESS.format(number), Address.PUBLIC_DEVICE_ADDRESS)
        self._controller = RadioController(f"radio {number}", room, address)
        self._controller.le_features &= ~NOT_OFFERED
        self._controller.set_packet_sink(transport.sink)
        transport.source.set_packet_sink(self._controller)

    async def unplug(self) -> None:
        """Its links go down, and its computer has an adapter less."""
        self._room.cut()
        self._room.remove_controller(self._controller)
        await self._transport.close()


async def main(port: str) -> None:
    room = Airwaves(RadioConditions())
    places = ("vhci", "vhci", f"tcp-server:127.0.0.1:{port}")
    radios = [Radio(room, number, await open_transport(place)) for number, place in enumerate(places)]
    print("radios are on", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().strip():
        if line == "meet":
            room.in_range = True
        elif line == "unplug":
            await radios[0].unplug()
        elif line == "plug":
            radios[0] = Radio(room, 0, await open_transport("vhci"))
        else:
            room.in_range = line != "part"
            room.cut()
        print(f"done: {line}", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
