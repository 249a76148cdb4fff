"""Payments that this phone ended by its own word: declined, unanswered, called off before an offer. Pure.

That such a payment was not paid is true for good once the issuer has the word. Until then it may ask
again, and what this program declined, the next one could approve.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from handset_client.effects import SWITCHED_OFF, End, Ending, Finish, HowDeclined
from handset_client.issuer_frames import Decline, DeclineReason, PaymentRequest, PhoneFrame, ReaderUnavailable
from protocol.identifiers import PaymentId
from protocol.messages import NotSettled

MOST_WITHDRAWN: Final = 32
"""The oldest are let go; a phone that is away so long has missed every deadline of the issuer's."""


@dataclass(frozen=True, slots=True)
class _Withdrawn:
    ending: Ending
    told: bool
    """Whether the person has been told this ending."""


class Withdrawals:
    """What was withdrawn, by payment; the person is told at once, or from :meth:`hold_back` on at the end."""

    def __init__(self) -> None:
        self._made: dict[PaymentId, _Withdrawn] = {}
        self._holding_back = False

    def made(self, ending: Ending) -> Iterator[Finish]:
        """This payment was withdrawn, and the word for the issuer is queued."""
        told = not self._holding_back
        self._made[ending.request.payment_id] = _Withdrawn(ending, told)
        while len(self._made) > MOST_WITHDRAWN:
            del self._made[next(iter(self._made))]
        if told:
            yield Finish(ending)

    def asked_again(self, payment_id: PaymentId) -> PhoneFrame | None:
        """The word once more, for an issuer that asks as if it had not had it; None for a new payment."""
        if (made := self._made.get(payment_id)) is None:
            return None
        if made.ending.reason == NotSettled.READER_UNAVAILABLE:
            return ReaderUnavailable(payment_id)
        unanswered = made.ending.reason == DeclineReason.NO_RESPONSE
        reason = DeclineReason.NO_RESPONSE if unanswered else DeclineReason.DECLINED
        return Decline(payment_id, reason, made.ending.reason == HowDeclined.AND_BLOCKED)

    def hold_back(self) -> None:
        """The program is ending: what is withdrawn from here on waits for :meth:`last_words`."""
        self._holding_back = True

    def last_words(self, unheard: Collection[PaymentId]) -> Iterator[Finish]:
        """What is certain at the end, when nothing more goes to the issuer, which did not hear of these."""
        for payment_id, made in self._made.items():
            if payment_id in unheard:
                yield Finish(switched_off(made.ending.request))
            elif not made.told:
                yield Finish(made.ending)


def switched_off(request: PaymentRequest) -> Ending:
    """The end of a payment of which this program hears no more; the next one asks how it went."""
    return Ending(request, End.UNKNOWN, SWITCHED_OFF)
