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
            if record.unknown:  # no display shows two
                self.have_been_read()
            self.add(record)
        latest = next(reversed(self._records), None)
        self.past = frozenset(
            each.offer for each in self.records if not each.unknown and each.offer != latest
        )
        """Offers of the payments since which the person has swiped for another; after a restart, may have."""

    @property
    def records(self) -> tuple[OwedOutcome, ...]:
        """All of them."""
        return tuple(self._records.values())

    @property
    def unknown(self) -> Bill | None:
        """What 'unknown: do not pay again' must be shown for: one payment at most, the last swiped for."""
        return next((record.bill for record in self.records if record.unknown), None)

    def find(self, offer: Digest) -> OwedOutcome | None:
        """The payment of an offer."""
        return self._records.get(offer)

    def add(self, record: OwedOutcome) -> None:
        """Keep one more. Of too many the oldest goes that no display must show, or the oldest of all."""
        self._records[record.offer] = record
        if len(self._records) > MOST_OWED:
            read = (each.offer for each in self.records if not each.unknown)
            del self._records[next(read, self.records[0].offer)]

    def settle(self, offer: Digest) -> None:
        """The outcome has come."""
        self._records.pop(offer, None)

    def have_been_read(self) -> None:
        """The person has closed the screen. Outcomes are still taken, and shown."""
        self._records = {key: replace(record, unknown=False) for key, record in self._records.items()}

    def pay_anew(self) -> None:
        """The person swipes for another payment: outcomes of these are still taken, but not shown."""
        self.have_been_read()
        self.past = frozenset(self._records)
