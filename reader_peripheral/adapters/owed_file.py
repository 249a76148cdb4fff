"""What is owed to the person, in a file: hashes, the display's words, outcomes; nothing of the card."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from protocol.errors import InputError, MessageError
from protocol.identifiers import DIGEST_SIZE, Digest
from protocol.messages import LONGEST_MERCHANT_NAME, LONGEST_ORDER, Outcome
from protocol.money import Money, currency
from protocol.text import check_shown_text
from reader_peripheral.adapters.private_files import (
    DamagedFileError,
    PrivateFileError,
    read_private,
    write_private,
)
from reader_peripheral.owed_outcomes import OwedOutcome
from reader_peripheral.screens import Bill

log = logging.getLogger(__name__)


class OwedFile:
    """Implements ports.OwedStore as `owed.json` under one directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "owed.json"

    def load(self) -> tuple[OwedOutcome, ...]:
        """What was kept last. A file that makes no sense is not worth a reader that does not start."""
        try:
            items = json.loads(read_private(self._path) or "[]")
            if not isinstance(items, list):
                raise ValueError("not a list")
            return tuple(_record(item) for item in items)
        except DamagedFileError as problem:
            line = problem.line
        except PrivateFileError as problem:
            log.error("%s", problem)
            return ()
        except json.JSONDecodeError as problem:
            line = problem.lineno
        except (ValueError, MessageError, RecursionError):  # InputError is a ValueError
            line = 1
        log.error(
            "%s, line %d: this file is damaged and left out. If a payment waited for its result, ask the"
            " shop; the next payment writes the file anew.",
            self._path,
            line,
        )
        return ()

    def keep(self, records: tuple[OwedOutcome, ...]) -> None:
        """Replace what is kept."""
        write_private(self._path, json.dumps([_item(record) for record in records]) + "\n")


def _item(record: OwedOutcome) -> dict[str, object]:
    return {
        "offer": record.offer.hex(),
        "sent": [message.hex() for message in record.sent],
        "unknown": record.unknown,
        "past": record.past,
        "outcome": record.outcome and record.outcome.encode().hex(),
        "merchant": record.bill.merchant,
        "minor": record.bill.amount.minor,
        "currency": record.bill.amount.currency.code,
        "order": record.bill.order,
    }


def _record(item: dict[str, object]) -> OwedOutcome:
    match item:
        case {
            "offer": str(offer),
            "sent": list(sent),
            "unknown": bool(unknown),
            "merchant": str(merchant),
            "minor": int(minor),
            "currency": str(code),
            "order": str(order),
        }:
            bill = Bill(
                check_shown_text(merchant, LONGEST_MERCHANT_NAME, "merchant_name"),
                Money(minor, currency(code)),
                check_shown_text(order, LONGEST_ORDER, "order"),
            )
            return OwedOutcome(
                _digest(offer),
                bill,
                tuple(_digest(message) for message in sent),
                unknown,
                # Versions that did not write these could not say: what may be misleading is not shown.
                past=bool(item.get("past", not unknown)),
                outcome=_outcome(item.get("outcome")),
            )
    raise InputError("damaged", "not a payment that waits for an outcome")


def _outcome(text: object) -> Outcome | None:
    """It was verified when it came."""
    return Outcome.decode(bytes.fromhex(text)) if isinstance(text, str) else None


def _digest(text: object) -> Digest:
    digest = bytes.fromhex(text) if isinstance(text, str) else b""
    if len(digest) != DIGEST_SIZE:
        raise ValueError("a digest is 32 bytes")
    return Digest(digest)
