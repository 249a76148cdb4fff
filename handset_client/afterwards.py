"""Payments that are over on this phone and not at their end: outcomes owed, ends in doubt, withdrawals. Pure.

The relay asks here about every payment that is not the one on show. The methods return effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from handset_client.doubts import Doubts
from handset_client.effects import (
    Ending,
    Finish,
    KeptOutcome,
    RelayEffect,
    SendToIssuer,
    SendToReader,
)
from handset_client.issuer_frames import OutcomeWanted, ReaderUnavailable, ToReader
from handset_client.owed import OwedOutcomes
from handset_client.withdrawals import Withdrawals
from protocol.identifiers import PaymentId, ReaderId
from protocol.messages import MessageType

BROUGHT_AT_ONCE: Final = 4
"""Older outcomes for a reader at the beginning of a session; the channel queues eight messages."""


class Afterwards:
    """Owed outcomes, doubts and withdrawals, together: one payment can be several of them, or none."""

    def __init__(self, kept: Iterable[KeptOutcome], doubts: Iterable[Ending]) -> None:
        self.owed = OwedOutcomes(kept)
        self.doubts = Doubts(doubts)
        self.withdrawals = Withdrawals()

    def __contains__(self, payment_id: PaymentId) -> bool:
        return payment_id in self.owed or payment_id in self.doubts

    def ended(self, ending: Ending, *, by_us: bool) -> Iterator[Finish]:
        """The payment on show, or one that waited, is over: the issuer said how, or else this phone did."""
        if by_us:
            yield from self.withdrawals.made(ending)
        else:
            self.doubts.note(ending)
            yield Finish(ending)

    def unknown(self, payment_id: PaymentId) -> Iterator[RelayEffect]:
        """The issuer has lost the payment itself: nobody will ever say how it ended."""
        self.doubts.give_up(payment_id)
        if payment_id in self.owed:
            yield self.owed.delivered(payment_id)

    def to_reader(self, frame: ToReader) -> Iterator[RelayEffect]:
        """A message for a reader that this phone has let go."""
        if frame.kind is not MessageType.OUTCOME:
            # The issuer goes on with what was given up here: it need not wait for its own deadline.
            yield SendToIssuer(ReaderUnavailable(frame.payment_id))
        elif frame.payment_id in self.owed:
            yield self.owed.learned(frame.payment_id, frame.data)
            self.owed.plan_errand(frame.payment_id)

    def questions(self, but: PaymentId | None) -> Iterator[RelayEffect]:
        """What an issuer is asked that knows nothing of our session; not about the payment on show."""
        unsaid = self.owed.unsaid()
        for payment_id in dict.fromkeys([*unsaid, *self.doubts.open()]):
            if payment_id == but:
                continue
            # First, because the answer tells all of a payment that is over; the next one's tells less.
            yield SendToIssuer(OutcomeWanted(payment_id))
            if payment_id in unsaid:
                # Left over from an earlier run of this program: that reader's session is gone with it.
                yield SendToIssuer(ReaderUnavailable(payment_id))

    def brought_to(self, reader_id: ReaderId, but: PaymentId | None) -> Iterator[RelayEffect]:
        """A reader takes a signed outcome in any session, before its next offer."""
        for owed in self.owed.for_reader(reader_id)[-BROUGHT_AT_ONCE:]:
            if owed.data and owed.payment_id != but:
                yield SendToReader(owed.payment_id, MessageType.OUTCOME, owed.data)
