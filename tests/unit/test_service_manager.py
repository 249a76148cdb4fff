"""What systemd is told of a program, over a real datagram socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service_host.service_manager import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


async def test_ready_alive_reloading_and_stopping(manager: socket.socket) -> None:
    loop, payments = asyncio.get_running_loop(), [0]
    told = ServiceManager({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000"})
    told.ready(lambda: f"{payments[0]} payments in flight")
    assert await loop.sock_recv(manager, 200) == b"READY=1\nSTATUS=0 payments in flight"
    payments[0] = 3
    assert await loop.sock_recv(manager, 200) == b"WATCHDOG=1\nSTATUS=3 payments in flight"
    told.reloading()
    told.ready(lambda: "again")
    told.stopping(30.0)
    heard = [await loop.sock_recv(manager, 200)]
    while not heard[-1].startswith(b"STOPPING=1"):
        heard.append(await loop.sock_recv(manager, 200))
    assert b"EXTEND_TIMEOUT_USEC=30000000" in heard[-1]
    assert any(word.startswith(b"RELOADING=1\nMONOTONIC_USEC=") for word in heard)
    assert b"READY=1\nSTATUS=again" in heard


@pytest.mark.parametrize(
    "environment",
    [{}, {"NOTIFY_SOCKET": "/nowhere/notify"}, {"NOTIFY_SOCKET": "@nobody-listens", "WATCHDOG_USEC": "x"}],
)
async def test_without_a_service_manager_nothing_happens(environment: dict[str, str]) -> None:
    told = ServiceManager(environment)
    told.ready(lambda: "here")
    told.reloading()
    told.stopping()


async def test_the_end_and_nothing_after_it(manager: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    told = ServiceManager({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000"})
    told.ready(lambda: "Reader 1\nREADY=0")
    assert await loop.sock_recv(manager, 200) == b"READY=1\nSTATUS=Reader 1 READY=0"
    for _ in range(3):
        assert await loop.sock_recv(manager, 200) == b"WATCHDOG=1\nSTATUS=Reader 1 READY=0"
    told.stopping()
    while (last := await loop.sock_recv(manager, 200)).startswith(b"WATCHDOG=1"):
        pass
    assert last == b"STOPPING=1\nSTATUS=stopping"
    await asyncio.sleep(0.03)  # no sign of life after it
    with pytest.raises(BlockingIOError):
        manager.recv(200)


async def test_a_watchdog_of_another_process_is_not_ours(manager: socket.socket) -> None:
    address = manager.getsockname()
    told = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    told.ready(lambda: "Reader 1")
    loop = asyncio.get_running_loop()
    heard = [await loop.sock_recv(manager, 200), await loop.sock_recv(manager, 200)]
    await asyncio.sleep(0.03)  # the other's time has passed many times, ours, for the status line, has not
    told.stopping()
    heard.append(await loop.sock_recv(manager, 200))
    assert [words.split(b"\n")[0] for words in heard] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
