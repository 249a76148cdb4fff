"""Refunds whose answer this terminal has not seen yet, one small file each: none is made twice by accident.

The idempotency key is on disk before the issuer hears of the refund and taken off when the outcome is shown.
The same command after a crash or a lost answer finds it, and asks about that very refund.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import InputError
from protocol.money import Money

KEY_LENGTH = 32


@dataclass(frozen=True, slots=True)
class HeldRefund:
    """One refund being asked for; `taken_up` where an earlier run never saw its answer."""

    key: str
    taken_up: bool
    path: Path

    def answered(self) -> None:
        """The outcome is known and told: the same command is a new refund from now on."""
        with suppress(FileNotFoundError):
            self.path.unlink()


def hold_refund(directory: Path, payment_id: str, amount: Money | None) -> HeldRefund:
    """The refund to ask for, remembered on disk when this returns."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{payment_id}.{'all' if amount is None else amount.minor}.refund"
    earlier = _read(path)
    if earlier is not None:
        return HeldRefund(earlier, True, path)
    key = secrets.token_hex(KEY_LENGTH // 2)
    draft = path.with_name(f"{path.name}.{key}")
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii"
    ) as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # fails where another window was faster, and never shows a half-written file
    except FileExistsError:
        other = _read(path)
        return (
            HeldRefund(other, True, path) if other is not None else hold_refund(directory, payment_id, amount)
        )
    finally:
        draft.unlink()
    return HeldRefund(key, False, path)


def _read(path: Path) -> str | None:
    try:
        key = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    if len(key) != KEY_LENGTH:
        raise InputError(
            "unreadable_refund", f"{path} is damaged: check the payment's refunds, then delete it."
        )
    return key
