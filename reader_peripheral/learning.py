"""Finds out which device is the swiper or the keypad: whoever is asked uses it, and it is written down.

Of what is typed nothing is kept but how many keys a device sent: the card is nobody's business here either.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from protocol.errors import BlindRelayError
from reader_peripheral.input_settings import DeviceIdentity, SwiperKind
from reader_peripheral.remedies import ours
from reader_peripheral.settings_edit import Value, with_values
from reader_peripheral.settings_text import SettingsText

QUIET_SECONDS: Final = 0.6
"""Devices stay grabbed until none has typed for so long: the end of a swipe must not reach the console."""
_LOOK_SECONDS: Final = 0.05
_CARD_KEYS: Final = 15
"""The shortest track 2 has more; nobody presses as many keys by mistake."""


class Role(StrEnum):
    """What is looked for; the section of the settings file as well."""

    SWIPER = "swiper"
    KEYPAD = "keypad"


class LearningError(BlindRelayError):
    """Nothing was learned; the text tells a person what to do."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that is listened to; `kind` is what the settings file would call it."""

    identity: DeviceIdentity
    kind: str

    def is_like(self, other: Candidate) -> bool:
        """Whether only the place where they are plugged in tells them apart."""
        ours, theirs = self.identity, other.identity
        return (ours.vendor, ours.product, ours.uniq, self.kind) == (
            theirs.vendor,
            theirs.product,
            theirs.uniq,
            other.kind,
        )


class Listener:
    """Hears which of several candidates is used. `heard` is called on the loop, with no content."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self._presses: dict[Candidate, int] = {}
        self._last = 0.0
        self.stopped = False

    def heard(self, candidate: Candidate, now: float) -> None:
        """A key went down; a device that sends a card whole is heard often enough at once."""
        whole = candidate.kind == SwiperKind.MAGTEK_HID
        self._presses[candidate] = self._presses.get(candidate, 0) + (_CARD_KEYS if whole else 1)
        self._last = now

    def found(self, now: float) -> Candidate | None:
        """The device, once it is certain and everything is quiet."""
        if now - self._last < QUIET_SECONDS:
            return None
        needed = _CARD_KEYS if self.role is Role.SWIPER else 1
        used = [candidate for candidate, presses in self._presses.items() if presses >= needed]
        return max(used, key=self._presses.__getitem__) if used else None


def settings_of(found: Candidate, all_there: Sequence[Candidate]) -> Mapping[str, Value | None]:
    """What tells the device from all others that are plugged in: where it is plugged in only if it must."""
    identity = found.identity
    twin = any(other is not found and found.is_like(other) for other in all_there)
    return {
        "kind": found.kind,
        "vendor": identity.vendor,
        "product": identity.product,
        "uniq": identity.uniq or None,
        "port": identity.port if twin else None,
    }


def write_settings(path: Path, role: Role, values: Mapping[str, Value | None]) -> None:
    """Change one section of the file; another user's service must be able to read it, so its mode stays."""
    try:
        text = ""
        if path.exists():
            before = SettingsText.read(path)
            before.tables()  # what cannot be read is not written to either: its owner must see what is wrong
            text = before.text
        changed = with_values(text, role.value, values)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".new")
        beside.write_text(changed, "utf-8")
        if path.exists():
            shutil.copymode(path, beside)
            owner = path.stat()
            os.chown(beside, owner.st_uid, owner.st_gid)
        else:
            beside.chmod(0o644)
        beside.replace(path)
    except OSError as problem:
        raise LearningError(
            f"{path} cannot be written: {problem.strerror}. Say where with --settings FILE,"
            f" or run: {ours('learn', root=True)}"
        ) from None


async def listen(listener: Listener, seconds: float) -> Candidate:
    """The device that is used within `seconds`. Raises LearningError."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until and not listener.stopped:
        found = listener.found(loop.time())
        if found is not None:
            return found
        await asyncio.sleep(_LOOK_SECONDS)
    if listener.stopped:
        raise LearningError("Stopped; nothing was written.")
    what = "No card was read" if listener.role is Role.SWIPER else "No key was pressed"
    raise LearningError(f"{what}. Is the {listener.role} plugged in? See: {ours('doctor')}")
