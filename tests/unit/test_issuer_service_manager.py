"""What systemd is told of the issuer, over a real datagram socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer_server.service_manager import ServiceManager


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
    told.stopping(1.0)
