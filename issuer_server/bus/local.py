"""The bus within one process: embedded mode, tests and the demo."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from issuer_server.bus.port import Handler, NoResponders

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _LocalSubscription:
    bus: LocalBus
    subject: str
    handler: Handler

    async def end(self) -> None:
        self.bus.forget(self)


class LocalBus:
    """Handlers are awaited in the caller's task, so a message has been dealt with when `publish` returns."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[_LocalSubscription]] = {}

    async def publish(self, subject: str, payload: bytes) -> None:
        """Every listener gets it; one that fails is logged and takes nothing from the others."""
        for subscription in tuple(self._listeners.get(subject, ())):
            try:
                await subscription.handler(payload)
            except Exception as error:  # noqa: BLE001 - the publisher cannot answer for its listeners
                _log.error("a listener failed on %s: %s", subject.partition(".")[0], type(error).__name__)

    async def request(self, subject: str, payload: bytes) -> bytes:
        """The newest listener answers: a phone's newest socket counts."""
        listeners = self._listeners.get(subject)
        if not listeners:
            raise NoResponders(subject)
        return await listeners[-1].handler(payload)

    async def subscribe(self, subject: str, handler: Handler) -> _LocalSubscription:
        subscription = _LocalSubscription(self, subject, handler)
        self._listeners.setdefault(subject, []).append(subscription)
        return subscription

    def forget(self, subscription: _LocalSubscription) -> None:
        """Take a subscription out; unknown ones are ignored, for `end` may be repeated."""
        listeners = self._listeners.get(subscription.subject, [])
        if subscription in listeners:
            listeners.remove(subscription)
        if not listeners:
            self._listeners.pop(subscription.subject, None)

    async def close(self) -> None:
        self._listeners.clear()
