"""Searches all the memory of another process: every readable mapping, as it is at this moment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

CHUNK: Final = 16 * 1024 * 1024
MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r")


def found_in_memory(process: int, needles: Mapping[str, bytes]) -> set[str]:
    """The names of those byte strings that are anywhere in the process's memory."""
    overlap = max(map(len, needles.values()))
    return {name for part in _parts(process, overlap) for name, needle in needles.items() if needle in part}


def _parts(process: int, overlap: int) -> Iterator[bytes]:
    maps = Path(f"/proc/{process}/maps").read_text()
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in maps.splitlines():
            mapping = MAPPING.match(line)
            if mapping is None or "[v" in line:  # vvar, vsyscall: the kernel's
                continue
            at, end = (int(number, 16) for number in mapping.groups())
            while at < end:
                try:
                    memory.seek(at)
                    part = memory.read(min(CHUNK + overlap, end - at))
                except (OSError, ValueError):
                    break  # unmapped meanwhile, or a device's
                if not part:
                    break
                yield part
                at += CHUNK
