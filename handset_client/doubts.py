"""Payments whose end this phone never heard: 'do not pay again', until the issuer says more. Pure.

They outlive the program in its history. The issuer is asked for each whenever it begins a new session with
the phone; its answer, late as it is, corrects what the person was told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from handset_client.effects import Amend, End, Ending
from handset_client.issuer_frames import Result
from protocol.identifiers import PaymentId

MOST_DOUBTS: Final = 32
"""Asked for at once; the oldest are let go. A phone that is in doubt so often has other troubles."""


class Doubts:
    """What is in doubt, by payment. None of these is on show: a doubt begins as the payment ends."""

    def __init__(self, endings: Iterable[Ending] = ()) -> None:
        self._endings: dict[PaymentId, Ending] = {}
        for ending in endings:
            self.note(ending)

    def __contains__(self, payment_id: PaymentId) -> bool:
        return payment_id in self._endings

    def note(self, ending: Ending) -> None:
        """A payment ended; only one that ended in doubt is of interest."""
        if ending.end.in_doubt:
            self._endings[ending.request.payment_id] = ending
            while len(self._endings) > MOST_DOUBTS:
                del self._endings[next(iter(self._endings))]

    def open(self) -> list[PaymentId]:
        """What the issuer must be asked for, oldest first."""
        return list(self._endings)

    def learned(self, result: Result) -> Amend:
        """The issuer says how one of them ended."""
        request = self._endings.pop(result.payment_id).request
        return Amend(Ending(request, End(result.outcome.value), result.reason, result.last_four))

    def give_up(self, payment_id: PaymentId) -> None:
        """No answer is awaited any more: the issuer does not know this payment, or it asks anew."""
        self._endings.pop(payment_id, None)
