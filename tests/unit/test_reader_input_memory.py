"""A swipe and a PIN typed on USB devices leave nothing in the reader's memory once they are sealed.

Searched for: the characters, and the kernel's events of the key presses that made them. What a search of a
process cannot see: registers, the kernel's own buffers, and pages that were given back to the kernel.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.reader_input_fakes import typed

ROOT = Path(__file__).resolve().parents[2]
# What a reader process does with its devices, without a payment around it. It stops at each stage for its
# memory to be searched from outside: a search from within would find its own needle.
CHILD = """
import asyncio, os, sys
from protocol.sealing import PaymentKey, seal_card, seal_pin
from protocol.track_data import wipe
from reader_peripheral.adapters.evdev_keypad import EvdevKeypad
from reader_peripheral.adapters.evdev_swipe import EvdevSwiper
from reader_peripheral.input_settings import KeypadKind, KeypadSettings, SwiperKind, SwiperSettings
from reader_peripheral.ports import Key
from reader_peripheral.service import PinBuffer

class Node:
    def __init__(self, descriptor): self.descriptor = descriptor
    def fileno(self): return self.descriptor
    def read_into(self, buffer): return os.readv(self.descriptor, [buffer])
    def close(self): pass

public_key = PaymentKey.from_seed(bytes(96)).public_key

def stage(name):
    print(name, flush=True)
    sys.stdin.readline()

async def main():
    node = Node(int(sys.argv[1]))
    swiper = EvdevSwiper(SwiperSettings(SwiperKind.KEYBOARD, vendor=1, check_digit=False), lambda: node)
    keypad = EvdevKeypad(KeypadSettings(KeypadKind.KEYBOARD, vendor=1), lambda: node)
    over = asyncio.Event()

    def on_swipe(swipe):
        stage("card in hand")
        plaintext = swipe.card_plaintext()
        seal_card(public_key, plaintext, b"info")
        wipe(plaintext)
        swipe.wipe()
        over.set()

    await swiper.open(on_swipe)
    swiper.arm()
    stage("waiting for a card")
    await over.wait()
    stage("card sealed")
    await swiper.close()
    over.clear()
    pin = PinBuffer()

    def on_key(key):
        if key is not Key.ENTER:
            pin.append(key.value)
            return
        stage("pin in hand")
        plaintext = pin.padded()
        pin.wipe()
        seal_pin(public_key, plaintext, b"info")
        wipe(plaintext)
        over.set()

    await keypad.open(on_key)
    stage("waiting for a pin")
    await over.wait()
    stage("pin sealed")

asyncio.run(main())
"""
PAN, PIN = "5413330089020011", "620947158302"
TRACK1 = f"%B{PAN}^CANARY/CARLA^30121010000000000000?"


def _needles(digits: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """The digits as characters, and the presses of their keys as the kernel hands them over."""
    codes = (2 + (int(digit) - 1) % 10 for digit in digits)
    press = (re.escape(bytes([1, 0, code, 0, 1, 0, 0, 0])) for code in codes)
    # Between two presses lie five events, of the release and the reports, and the time of the next.
    return re.compile(digits.encode()), re.compile(rb".{1,160}?".join(press), re.DOTALL)


def _found(pid: int) -> tuple[int, ...]:
    """How often each needle is in the writable memory of a process."""
    needles = (*_needles(PAN), *_needles(PIN))
    counts = [0] * len(needles)
    maps = Path(f"/proc/{pid}/maps").read_text("ascii")
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, stop in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.MULTILINE):
            try:
                memory.seek(int(start, 16))
                content = memory.read(int(stop, 16) - int(start, 16))
            except OSError:  # a mapping of the kernel's that cannot be read
                continue
            for at, needle in enumerate(needles):
                counts[at] += len(needle.findall(content))
    return tuple(counts)


def test_the_needles_are_found_where_they_are() -> None:
    for digits in (PAN, PIN):
        characters, presses = _needles(digits)
        assert characters.search(digits.encode())
        assert presses.search(typed(digits))


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs /proc/<pid>/mem, which only Linux has"
)
def test_nothing_of_a_swipe_or_a_pin_is_left_once_it_is_sealed() -> None:
    device, fingers = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(device)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[device],
    )
    assert child.stdin is not None
    assert child.stdout is not None
    found = {}
    try:
        for line in child.stdout:
            name = line.strip()
            try:
                found[name] = _found(child.pid)
            except PermissionError:
                pytest.skip("this machine forbids reading a child's memory (kernel.yama.ptrace_scope)")
            if name == "waiting for a card":
                os.write(fingers, typed(TRACK1 + "\r"))
            elif name == "waiting for a pin":
                os.write(fingers, typed(PIN + "\r"))
            child.stdin.write("\n")
            child.stdin.flush()
        assert child.wait() == 0
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
        os.close(device)
        os.close(fingers)
    nothing = (0, 0, 0, 0)
    assert found == {
        "waiting for a card": nothing,
        "card in hand": (1, 0, 0, 0),  # in the swiper's one buffer
        "card sealed": nothing,
        "waiting for a pin": nothing,
        "pin in hand": (0, 0, 1, 0),  # in the PIN's own
        "pin sealed": nothing,
    }
