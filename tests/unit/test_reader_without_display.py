"""A service whose devices are a terminal: it has none, and a journal would keep what it prints."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
from pathlib import Path

from protocol.messages import Refusal, RefusalReason
from protocol.signing import SigningKey
from reader_peripheral.adapters.absent_display import AbsentDisplay
from reader_peripheral.adapters.key_store import FileKeyStore
from tests.unit.reader_enrolment_bench import BANK
from tests.unit.reader_shop import Shop
from tests.unit.test_reader_enrol import READER_COMMAND


async def test_a_payment_that_nobody_would_see_is_refused() -> None:
    shop = Shop()
    shop.display = AbsentDisplay()  # type: ignore[assignment]
    shop.service._display = shop.display
    await shop.service.start()
    await shop.begin()
    _, refusal = await shop.next(Refusal)
    assert refusal.reason is RefusalReason.READER_FAULT
    assert not shop.swiper.armed
    await shop.service.stop()


def said_by_the_service(folder: Path, port: int, *, terminal: bool) -> tuple[str, str]:
    """What `run` prints under a service manager, from its start to its end: standard output and errors."""
    store = FileKeyStore(folder / "r")
    store.keep_seed(b"\x05" * 32)
    store.pin_issuer(BANK, SigningKey.from_seed(b"\x05" * 32).public_key)
    (folder / "reader.toml").write_text("")
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(60)
        process = subprocess.Popen(
            [
                *(READER_COMMAND, "run", "--settings", str(folder / "reader.toml")),
                *("--radio", f"virtual-serve:127.0.0.1:{port}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "BLIND_RELAY_READER_DATA": str(folder / "r"),
                "NOTIFY_SOCKET": str(folder / "notify"),
            },
        )
        assert manager.recv(1000).startswith(b"READY=1")
        process.terminate()
        errors = process.communicate(timeout=30)[1]
    said = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    return said, errors


def test_a_service_prints_no_screens_and_says_once_what_is_not_set(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    said, errors = said_by_the_service(tmp_path, unused_tcp_port, terminal=False)
    assert "Ready" not in said
    assert len(said.splitlines()) == 1, "who it is"
    [warning] = errors.splitlines()
    for words in ("Not set: display, swiper, keypad", str(tmp_path / "reader.toml"), "learn", "pi.md"):
        assert words in warning


def test_on_a_terminal_it_prints_them(tmp_path: Path, unused_tcp_port: int) -> None:
    said, errors = said_by_the_service(tmp_path, unused_tcp_port, terminal=True)
    assert "Ready" in said
    assert errors == ""
