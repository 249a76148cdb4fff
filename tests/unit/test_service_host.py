"""What every `doctor` shares: commands of the machine, the state of a unit, how findings look."""

from __future__ import annotations

import json
import sys

import pytest

from service_host.findings import Finding, Level, document, lines, worst
from service_host.machine import AnyMachine, service

UNIT = "blind-relay-something.service"
FOUND = [Finding("disk", Level.OK, "much"), Finding("clock", Level.NOTE, "遅い", "Set it.")]


class Said(AnyMachine):
    """A machine whose systemctl says what the test wrote down."""

    def __init__(self, enabled: str | None, active: str | None) -> None:
        self.said = {"is-enabled": enabled, "is-active": active}

    def run(self, *command: str) -> str | None:
        assert command[0] == "systemctl"
        assert command[2] == UNIT
        return self.said[command[1]]


@pytest.mark.parametrize(
    ("enabled", "active", "level", "remedy"),
    [
        ("enabled", "active", Level.OK, ""),
        ("disabled", "active", Level.NOTE, "systemctl enable"),
        ("enabled", "failed", Level.NOTE, "journalctl -u"),
        ("not-found", "inactive", Level.NOTE, "install me"),
        ("", "", Level.UNKNOWN, ""),
        ("enabled", "offline", Level.UNKNOWN, ""),
        (None, None, Level.UNKNOWN, ""),
    ],
)
def test_the_state_of_a_service(enabled: str | None, active: str | None, level: Level, remedy: str) -> None:
    [found] = service(Said(enabled, active), UNIT, "install me")
    assert found.level is level
    assert remedy in found.remedy
    assert bool(found.remedy) is bool(remedy)


def test_commands_of_the_machine() -> None:
    machine = AnyMachine()
    assert machine.run(sys.executable, "-c", "print('yes '); raise SystemExit(3)") == "yes"
    assert machine.run("blind-relay-no-such-command") is None


def test_how_findings_look() -> None:
    assert list(lines(FOUND)) == ["   ok  disk: much", " note  clock: 遅い", "       -> Set it."]
    assert json.loads(document(FOUND))[1] == {
        "check": "clock",
        "level": "note",
        "seen": "遅い",
        "remedy": "Set it.",
    }
    assert worst(FOUND) == 0
    assert worst([*FOUND, Finding("ledger", Level.FAULT, "wrong", "Stop.")]) == 1
