"""A list that a test can wait on: what somebody saw or said, in order, with no sleeping and no polling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 15.0
"""Seconds until something that should happen counts as missing; a payment takes well under one."""


class Diary(Generic[T]):
    """Entries in the order in which they happened. All of it belongs to one event loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[T] = []
        self._news = asyncio.Event()

    def write(self, entry: T) -> None:
        """Add an entry and wake who waits."""
        self.entries.append(entry)
        self._news.set()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self.entries)

    def all(self, wanted: Callable[[T], bool], since: int = 0) -> list[T]:
        """The entries from number `since` on that are wanted."""
        return [entry for entry in self.entries[since:] if wanted(entry)]

    async def until(self, wanted: Callable[[T], bool], since: int = 0, patience: float = PATIENCE) -> T:
        """The first wanted entry from number `since` on, once there; AssertionError if it stays away."""
        try:
            async with asyncio.timeout(patience):
                at = since
                while True:
                    for entry in self.entries[at:]:
                        if wanted(entry):
                            return entry
                    at = max(at, len(self.entries))
                    await self._news.wait()
        except TimeoutError:
            listed = "\n".join(f"  {entry!r}" for entry in self.entries[since:])
            raise AssertionError(
                f"{self.name}: nothing of the kind within {patience:g} s in\n{listed}"
            ) from None
