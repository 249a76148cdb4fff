"""Whether the issuer can take a payment now: it goes on running, the database takes writes, the keys work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from issuer_server.problems import Problem
from issuer_server.storage.port import StorageError, Watched

_log = logging.getLogger(__name__)

ANSWER_HOLDS: Final = 1.0
"""Seconds that an answer is given again without a look: everybody may ask, and a look writes to the disk and
may wait for a token, while probes that have long gone away still stand in the queue."""


class Stoppable(Protocol):
    """The application, as far as readiness needs it."""

    @property
    def stopping(self) -> bool: ...


class Readiness:
    """`try_keys` does with the keys what a payment does; it raises whatever it likes where that fails."""

    def __init__(
        self,
        application: Stoppable,
        storage: Watched,
        try_keys: Callable[[], Awaitable[object]],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._application = application
        self._storage = storage
        self._try_keys = try_keys
        self._timer = timer
        self._looking = asyncio.Lock()
        self._wrong: str | None = None
        self._looked_at: float | None = None

    async def check(self) -> None:
        """Raises Problem (503: issuer_stopping, storage_unavailable, keys_unavailable) unless all is well."""
        if self._application.stopping:
            raise Problem(503, "issuer_stopping", "The issuer is being restarted.", {"Retry-After": "5"})
        async with self._looking:
            if self._looked_at is None or self._timer() - self._looked_at >= ANSWER_HOLDS:
                self._wrong = await self._look()
                self._looked_at = self._timer()  # from its end: a look may take longer than its answer holds
        if (wrong := self._wrong) is not None:
            raise Problem(503, wrong, _DETAILS[wrong], {"Retry-After": "1"})

    async def _look(self) -> str | None:
        """The code of what is wrong."""
        try:
            await self._storage.check_writable()
        except StorageError as error:
            _log.error("not ready: %s", error)
            return "storage_unavailable"
        try:
            await self._try_keys()
        except Exception as error:  # noqa: BLE001 - a hardware module fails in ways of its own
            _log.error("not ready: the keys cannot be used: %s", type(error).__name__)
            return "keys_unavailable"
        return None


_DETAILS: Final = {
    "storage_unavailable": "The issuer's database takes no writes; its log says why.",
    "keys_unavailable": "The issuer's keys cannot be used; its log says why.",
}
