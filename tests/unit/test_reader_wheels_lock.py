"""What the check of wheels reads: the reader's libraries for each Python, their versions and hashes."""

from __future__ import annotations

import sys

import pytest

from tools.check_wheels import LOCK, TARGETS, libraries, locked


@pytest.mark.skipif(sys.platform != "linux", reason="the reader's libraries are installed on Linux alone")
@pytest.mark.parametrize("python", sorted(TARGETS))
def test_every_library_of_the_reader_is_locked_with_hashes(python: str) -> None:
    lock = locked(LOCK.read_text())
    needed = libraries(python)
    assert {"aiohttp", "bless", "cryptography", "gpiod", "luma-oled", "rplcd"} <= needed
    assert "pytest" not in needed
    for library in needed:
        version, hashes = lock[library]
        assert version[0].isdigit()
        assert hashes.startswith("--hash=sha256:")
    assert ("typing-extensions" in needed) == (python == "3.11"), "its marker is that Python's, not ours"


def test_a_lock_is_read() -> None:
    text = (
        "a-b==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via c\n"
        "c.d==2 \\\n    --hash=sha256:22\n"
    )
    assert locked(text) == {
        "a-b": ("1.0", "--hash=sha256:00 --hash=sha256:11"),
        "c-d": ("2", "--hash=sha256:22"),
    }
