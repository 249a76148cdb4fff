"""What can be set at a reader: times in seconds, counts, and where it keeps its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import InputError

DATA_VARIABLE = "BLIND_RELAY_READER_DATA"
MODEL = "BR-1"
MODEL_CODE = 1
FIRMWARE = (0, 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the reader waits (seconds), and how many bad swipes it takes."""

    swipes: int = 3
    pin_seconds: float = 60.0
    # From the reader's last message to 'unknown: do not pay again'. All being well the answer takes a second.
    answer_seconds: float = 30.0
    result_seconds: float = 10.0
    # Section 6 of the design: a dropped link keeps the payment this long, then the key is forgotten.
    resume_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.swipes <= 9:
            raise InputError("invalid_swipes", "The number of swipes must be from 1 to 9.")
        for name in ("pin_seconds", "answer_seconds", "result_seconds", "resume_seconds"):
            if not 0 < getattr(self, name) <= 600:
                raise InputError(f"invalid_{name}", f"{name} must be more than 0 and at most 600 seconds.")


def data_directory(given: str | None) -> Path:
    """Where identity and issuer are kept: as given, by BLIND_RELAY_READER_DATA, or the user's own folder."""
    if given:
        return Path(given).expanduser()
    from_environment = os.environ.get(DATA_VARIABLE)
    if from_environment:
        return Path(from_environment).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "blind-relay" / "reader"
