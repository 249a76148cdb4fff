"""How much one merchant may ask, and how often one phone may be called: token buckets, pure.

A bucket holds up to `burst` tokens and gets `per_second` new ones; each request takes one. Buckets belong to
one process, which is enough where one process serves a database; payments in flight are counted by that.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MERCHANT_BURST_SECONDS: Final = 10.0
"""A merchant may spend so many seconds' worth at once."""
FORGET_ABOVE: Final = 10_000
"""Buckets kept before those that are full again are let go."""
ANOTHER_CALL_AFTER: Final = 5.0
"""Seconds to wait where a phone has as many calls as it may: nobody knows when a person answers."""


@dataclass(frozen=True, slots=True)
class Limits:
    """0 is no limit."""

    merchant_requests_per_second: float = 0.0
    calls_to_a_phone_per_minute: float = 0.0  # also how many may come at once, after a quiet minute
    calls_to_a_phone_at_once: int = 0

    def __post_init__(self) -> None:
        for name in (
            "merchant_requests_per_second",
            "calls_to_a_phone_per_minute",
            "calls_to_a_phone_at_once",
        ):
            if not 0 <= getattr(self, name) <= 1_000_000:
                raise ValueError(f"the limit {name!r} must be 0 (none) to 1,000,000")


USUAL_LIMITS: Final = Limits(100.0, 30.0, 8)
"""Above anything that a shop or a person does, below what does harm."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, `per_second` on and on; a rate of 0 is no limit."""

    per_second: float
    burst: float

    @classmethod
    def of_merchant(cls, limits: Limits) -> Rate:
        per_second = limits.merchant_requests_per_second
        return cls(per_second, max(1.0, per_second * MERCHANT_BURST_SECONDS))

    @classmethod
    def of_phone(cls, limits: Limits) -> Rate:
        per_minute = limits.calls_to_a_phone_per_minute
        return cls(per_minute / 60.0, max(1.0, per_minute))


class TokenBuckets(Generic[K]):
    """A bucket for each key, full at first. Times are seconds of any clock that does not go back."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._levels: dict[K, tuple[float, float]] = {}

    def take(self, key: K, now: float) -> float:
        """0 where a token was there and is taken; else the seconds until there is one, with nothing taken."""
        if self._rate.per_second <= 0:
            return 0.0
        level = self._level(key, now)
        if level < 1.0:
            return (1.0 - level) / self._rate.per_second
        if len(self._levels) >= FORGET_ABOVE:
            self._forget_full(now)
        self._levels[key] = (level - 1.0, now)
        return 0.0

    def give_back(self, key: K, now: float) -> None:
        """What the token was taken for was not done."""
        if key in self._levels:
            self._levels[key] = (min(self._rate.burst, self._level(key, now) + 1.0), now)

    def __len__(self) -> int:
        return len(self._levels)

    def _level(self, key: K, now: float) -> float:
        level, at = self._levels.get(key, (self._rate.burst, now))
        return min(self._rate.burst, level + (now - at) * self._rate.per_second)

    def _forget_full(self, now: float) -> None:
        full = [key for key in self._levels if self._level(key, now) >= self._rate.burst]
        for key in full:
            del self._levels[key]
