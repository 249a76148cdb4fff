"""What systemd is told (a real datagram socket), and what the process forbids itself (a real process)."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reader_peripheral.adapters.service_manager import ServiceManager


async def test_ready_alive_and_stopping(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.setblocking(False)
        loop = asyncio.get_running_loop()
        told = ServiceManager({"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "20000"})
        told.ready("Reader 1\nREADY=0")
        assert await loop.sock_recv(manager, 100) == b"READY=1\nSTATUS=Reader 1 READY=0"
        for _ in range(3):
            assert await loop.sock_recv(manager, 100) == b"WATCHDOG=1"
        told.stopping()
        while (last := await loop.sock_recv(manager, 100)) == b"WATCHDOG=1":
            pass
        assert last == b"STOPPING=1"
        await asyncio.sleep(0.03)  # no sign of life after it
        with pytest.raises(BlockingIOError):
            manager.recv(100)


@pytest.mark.parametrize(
    "environment",
    [{}, {"NOTIFY_SOCKET": "/nowhere/notify"}, {"NOTIFY_SOCKET": "@nobody-listens", "WATCHDOG_USEC": "x"}],
)
async def test_without_a_service_manager_nothing_happens(environment: dict[str, str]) -> None:
    manager = ServiceManager(environment)
    manager.ready("Reader 1")
    manager.stopping()


async def test_a_watchdog_of_another_process_is_not_ours(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        environment = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "1000",
            "WATCHDOG_PID": "1",
        }
        manager = ServiceManager(environment)
        manager.ready("Reader 1")
        await asyncio.sleep(0)
        manager.stopping()
        assert listener.recv(100).startswith(b"READY=1")
        assert listener.recv(100) == b"STOPPING=1"


ASK = """
import ctypes, resource, sys
unlimited = sys.argv[1] == "unlimited"
ask = resource.getrlimit
# What the service's LimitMEMLOCK=infinity gives; a test may not raise its own hard limit.
resource.getrlimit = lambda what: (resource.RLIM_INFINITY,) * 2 if unlimited else (65536, 65536)
from reader_peripheral.process_hardening import harden_process
harden_process()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
locked = int(status["VmLck"].split()[0]) > 0
print(ask(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), locked)
"""
MAY_LOCK = "import ctypes, sys; sys.exit(ctypes.CDLL(None).mlockall(7) != 0)"


def hardened(limit: str) -> str:
    command = [sys.executable, "-c", ASK, limit]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl and mlockall are Linux's")
def test_no_core_dumps_no_ptrace_and_memory_locked_where_allowed() -> None:
    assert hardened("limited") == "(0, 0) 0 False", "under a limit, locking makes later allocations fail"
    may_lock = subprocess.run([sys.executable, "-c", MAY_LOCK], timeout=60, check=False).returncode == 0
    assert hardened("unlimited") == f"(0, 0) 0 {may_lock}"
