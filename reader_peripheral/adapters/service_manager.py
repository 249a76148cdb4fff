"""Tells systemd how the reader is (sd_notify): ready, alive, what it does. Without systemd, nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping

_MICROSECONDS = 1_000_000


class ServiceManager:
    """Speaks on the socket of NOTIFY_SOCKET, as in sd_notify(3); `environment` is the process's own."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An '@' is a name in the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._alive_every = _alive_every(environment)
        self._task: asyncio.Task[None] | None = None

    def ready(self, status: str) -> None:
        """Started, with a line for `systemctl status`.

        From now on the loop shows that it turns, as often as the watchdog wants.
        """
        self._say(f"READY=1\nSTATUS={_line(status)}")
        if self._address and self._alive_every is not None:
            self._task = asyncio.get_running_loop().create_task(self._keep_alive(self._alive_every))

    def stopping(self) -> None:
        """The end has begun."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._say("STOPPING=1")

    async def _keep_alive(self, seconds: float) -> None:
        while True:
            self._say("WATCHDOG=1")
            await asyncio.sleep(seconds)

    def _say(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(text.encode(), self._address)
        except OSError:
            pass  # systemd judges a silent service by its own clock; a payment must not end for it


def _alive_every(environment: Mapping[str, str]) -> float | None:
    """Half of the watchdog's time (sd_watchdog_enabled(3)), None where it is off or another process's."""
    given, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not given.isdecimal() or int(given) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(given) / _MICROSECONDS / 2


def _line(text: str) -> str:
    return " ".join(text.split())
