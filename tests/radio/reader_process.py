"""A reader in a process of its own: serves the ether, says `ready PORT`, echoes what is written."""

from __future__ import annotations

import asyncio
import sys

from conftest import start_reader

from virtual_radio.ether import Ether


async def main(port: int) -> None:
    async with Ether() as ether:
        reader = await start_reader(await ether.add_device("reader"))
        print("ready", await ether.serve("127.0.0.1", port), flush=True)
        while True:
            reader.notify(await reader.written.get())


asyncio.run(main(int(sys.argv[1])))
