"""The outcome for the reader (S24, S43), made from stored hashes: at any time the same, to be signed anew."""

from __future__ import annotations

from issuer_server.payment import PaymentState
from issuer_server.storage.records import PaymentRecord
from protocol.messages import Outcome, Verdict


def outcome_of(payment: PaymentRecord) -> Outcome | None:
    """The outcome of an ended payment; None where no offer was made, or the payment goes on.

    It is bound to the offer and to the last message that the reader sent, None where none was stored.
    """
    if payment.offer_digest is None or not payment.state.is_final:
        return None
    approved = payment.state is PaymentState.COMPLETED
    return Outcome(
        offer=payment.offer_digest,
        last_message=payment.last_message_digest,
        verdict=Verdict.APPROVED if approved else Verdict.NOT_SETTLED,
        reason=payment.reason,
    )
