"""A reader on 64-bit Arm is installed without a compiler: each library has a wheel, or Debian's is named."""

from __future__ import annotations

import pytest

from tools import check_wheels
from tools.check_wheels import LOCK, TARGETS, locked, wheels

COMPILED = {"aiohttp", "cbor2", "cffi", "cryptography", "dbus-fast", "gpiod", "pillow"}


@pytest.mark.timeout(300)  # some twenty megabytes, where pip has not kept them
@pytest.mark.parametrize("python", sorted(TARGETS))
def test_every_library_of_a_reader_has_a_wheel(python: str) -> None:
    found = {wheel.library: wheel for wheel in wheels(python, TARGETS[python], locked(LOCK.read_text()))}
    assert [wheel.problem for wheel in found.values() if wheel.file is None] == []
    assert {*COMPILED, "bless", "bleak", "luma-oled", "rplcd", "smbus2"} <= set(found)
    for name in COMPILED:
        assert found[name].is_compiled
        assert "aarch64" in str(found[name].file)


def test_what_has_no_wheel_is_named_and_so_is_debians(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """evdev is published as source alone; here it stands in the lock."""
    lock = locked(LOCK.read_text())
    monkeypatch.setattr(check_wheels, "libraries", lambda _: {"evdev", "smbus2"})
    monkeypatch.setattr(
        check_wheels, "locked", lambda _: {**lock, "evdev": ("1.9.2", f"--hash=sha256:{'0' * 64}")}
    )
    monkeypatch.setattr(check_wheels, "TARGETS", {"3.13": (2, 41)})
    assert check_wheels.main() == 1
    said = capsys.readouterr().out
    assert "NO WHEEL; Debian has python3-evdev." in said
    assert "smbus2-" in said
