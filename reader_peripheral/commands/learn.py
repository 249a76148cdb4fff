"""`reader-peripheral learn`: 'swipe a card now', 'press a key now'; the settings file knows the device."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from protocol.errors import InputError
from protocol.text import shown
from reader_peripheral import learning
from reader_peripheral.input_settings import DeviceIdentity
from reader_peripheral.learning import Role
from reader_peripheral.process_hardening import harden_process
from reader_peripheral.settings_file import SYSTEM_SETTINGS, settings_path
from reader_peripheral.settings_text import SettingsText


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add it to the parser of `reader-peripheral`."""
    learn = commands.add_parser(
        "learn", parents=[shared], help="find out which device is the swiper or the keypad, and write it down"
    )
    learn.add_argument("device", nargs="*", metavar="swiper|keypad", help="which to learn (default: both)")
    learn.add_argument("--seconds", type=int, default=30, help="how long to wait for each (default: 30)")
    learn.set_defaults(command=_learn)


def _learn(options: argparse.Namespace) -> int:
    """Each role in turn, written down as soon as it is known."""
    harden_process()  # cards pass through here, unread
    try:
        roles = [Role(name) for name in options.device] or list(Role)
    except ValueError:
        raise InputError("invalid_device", "What can be learned is: swiper, keypad.") from None
    path = settings_path(options.settings) or SYSTEM_SETTINGS
    if path.exists():  # said before anybody swipes
        SettingsText.read(path).tables()
    for role in roles:
        asyncio.run(_learn_role(role, path, options.seconds))
    return 0


async def _learn_role(role: Role, path: Path, seconds: int) -> None:
    from reader_peripheral.adapters.candidates import Candidates

    what = "Swipe a card" if role is Role.SWIPER else "Press a key of the keypad"
    candidates = Candidates(role)
    listener = learning.Listener(role)
    try:
        there = candidates.attach(listener)
        print(
            f"{what} now. For {seconds} seconds at most no keyboard does anything else; Ctrl-C stops.",
            flush=True,
        )
        found = await learning.listen(listener, seconds)
    finally:
        candidates.detach()
    learning.write_settings(path, role, learning.settings_of(found, there))
    print(f"The {role} is {_described(found.identity)}. Written to {path}.", flush=True)


def _described(identity: DeviceIdentity) -> str:
    """In one line; names and numbers are the device's own, and may hold anything."""
    serial = f", uniq {shown(identity.uniq)}" if identity.uniq else ""
    ids = f"vendor {identity.vendor:04x}, product {identity.product:04x}"
    return f"{shown(identity.name)} ({ids}{serial}), plugged in at {shown(identity.port)}"
