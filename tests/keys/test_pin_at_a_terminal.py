"""A PIN typed at a real terminal: asked for twice, never echoed, nowhere afterwards."""

from __future__ import annotations

import json
import os
import pty
import sys
from pathlib import Path

from tests.journey.programs import programs

PIN = "73940615"


def at_a_terminal(folder: Path, typed: list[str], *words: str) -> tuple[int, str]:
    """Exit status, and all that the terminal showed."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(  # noqa: S606 - this very interpreter
            sys.executable,
            [sys.executable, "-m", "issuer_server.cli", *words],
            {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "HOME": str(folder)},
        )
    shown = b""
    waiting = list(typed)
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
            # getpass switches the echo off before it asks, so what is typed from here on is not echoed
            if waiting and shown.rstrip().endswith(b"PIN:" if len(waiting) == len(typed) else b"again:"):
                os.write(master, waiting.pop(0).encode() + b"\n")
    except OSError:
        pass  # how Linux says that the other side is closed
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_it_is_asked_for_twice_and_never_shown(tmp_path: Path) -> None:
    with programs(tmp_path) as them:
        them.run("issuer-server", "init")
        seeded = json.loads(them.run("issuer-server", "seed", "--json"))
        card = seeded["cardholders"][0]["cards"][0]["id"]
        status, shown = at_a_terminal(tmp_path, [PIN, "73940616"], "card", "reset-pin", card)
        assert status == 1
        assert "The two PINs differ: nothing was changed." in shown
        before = json.loads(them.run("issuer-server", "audit", "--json"))
        assert "reset pin" not in [each["action"] for each in before]
        status, again = at_a_terminal(tmp_path, [PIN, PIN], "card", "reset-pin", card)
        assert status == 0, again
        assert "pin tries left  3" in again
        assert PIN not in shown + again
        assert "73940616" not in shown + again
        assert len(json.loads(them.run("issuer-server", "audit", "--json"))) == len(before) + 1
    for path in (tmp_path / "issuer-data").rglob("*"):
        assert path.is_dir() or PIN.encode() not in path.read_bytes()
