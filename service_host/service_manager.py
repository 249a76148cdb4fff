"""Tells systemd how a program is (sd_notify(3)): ready, alive, reloading, stopping. Else nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

_MICROSECONDS: Final = 1_000_000
STATUS_EVERY: Final = 5.0
"""Seconds between status lines, where the watchdog wants to hear of us less often."""


class ServiceManager:
    """Speaks on the socket of NOTIFY_SOCKET; `environment` is the process's own."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An '@' is a name in the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._alive_every = _alive_every(environment)
        self._task: asyncio.Task[None] | None = None

    def ready(self, status: Callable[[], str]) -> None:
        """Started; from now on the event loop shows that it turns, with the line that `status` says."""
        self._say("READY=1", status())
        if self._address and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_alive(status))

    def reloading(self) -> None:
        """Settings are read again; `ready` says when that is done."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self, within: float | None = None) -> None:
        """The end has begun; with `within` it may take so many seconds, whatever the unit says."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        longer = "" if within is None else f"\nEXTEND_TIMEOUT_USEC={int(within * _MICROSECONDS)}"
        self._say(f"STOPPING=1{longer}", "stopping")

    async def _keep_alive(self, status: Callable[[], str]) -> None:
        every = STATUS_EVERY if self._alive_every is None else min(self._alive_every, STATUS_EVERY)
        while True:
            self._say("WATCHDOG=1", status())
            await asyncio.sleep(every)

    def _say(self, text: str, status: str | None = None) -> None:
        """`status` is one line, whatever is in it: a line of its own would be another message."""
        if not self._address:
            return
        if status is not None:
            text += f"\nSTATUS={' '.join(status.split())}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(text.encode(), self._address)
        except OSError:
            pass  # systemd judges a silent service by its own clock; no payment must end for it


def _alive_every(environment: Mapping[str, str]) -> float | None:
    """Half of the watchdog's time (sd_watchdog_enabled(3)), None where it is off or another process's."""
    given, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not given.isdecimal() or int(given) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(given) / _MICROSECONDS / 2
