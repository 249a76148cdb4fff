"""The outcomes that readers are still owed, as the phone remembers them. Pure.

A reader that took an offer waits for the issuer's signed outcome, in this session or a later one.
The phone notes that on disk as the offer goes out, so that neither its own end nor the
issuer's leaves a reader without its answer for longer than it takes to meet again.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

from handset_client.effects import Forget, Keep, KeptOutcome
from protocol.identifiers import PaymentId, ReaderId


class OwedOutcomes:
    """What is owed to whom. The changing methods return the effect that writes the change down."""

    def __init__(self, kept: Iterable[KeptOutcome]) -> None:
        self._kept = {owed.payment_id: owed for owed in kept}
        self._errands = collections.deque(owed.payment_id for owed in self._kept.values() if owed.data)

    def __contains__(self, payment_id: PaymentId) -> bool:
        return payment_id in self._kept

    def offered(self, payment_id: PaymentId, reader_id: ReaderId) -> Keep:
        """An offer is about to go to this reader: an outcome will be owed."""
        return self._write(KeptOutcome(payment_id, reader_id))

    def learned(self, payment_id: PaymentId, data: bytes) -> Keep:
        """The issuer said the outcome of a payment that is owed one."""
        return self._write(KeptOutcome(payment_id, self._kept[payment_id].reader_id, data))

    def delivered(self, payment_id: PaymentId) -> Forget:
        """The reader has it, or nobody will ever have it."""
        self._kept.pop(payment_id, None)
        return Forget(payment_id)

    def data(self, payment_id: PaymentId) -> bytes | None:
        """The outcome's bytes, where the issuer has said them."""
        owed = self._kept.get(payment_id)
        return owed.data if owed is not None else None

    def for_reader(self, reader_id: ReaderId) -> list[KeptOutcome]:
        """What this reader can be brought now, oldest first."""
        return [owed for owed in self._kept.values() if owed.data and owed.reader_id == reader_id]

    def is_for(self, payment_id: PaymentId, reader_id: ReaderId) -> bool:
        """Whether it is this reader that waits for the outcome, and not another that answered."""
        owed = self._kept.get(payment_id)
        return owed is not None and owed.reader_id == reader_id

    def unsaid(self) -> list[PaymentId]:
        """The payments whose outcome the issuer must be asked for."""
        return [owed.payment_id for owed in self._kept.values() if owed.data is None]

    def plan_errand(self, payment_id: PaymentId) -> None:
        """Look for the reader once more when nothing else is to be done."""
        if payment_id not in self._errands:
            self._errands.append(payment_id)

    def next_errand(self) -> PaymentId | None:
        """The next outcome to go looking for a reader with."""
        while self._errands:
            payment_id = self._errands.popleft()
            if self.data(payment_id):
                return payment_id
        return None

    def drop_errands(self) -> None:
        """Go looking for nobody any more; what is owed stays owed."""
        self._errands.clear()

    def _write(self, owed: KeptOutcome) -> Keep:
        self._kept[owed.payment_id] = owed
        return Keep(owed)
