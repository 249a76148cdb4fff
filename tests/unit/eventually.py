"""Waiting for a condition that nothing signals: soon where the machine is idle, in time where it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE = 10.0
"""Seconds until the condition is taken to stay false."""


async def eventually(so: Callable[[], object]) -> None:
    """Return once `so()` is true; TimeoutError where it stays false."""
    async with asyncio.timeout(PATIENCE):
        while not so():  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.001)
