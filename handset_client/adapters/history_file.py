"""History in two files: payments.jsonl, one ended payment a line, and owed.json, outcomes for readers."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from handset_client.adapters.credential_file import write_privately
from handset_client.effects import Ending, KeptOutcome
from handset_client.past_payments import PastPayment, read_past_payments
from protocol.errors import InputError
from protocol.identifiers import PaymentId, ReaderId, check_payment_id, parse_reader_id, reader_id_text

_log = logging.getLogger(__name__)

OWED_FOR: Final = 7 * 24 * 3600
"""Seconds. A person who has not met their own reader for a week has asked the shop long ago."""
MOST_OWED: Final = 32
LARGEST_HISTORY: Final = 1 << 20
"""Bytes; then the older half goes."""


class HistoryFile:
    """History in `directory`. Writing runs in a thread: a slow disk must not stop the radio's clock."""

    def __init__(self, directory: Path) -> None:
        self._payments = directory / "payments.jsonl"
        self._owed = directory / "owed.json"
        self._kept: dict[PaymentId, tuple[KeptOutcome, float]] = {}

    async def record(self, ending: Ending, at: float) -> None:
        """See History."""
        await self._write(_line(ending, at))

    async def amend(self, ending: Ending, at: float) -> None:
        """See History."""
        await self._write({**_line(ending, at), "amended": True})

    async def in_doubt(self) -> list[Ending]:
        """See History."""
        past = await self.past_payments()
        return [each.ending for each in reversed(past) if each.ending.end.in_doubt]

    async def past_payments(self, most: int | None = None) -> list[PastPayment]:
        """The newest `most` payments, or all, newest first, for a screen that shows them."""
        try:
            text = await asyncio.to_thread(self._payments.read_text, encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return read_past_payments(text.splitlines(), most)

    async def keep_outcome(self, kept: KeptOutcome, at: float) -> None:
        """See History."""
        self._kept[kept.payment_id] = (kept, at)
        while len(self._kept) > MOST_OWED:
            del self._kept[next(iter(self._kept))]
        await asyncio.to_thread(write_privately, self._owed, self._owed_text())

    async def forget_outcome(self, payment_id: PaymentId) -> None:
        """See History."""
        if self._kept.pop(payment_id, None) is not None:
            await asyncio.to_thread(write_privately, self._owed, self._owed_text())

    async def kept_outcomes(self, at: float) -> list[KeptOutcome]:
        """See History. A damaged file is set aside as owed.json.damaged."""
        try:
            read = _read_owed(await asyncio.to_thread(self._owed.read_text, encoding="utf-8"))
        except FileNotFoundError:
            read = []
        except (ValueError, KeyError, TypeError, InputError, binascii.Error):
            aside = self._owed.with_name(self._owed.name + ".damaged")
            _log.warning("%s is damaged; set aside as %s", self._owed, aside.name)
            self._owed.replace(aside)
            read = []
        self._kept = {kept.payment_id: (kept, since) for kept, since in read if at - since < OWED_FOR}
        return [kept for kept, _ in self._kept.values()]

    async def _write(self, line: dict[str, object]) -> None:
        await asyncio.to_thread(self._append, json.dumps(line, ensure_ascii=False) + "\n")

    def _append(self, line: str) -> None:
        self._payments.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._payments.exists() and self._payments.stat().st_size > LARGEST_HISTORY:
            lines = self._payments.read_text(encoding="utf-8", errors="replace").splitlines()
            write_privately(self._payments, "\n".join(lines[len(lines) // 2 :]))
        descriptor = os.open(self._payments, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab+") as file:
            if size := file.seek(0, os.SEEK_END):
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    line = "\n" + line  # what a power cut tore must not swallow this one
            file.write(line.encode())

    def _owed_text(self) -> str:
        return json.dumps(
            [
                {
                    "payment_id": kept.payment_id,
                    "reader_id": reader_id_text(kept.reader_id),
                    "outcome": None if kept.data is None else base64.b64encode(kept.data).decode("ascii"),
                    "since": int(since),
                }
                for kept, since in self._kept.values()
            ]
        )


def _read_owed(text: str) -> list[tuple[KeptOutcome, float]]:
    return [_read_one(entry) for entry in json.loads(text)]


def _read_one(entry: dict[str, Any]) -> tuple[KeptOutcome, float]:
    outcome = entry["outcome"]
    data = None if outcome is None else base64.b64decode(outcome, validate=True)
    reader_id: ReaderId = parse_reader_id(entry["reader_id"])
    return KeptOutcome(check_payment_id(entry["payment_id"]), reader_id, data), float(entry["since"])


def _line(ending: Ending, at: float) -> dict[str, object]:
    request = ending.request
    return {
        "ended_at": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
        "payment_id": request.payment_id,
        "merchant_name": request.merchant_name,
        "amount_minor": request.amount.minor,
        "currency": request.amount.currency.code,
        "order": request.order,
        "outcome": ending.end.value,
        "reason": None if ending.reason is None else str(ending.reason),
        "last_four": ending.last_four,
        **({} if ending.reader_id is None else {"reader": reader_id_text(ending.reader_id)}),
    }
