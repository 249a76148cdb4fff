"""The card number is in a reader's memory where we put it only, and after wiping nowhere at all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The child computes the number digit by digit into one buffer, so that no literal of it is anywhere. It stops
# at each stage for its memory to be searched from outside: a search from within would find its own needle.
CHILD = """
import sys
from protocol.sealing import PaymentKey, seal_card
from protocol.track_data import parse_swipe, wipe

def stage(name):
    print(name, flush=True)
    sys.stdin.readline()

buffer = bytearray(128)
at = 0
def put(text):
    global at
    for character in text:
        buffer[at] = ord(character)
        at += 1
def put_pan():
    global at
    for place in range(16):
        buffer[at] = 48 + (place * place * 7 + 3 * place + 4) % 10
        at += 1

key = PaymentKey.from_seed(bytes(96)).public_key
put("%B"); put_pan(); put("^CANARY/CARLA^3012101?;"); put_pan(); put("=3012101?")
stage("typed")
swipe = parse_swipe(buffer, luhn=False)
stage("parsed")
plaintext = swipe.card_plaintext()
stage("plaintext")
sealed = seal_card(key, plaintext, b"blind-relay v1 card")
stage("sealed")
repr(swipe), str([swipe])
wipe(plaintext)
swipe.wipe()
stage("wiped")
"""
PAN = bytes(48 + (place * place * 7 + 3 * place + 4) % 10 for place in range(16))
EXPECTED = {"typed": 2, "parsed": 2, "plaintext": 4, "sealed": 4, "wiped": 0}


def _occurrences(pid: int) -> int:
    """How often the card number stands in the writable memory of a process."""
    found = 0
    maps = Path(f"/proc/{pid}/maps").read_text("ascii")
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, stop in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.MULTILINE):
            memory.seek(int(start, 16))
            try:
                found += memory.read(int(stop, 16) - int(start, 16)).count(PAN)
            except OSError:  # a mapping of the kernel's that cannot be read
                continue
    return found


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs /proc/<pid>/mem, which only Linux has"
)
def test_no_copy_of_a_card_number_comes_to_be() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    counted = {}
    try:
        for line in child.stdout:
            try:
                counted[line.strip()] = _occurrences(child.pid)
            except PermissionError:
                pytest.skip("this machine forbids reading a child's memory (kernel.yama.ptrace_scope)")
            child.stdin.write("\n")
            child.stdin.flush()
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    assert counted == EXPECTED
