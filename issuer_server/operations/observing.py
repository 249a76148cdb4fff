"""What happens in the issuer, told to whoever counts (`metrics.py`) or traces (`tracing.py`) it.

An observer learns names and numbers: never a card, a PIN, a key, a phone number or what is bought. It must
not fail and must not wait; nothing of a payment depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Final

from issuer_server.payment import Effect, PaymentEvent, PaymentState
from issuer_server.storage.records import DueWebhook, PaymentRecord

Answered = Callable[[int, str | None], None]
"""Told the status, and the `code` of a problem."""
Attempted = Callable[[str], None]
"""Told how an attempt ended: one of WEBHOOK_RESULTS."""

WEBHOOK_RESULTS: Final = ("delivered", "failed", "given_up", "gone")


def _unheard(*_: object) -> None:
    """Nobody counts."""


class Observer:
    """Looks at nothing; those that look at something override what they want."""

    def request(self, method: str, route: str) -> AbstractContextManager[Answered]:
        """An HTTP request, around its handler; `route` is the address's template."""
        return nullcontext(_unheard)

    def payment_made(self, payment: PaymentRecord) -> None:
        """A new payment is stored, in the request that asked for it."""

    def payment_moved(self, payment: PaymentRecord, event: PaymentEvent, state: PaymentState) -> None:
        """`event` has brought the payment into `state`; an ending may not be committed yet."""

    def effect(self, payment: PaymentRecord, effect: Effect) -> AbstractContextManager[object]:
        """One effect of a move, around its work."""
        return nullcontext()

    def payment_over(self, payment: PaymentRecord) -> None:
        """The payment has ended and its end is committed."""

    def committed(self, work: str, operations: int, seconds: float) -> None:
        """A batch of the database ("read" or "write"). Called from the database's threads."""

    def webhook(self, due: DueWebhook) -> AbstractContextManager[Attempted]:
        """One attempt to deliver a webhook, around it."""
        return nullcontext(_unheard)


NOBODY: Final = Observer()


class Observers(Observer):
    """Tells several of everything."""

    def __init__(self, all_of_them: Sequence[Observer]) -> None:
        self._all = tuple(all_of_them)

    @contextmanager
    def request(self, method: str, route: str) -> Iterator[Answered]:
        with ExitStack() as stack:
            told = [stack.enter_context(each.request(method, route)) for each in self._all]

            def answered(status: int, code: str | None) -> None:
                for tell in told:
                    tell(status, code)

            yield answered

    def payment_made(self, payment: PaymentRecord) -> None:
        for each in self._all:
            each.payment_made(payment)

    def payment_moved(self, payment: PaymentRecord, event: PaymentEvent, state: PaymentState) -> None:
        for each in self._all:
            each.payment_moved(payment, event, state)

    @contextmanager
    def effect(self, payment: PaymentRecord, effect: Effect) -> Iterator[None]:
        with ExitStack() as stack:
            for each in self._all:
                stack.enter_context(each.effect(payment, effect))
            yield

    def payment_over(self, payment: PaymentRecord) -> None:
        for each in self._all:
            each.payment_over(payment)

    def committed(self, work: str, operations: int, seconds: float) -> None:
        for each in self._all:
            each.committed(work, operations, seconds)

    @contextmanager
    def webhook(self, due: DueWebhook) -> Iterator[Attempted]:
        with ExitStack() as stack:
            told = [stack.enter_context(each.webhook(due)) for each in self._all]

            def attempted(result: str) -> None:
                for tell in told:
                    tell(result)

            yield attempted


def observer_of(all_of_them: Sequence[Observer]) -> Observer:
    """One observer for none, one or several."""
    if len(all_of_them) == 1:
        return all_of_them[0]
    return Observers(all_of_them) if all_of_them else NOBODY
