"""What is left of card and PIN in the memory of a real reader process: nothing, once they are sealed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journey.programs import Program
from tests.journey.town import town

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/mem"),
    pytest.mark.skipif(
        hasattr(os, "geteuid") and os.geteuid() != 0,
        reason="the reader forbids others to read its memory; only root still may",
    ),
]


def memory(process: int) -> Iterator[bytes]:
    """Every readable mapping of a process."""
    maps = Path(f"/proc/{process}/maps").read_text()
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in maps.splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if found and "[v" not in line:  # vvar, vsyscall: the kernel's
                start, end = (int(number, 16) for number in found.groups())
                try:
                    memory.seek(start)
                    yield memory.read(end - start)
                except (OSError, ValueError):
                    continue  # unmapped meanwhile


def held(program: Program, *secrets: bytes) -> set[bytes]:
    """Which of these are anywhere in a program's memory."""
    return {secret for part in memory(program._process.pid) for secret in secrets if secret in part}


def test_neither_card_nor_pin_is_left_once_they_are_sealed(tmp_path: Path) -> None:
    with town(tmp_path) as here:
        number_found = re.search(r"[0-9]{13,19}", here.card.stripe)
        assert number_found
        number = number_found[0].encode()
        typed, padded = here.card.pin.encode() + b"\n", b"\x04" + here.card.pin.encode() + bytes(11)
        assert len(here.card.pin) == 4
        there = b"virtual-serve"  # on its command line: shows that the search finds what is there

        charge = here.charge()
        here.approve()
        here.swipe()
        here.phone.expect("PIN")
        assert held(here.reader, number, there) == {there}
        here.type_pin(here.card.pin)
        assert here.receipt(charge).outcome == "completed"
        assert held(here.reader, number, typed, padded, there) == {there}
