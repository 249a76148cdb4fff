"""The machine that a `doctor` looks at; a test sets one up by saying what its commands answer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

from service_host.findings import Finding, Level

_COMMAND_SECONDS: Final = 5.0


class AnyMachine:
    """What every doctor asks; each party's own looks at more."""

    def run(self, *command: str) -> str | None:
        """What a command prints, whatever its status; None where it is not there or hangs."""
        if shutil.which(command[0]) is None:
            return None
        try:
            done = subprocess.run(  # noqa: S603 - fixed commands of the doctors
                command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip()


def service(machine: AnyMachine, unit: str, install: str) -> Iterator[Finding]:
    """A systemd unit: running now, and with the machine's next start; `install` is how it comes here."""
    enabled = machine.run("systemctl", "is-enabled", unit)
    active = machine.run("systemctl", "is-active", unit)
    if active in (None, "", "offline"):
        yield Finding("service", Level.UNKNOWN, "systemd does not run here")
    elif active == "active":
        level, remedy = Level.OK, ""
        if enabled != "enabled":
            level, remedy = Level.NOTE, f"To start it with the machine, run: sudo systemctl enable {unit}"
        yield Finding("service", level, f"{unit} runs, and is {enabled}", remedy)
    elif enabled in (None, "", "not-found"):
        yield Finding("service", Level.NOTE, "not installed", install)
    else:
        remedy = f"See: journalctl -u {unit}, and run: sudo systemctl enable --now {unit}"
        yield Finding("service", Level.NOTE, f"{unit} is {active} and {enabled}", remedy)
