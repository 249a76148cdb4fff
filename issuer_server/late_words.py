"""What a phone hears about a payment that nobody holds in memory any more, also after a restart."""

from __future__ import annotations

from issuer_server import handset_frames as frames
from issuer_server.card_checks import KeysInUse
from issuer_server.key_custody.key_store import KeyStoreError
from issuer_server.outcomes import outcome_of
from issuer_server.storage.port import Storage
from issuer_server.storage.records import HandsetRecord, PaymentRecord
from protocol.signing import sign_message


async def answer_late(
    storage: Storage, keys: KeysInUse, handset: HandsetRecord, message: frames.PhoneMessage, now: float
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
    if isinstance(message, frames.OutcomeWanted):
        try:
            signed = await _outcome(storage, keys, payment)
        except KeyStoreError:  # the log says what to do; the phone asks for the reader's part another time
            return (frames.result(payment),)
        if signed is not None:
            return frames.to_reader(payment.id, "outcome", signed, 0), frames.result(payment)
    return (frames.payment_over(payment.id, payment.reason or "completed"),)


async def _outcome(storage: Storage, keys: KeysInUse, payment: PaymentRecord) -> bytes | None:
    """Signed with the key that the reader of this payment trusts; None where there is none to sign with."""
    outcome = outcome_of(payment)
    reader = None if payment.reader_id is None else await storage.reader(payment.reader_id)
    signer = None if reader is None else await keys.signer(reader.issuer_key)
    if outcome is None or signer is None:
        return None
    return await keys.ask(lambda: sign_message(signer, outcome))
