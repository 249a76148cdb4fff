"""Reader and handset in processes of their own, over TCP; either may die at any moment."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bleak import BleakScanner
from bleak.exc import BleakError

from protocol import gatt
from protocol.errors import InputError
from virtual_radio.bleak_backend import backends
from virtual_radio.endpoint import Endpoint, parse_endpoint
from virtual_radio.ether import Ether
from virtual_radio.joining import join

if TYPE_CHECKING:
    from conftest import Connect, Reader

Start = Callable[[str, int], Awaitable[tuple[asyncio.subprocess.Process, str]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts one of the scripts beside this file; returns the process and its first line."""
    processes: list[asyncio.subprocess.Process] = []

    async def run(script: str, port: int) -> tuple[asyncio.subprocess.Process, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, Path(__file__).with_name(script), str(port), stdout=asyncio.subprocess.PIPE
        )
        processes.append(process)
        assert process.stdout
        return process, (await process.stdout.readline()).decode()

    yield run
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_handset_talks_to_a_reader_in_another_process(start: Start, connect: Connect) -> None:
    _, ready = await start("reader_process.py", 0)
    radio = await join("127.0.0.1", int(ready.split()[1]))
    handset = await connect(radio)
    await handset.subscribe()
    pieces = [bytes([number]) * gatt.LARGEST_VALUE for number in range(9)]
    for piece in pieces:
        await handset.client.write_gatt_char(gatt.KEY_UUID, piece, response=True)
    assert [await handset.notified.get() for _ in pieces] == pieces
    await handset.client.disconnect()
    await radio.close()


async def test_a_killed_reader_is_noticed_and_found_again_when_it_returns(
    start: Start, connect: Connect
) -> None:
    process, ready = await start("reader_process.py", 0)
    port = int(ready.split()[1])
    radio = await join("127.0.0.1", port)
    handset = await connect(radio)
    process.kill()
    await handset.gone.wait()
    assert not handset.client.is_connected
    scanner, _ = backends(radio)
    with pytest.raises(BleakError):
        await BleakScanner.discover(timeout=0.1, backend=scanner)
    await process.wait()
    await start("reader_process.py", port)
    again = await connect(radio)
    await again.subscribe()
    await again.client.write_gatt_char(gatt.KEY_UUID, b"back", response=True)
    assert await again.notified.get() == b"back"
    await radio.close()


async def test_a_killed_handset_is_noticed_and_the_reader_is_free_again(
    ether: Ether, reader: Reader, start: Start, connect: Connect
) -> None:
    port = await ether.serve("127.0.0.1", 0)
    process, line = await start("phone_process.py", port)
    assert line == "connected\n"
    assert await reader.links.get()
    process.kill()
    assert not await reader.links.get()
    radio = await join("127.0.0.1", port)
    assert (await connect(radio)).client.is_connected
    await radio.close()


async def test_several_handsets_may_join(ether: Ether, reader: Reader, connect: Connect) -> None:
    port = await ether.serve("127.0.0.1", 0)
    first, second = await join("127.0.0.1", port), await join("127.0.0.1", port)
    handset = await connect(first)
    await handset.client.disconnect()
    other = await connect(second)
    assert await other.client.read_gatt_char(gatt.STATUS_UUID) == gatt.Status.IDLE.encode()
    await first.close()
    await second.close()


async def test_what_is_no_hci_is_switched_off_and_harms_nobody(
    ether: Ether, reader: Reader, connect: Connect
) -> None:
    port = await ether.serve("127.0.0.1", 0)
    radio = await join("127.0.0.1", port)
    handset = await connect(radio)
    stream, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await stream.read() == b""
    writer.close()
    assert await handset.client.read_gatt_char(gatt.STATUS_UUID) == gatt.Status.IDLE.encode()
    await radio.close()


async def test_joining_where_nothing_is_served_says_so() -> None:
    async with Ether() as ether:
        port = await ether.serve("127.0.0.1", 0)
    with pytest.raises(ConnectionError):
        await join("127.0.0.1", port)


async def test_joining_what_is_no_ether_says_so() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        with pytest.raises(ConnectionError):
            await join("127.0.0.1", server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "localhost", "example.com", ""])
async def test_the_ether_is_served_on_loopback_only(ether: Ether, host: str) -> None:
    with pytest.raises(InputError):
        await ether.serve(host, 0)
    with pytest.raises(InputError):
        await join(host, 1)


@pytest.mark.parametrize(
    "text", ["", "9911", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", ":1"]
)
def test_an_endpoint_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_endpoint(text)
    assert refused.value.code == "invalid_radio"


def test_endpoints_as_people_write_them() -> None:
    assert parse_endpoint("127.0.0.1:9911") == Endpoint("127.0.0.1", 9911)
    assert parse_endpoint("[::1]:9911") == Endpoint("::1", 9911)
