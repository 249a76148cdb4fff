"""Refunds whose answer this terminal has not seen yet, one small file each: none is made twice by accident.

The idempotency key is on disk before the issuer hears of the refund and taken off when the outcome is shown.
The same command after a crash or a lost answer finds it, and asks about that very refund. While one window
asks, a lock keeps others out: one that gave up would forget what another has sent.
"""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from merchant_terminal.errors import NeverSentError, NotAnIssuerError, ProblemError, UnreachableError
from merchant_terminal.issuer_api import IssuerApi
from merchant_terminal.kept_file import is_there, lock, take_off, write_durably
from merchant_terminal.payment import Refund
from protocol.errors import InputError
from protocol.money import Money, parse_amount

KEY_LENGTH = 32


@dataclass(frozen=True, slots=True)
class HeldRefund:
    """A refund that this process holds the lock of; `taken_up` where an earlier run never saw its answer."""

    key: str
    taken_up: bool
    path: Path
    file: IO[str] = field(repr=False)

    def answered(self) -> None:
        """The outcome is known and told: the same command is a new refund from now on."""
        take_off(self.path, self.file)

    def release(self) -> None:
        """Let go of the refund but keep it, for whoever asks for the same again."""
        self.file.close()


async def claim(
    api: IssuerApi, directory: Path, payment_id: str, wanted: str | None, show: Callable[[str], None]
) -> tuple[HeldRefund, Money | None]:
    """The refund to ask for, `wanted` being in the payment's currency; None is all that is left.

    The caller releases it. Raises what `IssuerApi` and `hold_refund` raise; NeverSentError in the place of no
    usable answer where no earlier run left a refund of this payment unanswered.
    """
    show("asking the issuer")
    try:
        currency = (await api.payment(payment_id)).amount.currency
    except (UnreachableError, NotAnIssuerError) as failure:
        if unanswered_of(directory, payment_id):
            raise
        raise NeverSentError(failure) from None
    amount = None if wanted is None else parse_amount(wanted, currency)
    return hold_refund(directory, payment_id, amount), amount


async def settle_refund(api: IssuerApi, payment_id: str, amount: Money | None, held: HeldRefund) -> Refund:
    """Ask for it. It stays remembered unless it is sure that it was never made; raises as `claim`."""
    try:
        return await api.refund(payment_id, amount, held.key)
    except ProblemError as problem:
        # Who may not ask at all hears nothing of it: an earlier attempt may still have gone through.
        if problem.status not in (401, 403):
            held.answered()
        raise
    except UnreachableError as failure:
        if failure.never_sent and not held.taken_up:
            held.answered()
            raise NeverSentError(failure) from None
        raise


def unanswered_of(directory: Path, payment_id: str) -> bool:
    """Whether an earlier run asked for a refund of this payment and never saw the answer."""
    return any(directory.glob(f"{payment_id}.*.refund"))


def hold_refund(directory: Path, payment_id: str, amount: Money | None) -> HeldRefund:
    """The refund to ask for, this window's alone and on disk when this returns; raises InputError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{payment_id}.{'all' if amount is None else amount.minor}.refund"
    listed = f"`merchant-terminal refunds {payment_id}`"
    file = _open(path)
    if not lock(file):
        file.close()
        raise InputError(
            "refund_under_way",
            f"Another window is asking for this very refund. Wait for its end, then see {listed}.",
        )
    if not is_there(path, file):
        # The other window ended between our open and our lock, and took its refund off.
        file.close()
        return hold_refund(directory, payment_id, amount)
    earlier = file.read()
    if not earlier:
        key = secrets.token_hex(KEY_LENGTH // 2)
        write_durably(path, file, key)
        return HeldRefund(key, False, path, file)
    if len(earlier) != KEY_LENGTH or not set(earlier) <= set(string.hexdigits):
        file.close()
        raise InputError("unreadable_refund", f"{path} is damaged: see {listed}, then delete it.")
    return HeldRefund(earlier, True, path, file)


def _open(path: Path) -> IO[str]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    return os.fdopen(descriptor, "r+", encoding="ascii", errors="replace")
