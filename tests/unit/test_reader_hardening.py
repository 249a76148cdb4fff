"""A process that will hold a secret forbids core dumps and onlookers before it holds any."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from protocol.errors import BlindRelayError
from reader_peripheral import cli
from reader_peripheral.adapters.candidates import Candidates
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.commands import learn

TOUCH_SECRETS = {"run", "enrol", "identity", "learn"}
TOUCH_NONE = {"doctor", "test-display"}

# Run as the command, with standard input that tells what the process has forbidden itself when it is read.
ENROL = """
import ctypes, io, resource, sys
from reader_peripheral import cli

class Asked(io.BytesIO):
    def read(self, size=-1):
        print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
        return b""

sys.stdin = io.TextIOWrapper(Asked())
sys.exit(cli.main(["enrol", "--data", sys.argv[1]]))
"""


def test_every_command_is_known_to_touch_secrets_or_not() -> None:
    [commands] = [
        action.choices for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction)
    ]
    assert set(commands) == TOUCH_SECRETS | TOUCH_NONE


@pytest.mark.parametrize("command", sorted(TOUCH_SECRETS))
def test_it_hardens_before_it_reads_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    done: list[str] = []

    def touched(*_: object) -> NoReturn:
        done.append("touched")
        raise BlindRelayError("far enough")

    for module in (cli, learn):
        monkeypatch.setattr(module, "harden_process", lambda: done.append("hardened"))
    for place, name in ((FileKeyStore, "seed"), (FileKeyStore, "issuer"), (Candidates, "attach")):
        monkeypatch.setattr(place, name, touched)
    monkeypatch.setattr(cli, "_ask_code", touched)
    settings = ["--settings", str(tmp_path / "reader.toml")] if command == "learn" else []
    assert cli.main([command, "--data", str(tmp_path), *settings]) == 1
    assert done == ["hardened", "touched"]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
def test_when_the_code_is_asked_for_the_process_can_neither_be_dumped_nor_traced(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENROL, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "(0, 0) 0\n", done.stderr
    assert done.returncode == 1


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
