"""What a phone hears about a payment that nobody holds in memory any more, also after a restart."""

from __future__ import annotations

from issuer_server import handset_frames as frames
from issuer_server.outcomes import sign_outcome
from issuer_server.storage.port import Storage
from issuer_server.storage.records import HandsetRecord
from protocol.signing import Signer


async def answer_late(
    storage: Storage, key: Signer, handset: HandsetRecord, message: frames.PhoneMessage, now: float
) -> tuple[bytes, ...]:
    """The frames that answer `message`; none where the payment has not ended: its owner will say how.

    The outcome is for the reader and closed to the phone, so the phone's own word of the end goes with it.
    """
    payment = await storage.payment(message.payment_id)
    if payment is None or payment.cardholder_id != handset.cardholder_id:
        return (frames.payment_over(message.payment_id, "unknown_payment"),)
    if isinstance(message, frames.Decline) and message.block_merchant:
        await storage.block_merchant(payment.cardholder_id, payment.merchant_id, now)
    if not payment.state.is_final:
        return ()
    if isinstance(message, frames.OutcomeWanted) and (signed := sign_outcome(key, payment)) is not None:
        return frames.to_reader(payment.id, "outcome", signed, 0), frames.result(payment)
    return (frames.payment_over(payment.id, payment.reason or "completed"),)
