"""Payments that were left without an outcome: what is kept to check a late one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from protocol.identifiers import Digest
from protocol.messages import Outcome, Verdict
from reader_peripheral.screens import Bill

# A phone that never brings an outcome cannot fill the memory with what is owed.
MOST_OWED = 8


@dataclass(frozen=True, slots=True)
class OwedOutcome:
    """One payment: H(offer), what the display said, and the hashes of the messages sent for it, in order.

    `unknown`: the reader's last message may have settled the payment, and the person has not yet closed the
    screen that says so.
    """

    offer: Digest
    bill: Bill
    sent: tuple[Digest, ...]
    unknown: bool

    def accepts(self, outcome: Outcome) -> bool:
        """An approval must answer the reader's last message; a refusal any message of it, or none."""
        if outcome.verdict is Verdict.APPROVED:
            return bool(self.sent) and outcome.last_message == self.sent[-1]
        return outcome.last_message is None or outcome.last_message in self.sent


class OwedOutcomes:
    """The latest MOST_OWED of them, oldest first."""

    def __init__(self, records: Iterable[OwedOutcome] = ()) -> None:
        self._records: dict[Digest, OwedOutcome] = {}
        for record in records:
            self.add(record)

    @property
    def records(self) -> tuple[OwedOutcome, ...]:
        """All of them."""
        return tuple(self._records.values())

    @property
    def unknown(self) -> Bill | None:
        """What 'unknown: do not pay again' must be shown for; the latest, if it is several."""
        return next((record.bill for record in reversed(self.records) if record.unknown), None)

    def find(self, offer: Digest) -> OwedOutcome | None:
        """The payment of an offer."""
        return self._records.get(offer)

    def add(self, record: OwedOutcome) -> None:
        """Keep one more; the oldest goes when there are too many."""
        self._records[record.offer] = record
        while len(self._records) > MOST_OWED:
            del self._records[next(iter(self._records))]

    def settle(self, offer: Digest) -> None:
        """The outcome has come."""
        self._records.pop(offer, None)

    def have_been_read(self) -> None:
        """The person has closed the screen, or pays anew: outcomes are still taken, but nothing is shown."""
        self._records = {key: replace(record, unknown=False) for key, record in self._records.items()}
