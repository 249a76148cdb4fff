"""A phone in a process of its own: joins the ether on the port given, connects, says so and stays."""

from __future__ import annotations

import asyncio
import sys

from conftest import connect

from virtual_radio.joining import join


async def main(port: int) -> None:
    handset = await connect(await join("127.0.0.1", port))
    print("connected", flush=True)
    await handset.gone.wait()


asyncio.run(main(int(sys.argv[1])))
