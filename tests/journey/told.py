"""Who was told how a payment ended, and who was not: the merchant, the phone, the reader."""

from __future__ import annotations

from handset_client.issuer_frames import Result, ToReader
from merchant_terminal.payment import Payment
from protocol.identifiers import PaymentId
from protocol.messages import MessageType, NotSettled, Outcome, Verdict
from protocol.signing import open_message
from reader_peripheral import screens
from tests.journey.parties import Parties
from tests.journey.taps import Handed, Way


async def assert_merchant_alone_is_told(world: Parties, payment_id: PaymentId, reason: NotSettled) -> Payment:
    """S9: 'not settled' to the merchant; neither phone nor reader hears of the end."""
    payment = await _merchant_is_told(world, payment_id, reason)
    await world.phone.caught_up()
    assert not world.phone.told_the_end(payment_id)
    assert not world.phone.brought(MessageType.OUTCOME, payment_id)
    return payment


async def assert_phone_and_merchant_are_told(
    world: Parties, payment_id: PaymentId, reason: NotSettled
) -> Payment:
    """S13, S17, S22, S27 before any offer: 'not settled' to both, and to no reader."""
    payment = await _merchant_is_told(world, payment_id, reason)
    await _phone_is_told(world, payment_id, reason)
    await world.phone.caught_up()
    assert not world.phone.brought(MessageType.OUTCOME, payment_id)
    return payment


async def assert_all_are_told(world: Parties, payment_id: PaymentId, reason: NotSettled | None) -> Payment:
    """S13, S24, S27 with the reader: result to merchant and phone, signed outcome to the reader (S38, S43).

    `reason` None: completed.
    """
    payment = await _merchant_is_told(world, payment_id, reason)
    await _phone_is_told(world, payment_id, reason)
    await _reader_is_told(world, payment_id, reason)
    return payment


async def _merchant_is_told(world: Parties, payment_id: PaymentId, reason: NotSettled | None) -> Payment:
    payment = await world.outcome(payment_id)
    assert (payment.status, payment.reason) == (_status(reason), reason)
    return payment


async def _phone_is_told(world: Parties, payment_id: PaymentId, reason: NotSettled | None) -> None:
    _, result = await world.phone.wire.until(
        lambda passed: isinstance(passed[1], Result) and passed[1].payment_id == payment_id
    )
    assert isinstance(result, Result)
    assert (result.outcome, result.reason) == (_status(reason), reason)
    ending = await world.person.phone.endings.until(lambda end: end.request.payment_id == payment_id)
    assert (ending.end, ending.reason) == (_status(reason), reason)


async def _reader_is_told(world: Parties, payment_id: PaymentId, reason: NotSettled | None) -> None:
    _, said = await world.phone.wire.until(
        lambda passed: (
            isinstance(passed[1], ToReader)
            and (passed[1].payment_id, passed[1].kind) == (payment_id, MessageType.OUTCOME)
        )
    )
    assert isinstance(said, ToReader)
    await world.phone.wire.until(
        lambda passed: passed == (Way.TO_READER, Handed(payment_id, MessageType.OUTCOME, said.data))
    )
    outcome = open_message(world.issuer.keys.signing.public_key, said.data, Outcome)
    assert outcome.verdict is (Verdict.APPROVED if reason is None else Verdict.NOT_SETTLED)
    assert outcome.reason is reason
    await world.person.display.shown.until(lambda screen: _shows(screen, reason))


def _shows(screen: screens.Screen, reason: NotSettled | None) -> bool:
    if reason is None:
        return isinstance(screen, screens.Approved)
    return isinstance(screen, screens.NotSettled) and screen.reason is reason


def _status(reason: NotSettled | None) -> str:
    return "completed" if reason is None else "not_settled"
