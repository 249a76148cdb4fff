"""The bus: how the replica that holds a phone's socket and the replica that owns a payment talk.

A payment's secret key lives in one process (its owner); the phone's WebSocket may end at another one. What
the two say goes over subjects, also where both are the same process, so that a cluster runs the same code.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from protocol.errors import BlindRelayError
from protocol.identifiers import CardholderId, HandsetId, PaymentId

Handler = Callable[[bytes], Awaitable[bytes]]
"""Takes a payload and gives the reply; the reply to something published is thrown away."""

HANDSET_ARRIVED: Final = "handset.arrived"
"""Published when a phone's socket is up: JSON {handset_id, cardholder_id, resumed}."""

WEBHOOKS_WAITING: Final = "webhooks.waiting"
"""Published, empty, when something was committed that merchants may want to be told of."""


def call_subject(cardholder_id: CardholderId) -> str:
    """Asks for a connected phone of this cardholder; the reply is its handset id."""
    return f"call.{cardholder_id}"


def handset_subject(handset_id: HandsetId) -> str:
    """Carries frames to one phone; the reply, empty, says that its session took the frame."""
    return f"handset.{handset_id}"


def payment_subject(payment_id: PaymentId) -> str:
    """Carries what phone and merchant want of a payment to its owner."""
    return f"payment.{payment_id}"


def moved_subject(payment_id: PaymentId) -> str:
    """Published, empty, when a payment is in another state; a final one is committed by then."""
    return f"moved.{payment_id}"


class NoResponders(BlindRelayError):  # noqa: N818 - the bus's own word for it
    """Nobody listens on the subject: the phone is not connected, or the payment is over."""


class Subscription(Protocol):
    """One handler on one subject."""

    async def end(self) -> None:
        """Stop listening; safe to repeat."""
        ...


class Bus(Protocol):
    """Publish, request, subscribe, close."""

    async def publish(self, subject: str, payload: bytes) -> None:
        """Hand the payload to everyone who listens; nobody listening is no error."""
        ...

    async def request(self, subject: str, payload: bytes) -> bytes:
        """Hand the payload to one listener and give its reply; raises NoResponders."""
        ...

    async def subscribe(self, subject: str, handler: Handler) -> Subscription: ...

    async def close(self) -> None: ...
