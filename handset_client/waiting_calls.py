"""Calls that wait while one payment runs; each one's countdown runs on meanwhile. Pure."""

from __future__ import annotations

import collections
from typing import Final

from handset_client.issuer_frames import PaymentRequest
from protocol.identifiers import PaymentId

QUEUE_LIMIT: Final = 8
"""Calls that wait while one runs. More than this is somebody's mischief, and is declined."""


class WaitingCalls:
    """First come, first served. Times are seconds of the relay's clock."""

    def __init__(self) -> None:
        self._calls: collections.deque[tuple[PaymentRequest, float]] = collections.deque()

    def __contains__(self, payment_id: PaymentId) -> bool:
        return any(request.payment_id == payment_id for request, _ in self._calls)

    @property
    def empty(self) -> bool:
        """Whether none waits."""
        return not self._calls

    @property
    def full(self) -> bool:
        """Whether one more is too many."""
        return len(self._calls) >= QUEUE_LIMIT

    def add(self, request: PaymentRequest, over: float) -> None:
        """One more, to be answered by `over`."""
        self._calls.append((request, over))

    def first(self) -> tuple[PaymentRequest, float] | None:
        """Take the next one and when its countdown is over; None where none waits."""
        return self._calls.popleft() if self._calls else None

    def withdrawn(self, payment_id: PaymentId) -> PaymentRequest | None:
        """Take out this one, if it waits."""
        for call in self._calls:
            if call[0].payment_id == payment_id:
                self._calls.remove(call)
                return call[0]
        return None

    def run_out(self, now: float) -> list[PaymentRequest]:
        """Take out those whose countdown is over."""
        late = [call for call in self._calls if call[1] <= now]
        for call in late:
            self._calls.remove(call)
        return [request for request, _ in late]

    def all(self) -> list[PaymentRequest]:
        """Take out all of them."""
        waiting = [request for request, _ in self._calls]
        self._calls.clear()
        return waiting

    def deadline(self) -> float | None:
        """When the next countdown is over."""
        return min((over for _, over in self._calls), default=None)
