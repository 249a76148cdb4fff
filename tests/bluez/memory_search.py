"""Runs in the guest: which of the needles on standard input are in the memory of a process.

    memory_search.py PID

The needles come as one line of JSON: names, each with a regular expression over bytes (as Latin-1). The names
of those found are printed, as JSON. What it cannot see: registers, the kernel's own buffers, pages that were
given back to the kernel.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def found(process: int, needles: dict[str, re.Pattern[bytes]]) -> list[str]:
    """The needles that are in any readable mapping."""
    names = set()
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            mapping = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if mapping is None or "[v" in line:  # vvar, vsyscall: the kernel's
                continue
            start, stop = (int(number, 16) for number in mapping.groups())
            try:
                memory.seek(start)
                content = memory.read(stop - start)
            except (OSError, ValueError):
                continue  # unmapped meanwhile
            names |= {name for name, needle in needles.items() if needle.search(content)}
    return sorted(names)


if __name__ == "__main__":
    wanted = {
        name: re.compile(text.encode("latin-1"), re.DOTALL)
        for name, text in json.loads(sys.stdin.readline()).items()
    }
    print(json.dumps(found(int(sys.argv[1]), wanted)))
