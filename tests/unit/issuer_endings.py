"""What each ending of a payment at the issuer must leave behind."""

from __future__ import annotations

from issuer_server.payment import PaymentState
from protocol.messages import NotSettled, Verdict
from protocol.signing import digest
from tests.unit.issuer_bench import (
    Bench,
)


async def not_settled(issuer: Bench, payment_id: str, reason: NotSettled, *, phone_told: bool) -> None:
    """The payment ended for `reason`; the phone heard of it, or of nothing."""
    payment = await issuer.ended(payment_id)  # type: ignore[arg-type]
    assert (payment.state, payment.reason) == (PaymentState.NOT_SETTLED, reason)
    kinds = issuer.phone.heard_kinds(payment.id)
    assert ("result" in kinds) is phone_told
    assert ("outcome" in kinds) is (phone_told and "key_offer" in kinds)
    if "outcome" in kinds:
        outcome = await issuer.outcome(payment.id)
        assert (outcome.verdict, outcome.reason) == (Verdict.NOT_SETTLED, reason)
        assert outcome.last_message == (digest(issuer.reader.last_sent) if issuer.reader.last_sent else None)
    assert (await issuer.balances())["cardholder"] == 100_000
