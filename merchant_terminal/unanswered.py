"""Charges whose outcome this terminal has not told anybody yet, one small file each.

A charge is written here with its idempotency key before the issuer hears of it, and taken off when its
outcome has been shown. After a crash or a lost answer the same charge finds its old key, so that the issuer
gives the same payment again and the customer is charged once. A lock tells an abandoned one from one at work.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from merchant_terminal.kept_file import lock, take_off, write_durably
from merchant_terminal.payment import Charge
from protocol.errors import InputError
from protocol.money import Money, currency

RECENT_SECONDS = 15 * 60.0
"""Longer than any payment can run. The same order later may well be a new one: a person must say."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """One charge, its idempotency key and when it was first sent (epoch seconds)."""

    key: str
    issuer_url: str
    charge: Charge
    since: float

    def recent(self, now: float) -> bool:
        """Whether asking for the same again surely means this one."""
        return 0.0 <= now - self.since <= RECENT_SECONDS

    def document(self) -> str:
        """The file's text."""
        amount = self.charge.amount
        return json.dumps(
            {
                "issuer": self.issuer_url,
                "phone": self.charge.phone,
                "amount": amount.minor,
                "currency": amount.currency.code,
                "order": self.charge.order,
                "since": self.since,
            },
            ensure_ascii=False,
        )

    @classmethod
    def parse(cls, key: str, text: str) -> Unanswered | None:
        """Read a file back; None for one that a crash left half written (its charge was never sent)."""
        try:
            document = json.loads(text)
            charge = Charge(
                str(document["phone"]),
                Money(int(document["amount"]), currency(str(document["currency"]))),
                str(document["order"]),
            )
            return cls(key, str(document["issuer"]), charge, float(document["since"]))
        except (ValueError, KeyError, TypeError, InputError):
            return None


class Held:
    """An unanswered charge that this process holds the lock of."""

    def __init__(self, entry: Unanswered, path: Path, file: IO[str]) -> None:
        self.entry = entry
        self.taken_up = False
        """Whether it was sent in an earlier run, whose answer is missing."""
        self._path = path
        self._file = file

    def answered(self) -> None:
        """The outcome is known and told: forget the charge."""
        take_off(self._path, self._file)

    def release(self) -> None:
        """Let go of the charge but keep it, for whoever asks for the same again."""
        self._file.close()


class UnansweredCharges:
    """The directory of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin(self, issuer_url: str, charge: Charge, now: float) -> Held:
        """A new charge with a new key, on disk before this returns."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        entry = Unanswered(secrets.token_hex(16), issuer_url, charge, now)
        path = self._directory / f"{entry.key}.json"
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+", encoding="utf-8")
        lock(file)
        write_durably(path, file, entry.document())
        return Held(entry, path, file)

    def abandoned(self, issuer_url: str) -> Iterator[Held]:
        """Charges nobody is working on, oldest first. The caller releases or answers each."""
        found: list[Held] = []
        for path in self._directory.glob("*.json") if self._directory.is_dir() else ():
            try:
                file = path.open("r+", encoding="utf-8")
            except OSError:
                continue
            if not lock(file):
                file.close()
                continue
            entry = Unanswered.parse(path.stem, file.read())
            # The other window may have finished between our open and our lock.
            if entry is None or entry.issuer_url != issuer_url or not path.exists():
                file.close()
                continue
            found.append(Held(entry, path, file))
        yield from sorted(found, key=lambda held: held.entry.since)
