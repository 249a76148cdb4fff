"""Programs in the guest, run and talked to from here as tests/journey/programs.py does on this machine."""

from __future__ import annotations

import base64
import json
import signal
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.journey.transcript import ProgramError, Transcript

PATIENCE = 90.0
"""Seconds: the guest's processor is emulated, and a Python program takes some to start."""
BOOT_PATIENCE = 240.0


class GuestProgram(Transcript):
    """One program in the guest."""

    def __init__(self, name: str, guest: Guest, job: int) -> None:
        super().__init__(name, PATIENCE)
        self._guest = guest
        self._job = job
        self._gone = threading.Event()
        self._status: int | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives, as far as is heard here."""
        return not self._gone.is_set()

    def hear_status(self, status: int) -> None:
        """The agent says that it ended."""
        self._status = status
        self.hear_the_end()
        self._gone.set()

    def press(self, keys: str) -> None:
        """Press keys; "\\n" is Enter."""
        if not self.running:
            raise ProgramError(f"{self.name} ended before it was typed at:\n{self.output}")
        self._guest.tell({"type": keys, "job": self._job})

    def type(self, text: str) -> None:
        """Type a line and Enter."""
        self.press(text + "\n")

    def end_of_input(self) -> None:
        """Nothing more will be typed."""
        self._guest.tell({"end_of_input": True, "job": self._job})

    def finish(self, patience: float = PATIENCE) -> int:
        """Wait for the program to end by itself and give its exit status."""
        if not self._gone.wait(patience):
            raise ProgramError(f"{self.name} did not end within {patience:g} s:\n{self.output}")
        assert self._status is not None
        return self._status

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self.running:
            self._guest.tell({"signal": number, "job": self._job})

    def stop(self, patience: float = PATIENCE) -> int:
        """Ask it to end (SIGTERM), as a service is stopped."""
        self.signal(signal.SIGTERM)
        return self.finish(patience)

    def kill(self) -> None:
        """SIGKILL, to it and its children; it is gone when this returns."""
        self.signal(signal.SIGKILL)
        self.finish()


class Guest:
    """The agent in the guest, over the socket that QEMU joins to its serial port."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(address))
        self._telling = threading.Lock()
        self._programs: list[GuestProgram] = []
        self._ready = threading.Event()
        self._closed = False
        self.boot_seconds = 0.0
        """By the guest's clock, from the kernel's start to the agent's."""
        self._ear = threading.Thread(target=self._listen, name="the guest's agent", daemon=True)
        self._ear.start()

    def wait_until_ready(self) -> None:
        """Wait for the guest to boot; raises ProgramError."""
        if not self._ready.wait(BOOT_PATIENCE) or self._closed:
            raise ProgramError("the guest did not boot")

    def tell(self, order: dict[str, Any]) -> None:
        """Send the agent an order."""
        with self._telling:
            self._socket.sendall(json.dumps(order).encode() + b"\n")

    def start(
        self,
        name: str,
        *command: str,
        user: str | None = None,
        terminal: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> GuestProgram:
        """Start a program as `user` (root), on a terminal of its own or with pipes."""
        program = GuestProgram(name, self, len(self._programs))
        self._programs.append(program)
        self.tell(
            {
                "start": command,
                "job": len(self._programs) - 1,
                "user": user,
                "terminal": terminal,
                "environment": dict(environment or {}),
            }
        )
        return program

    def run(self, *command: str, user: str | None = None, typed: str | None = None, status: int = 0) -> str:
        """Run a command to its end, with its exit status checked; gives what it printed."""
        program = self.start(" ".join(command[:2]), *command, user=user)
        if typed is not None:
            program.type(typed)
        program.end_of_input()
        ended_with = program.finish()
        if ended_with != status:
            raise ProgramError(f"{command} ended with {ended_with}, not {status}:\n{program.output}")
        return program.output

    def read_file(self, path: str) -> bytes:
        """A file of the guest."""
        return base64.b64decode(self.run("base64", path))

    def log(self) -> str:
        """What all programs said, in the order of their starts."""
        return "".join(f"===== {program.name} =====\n{program.output}\n" for program in self._programs)

    def close(self) -> None:
        """Hang up; programs that live are heard no more."""
        self._socket.close()
        self._ear.join(5)

    def _listen(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(line))
        except (OSError, ValueError):
            pass  # QEMU ended; whoever waits for a program hears of that below
        self._closed = True
        self._ready.set()
        for program in self._programs:
            if program.running:
                program.hear_status(-1)

    def _hear(self, what: dict[str, Any]) -> None:
        if "ready" in what:
            self.boot_seconds = what["ready"]
            self._ready.set()
        elif "said" in what:
            self._programs[what["job"]].hear(what["said"])
        else:
            self._programs[what["job"]].hear_status(what["ended"])


def eventually(condition: Any, what: str, patience: float = PATIENCE) -> None:
    """Wait until `condition()` is true; for what no program says by itself."""
    until = time.monotonic() + patience
    while not condition():
        if time.monotonic() > until:
            raise ProgramError(f"{what}: not within {patience:g} s")
        time.sleep(0.2)
