"""Refunds whose answer this terminal has not seen yet, one small file each: none is made twice by accident.

The idempotency key is on disk before the issuer hears of the refund and taken off when the outcome is shown.
The same command after a crash or a lost answer finds it, and asks about that very refund.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from merchant_terminal.errors import NeverSentError, ProblemError, UnreachableError
from merchant_terminal.issuer_api import IssuerApi
from merchant_terminal.payment import Refund
from protocol.errors import InputError
from protocol.money import Money, parse_amount

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


async def claim(
    api: IssuerApi, directory: Path, payment_id: str, wanted: str | None, show: Callable[[str], None]
) -> tuple[HeldRefund, Money | None]:
    """The refund to ask for, `wanted` being in the payment's currency; None is all that is left.

    Raises what `IssuerApi` raises, NeverSentError where no earlier run left one of this payment unanswered.
    """
    show("asking the issuer")
    try:
        currency = (await api.payment(payment_id)).amount.currency
    except UnreachableError as failure:
        if unanswered_of(directory, payment_id):
            raise
        raise NeverSentError(str(failure)) from None
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
            raise NeverSentError(str(failure)) from None
        raise


def unanswered_of(directory: Path, payment_id: str) -> bool:
    """Whether an earlier run asked for a refund of this payment and never saw the answer."""
    return any(directory.glob(f"{payment_id}.*.refund"))


def hold_refund(directory: Path, payment_id: str, amount: Money | None) -> HeldRefund:
    """The refund to ask for, remembered on disk when this returns."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{payment_id}.{'all' if amount is None else amount.minor}.refund"
    earlier = _read(path, payment_id)
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
        other = _read(path, payment_id)
        return (
            HeldRefund(other, True, path) if other is not None else hold_refund(directory, payment_id, amount)
        )
    finally:
        draft.unlink()
    return HeldRefund(key, False, path)


def _read(path: Path, payment_id: str) -> str | None:
    try:
        key = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    if len(key) != KEY_LENGTH:
        raise InputError(
            "unreadable_refund",
            f"{path} is damaged: see `merchant-terminal refunds {payment_id}`, then delete it.",
        )
    return key
