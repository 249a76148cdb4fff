"""Payments whose outcome has not come, or not been read: what is kept of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from protocol.gatt import Status
from protocol.identifiers import Digest
from protocol.messages import Outcome, Verdict
from reader_peripheral.screens import Approved, Bill, NotSettled, Screen, Unknown

# A phone that never brings an outcome cannot fill the memory with what is owed.
MOST_OWED = 8


@dataclass(frozen=True, slots=True)
class OwedOutcome:
    """One payment: H(offer), what the display said, and the hashes of the messages sent for it, in order.

    `unknown`: the reader's last message may have settled the payment, and the person has not yet closed the
    screen that says so. `past`: the person's last swipe was not for this payment, so its outcome is taken and
    not shown. `outcome`: it has come, and the person has not yet read it.
    """

    offer: Digest
    bill: Bill
    sent: tuple[Digest, ...]
    unknown: bool
    past: bool = False
    outcome: Outcome | None = None

    @property
    def unread(self) -> bool:
        """The display must show it, whatever a phone brings meanwhile."""
        return self.unknown or self.outcome is not None

    def accepts(self, outcome: Outcome) -> bool:
        """An approval must answer the reader's last message; a refusal any message of it, or none."""
        if outcome.verdict is Verdict.APPROVED:
            return bool(self.sent) and outcome.last_message == self.sent[-1]
        return outcome.last_message is None or outcome.last_message in self.sent

    def screen(self) -> tuple[Screen, Status]:
        """What the display and the phone are told of it while it is unread."""
        if self.outcome is None:
            return Unknown(self.bill), Status.UNKNOWN_OUTCOME
        if self.outcome.verdict is Verdict.APPROVED:
            return Approved(self.bill), Status.APPROVED
        return NotSettled(self.bill, self.outcome.reason), Status.NOT_SETTLED


class OwedOutcomes:
    """The latest MOST_OWED of them, oldest first. One at most is not past, so one at most is unread."""

    def __init__(self, records: Iterable[OwedOutcome] = ()) -> None:
        self._records: dict[Digest, OwedOutcome] = {}
        for record in records:
            self.add(record)

    @property
    def records(self) -> tuple[OwedOutcome, ...]:
        """All of them."""
        return tuple(self._records.values())

    @property
    def unread(self) -> OwedOutcome | None:
        """What the display must show: a result, or 'unknown: do not pay again'."""
        return next((record for record in self.records if record.unread), None)

    def find(self, offer: Digest) -> OwedOutcome | None:
        """The payment of an offer."""
        return self._records.get(offer)

    def awaits(self, offer: Digest) -> bool:
        """Whether a payment of this offer was left without an outcome."""
        record = self._records.get(offer)
        return record is not None and record.outcome is None

    def add(self, record: OwedOutcome) -> None:
        """Keep one more. Of too many the oldest goes that no display must show."""
        if not record.past:
            self.pay_anew()
        self._records[record.offer] = record
        if len(self._records) > MOST_OWED:
            del self._records[next(each.offer for each in self.records if not each.unread)]

    def take(self, record: OwedOutcome, outcome: Outcome) -> OwedOutcome:
        """The outcome has come. It stays until it has been read, unless the person has no use for it."""
        told = replace(record, unknown=False, outcome=outcome)
        if told.past:
            self._records.pop(told.offer, None)
        else:
            self.add(told)
        return told

    def close(self, offer: Digest) -> None:
        """The person has read what is shown of it. An outcome that has not come is still taken, and shown."""
        record = self._records.get(offer)
        if record is not None and record.outcome is not None:
            del self._records[offer]
        elif record is not None:
            self._records[offer] = replace(record, unknown=False)

    def pay_anew(self) -> None:
        """The person swipes for another payment: outcomes of these are still taken, but not shown."""
        self._records = {
            key: replace(record, unknown=False, past=True)
            for key, record in self._records.items()
            if record.outcome is None
        }
