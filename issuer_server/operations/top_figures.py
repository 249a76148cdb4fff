"""What `issuer-server top` shows, worked out from the metrics page and from the latest payments. Pure."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Labels = frozenset[tuple[str, str]]
Samples = Mapping[tuple[str, Labels], float]
"""Of a metrics page, by name and labels."""

WINDOW: Final = 60.0
"""Seconds over which rates and latencies are worked out."""
_PREFIX = "blind_relay_"


@dataclass(frozen=True, slots=True)
class RecentPayment:
    """A payment as the database has it; times are epoch seconds. Once it has ended it does not move again."""

    id: str
    merchant_name: str
    state: str
    reason: str | None
    minor: int
    currency: str
    created_at: float
    moved_at: float


@dataclass(frozen=True, slots=True)
class Span:
    """Payments that ended within the last so many seconds."""

    seconds: float
    asked: int
    completed: int
    not_settled: int
    median: float | None
    """Seconds from request to completion, the person's own time included."""
    slowest: float | None
    """Of twenty, the second slowest (the 95th percentile)."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the issuer itself does, from its metrics, over the window."""

    requests_per_second: float
    request_95: float | None
    commits_per_second: float
    operations_a_commit: float | None
    commit_95: float | None
    settle_95: float | None
    cpu: float | None
    memory_bytes: float
    phones: int
    stopping: bool
    started_at: float | None
    limited: int


@dataclass(slots=True)
class Window:
    """The metrics pages of the last minute: what grew in between is what happened in between."""

    _pages: deque[tuple[float, Samples]] = field(default_factory=deque)

    def add(self, now: float, samples: Samples) -> None:
        started = _plain(samples, "process_start_time_seconds")
        if self._pages and _plain(self._pages[-1][1], "process_start_time_seconds") != started:
            self._pages.clear()  # another process: its counters began anew
        self._pages.append((now, samples))
        while len(self._pages) > 2 and now - self._pages[1][0] >= WINDOW:
            self._pages.popleft()

    def work(self) -> Work | None:
        """None before the first page. One page alone speaks of everything since the issuer's start."""
        if not self._pages:
            return None
        (then, before), (now, after) = self._pages[0], self._pages[-1]
        started = _plain(after, "process_start_time_seconds")
        if then == now:
            before, then = {}, started or now
        seconds = max(now - then, 0.001)
        commits = _grown(before, after, "commit_operations_count", work="write")
        cpu_key = ("process_cpu_seconds_total", frozenset[tuple[str, str]]())
        return Work(
            requests_per_second=_grown(before, after, "http_requests_total") / seconds,
            request_95=_quantile(before, after, "http_request_duration_seconds", long_polls=False),
            commits_per_second=commits / seconds,
            operations_a_commit=(
                _grown(before, after, "commit_operations_sum", work="write") / commits if commits else None
            ),
            commit_95=_quantile(before, after, "commit_duration_seconds", work="write"),
            settle_95=_quantile(before, after, "payment_step_duration_seconds", step="settle"),
            cpu=(after[cpu_key] - before.get(cpu_key, 0.0)) / seconds if cpu_key in after else None,
            memory_bytes=_plain(after, "process_resident_memory_bytes") or 0.0,
            phones=int(_plain(after, _PREFIX + "handsets_connected") or 0),
            stopping=bool(_plain(after, _PREFIX + "stopping")),
            started_at=started,
            limited=int(_grown(before, after, "rate_limited_requests_total")),
        )


def in_flight(samples: Samples) -> dict[str, int]:
    """Payments in flight by state, as the running issuer says."""
    return {
        dict(labels)["state"]: int(value)
        for (name, labels), value in samples.items()
        if name == _PREFIX + "payments_in_flight"
    }


def span(payments: Iterable[RecentPayment], now: float, seconds: float) -> Span:
    """Over the last so many seconds."""
    asked, ended = 0, []
    for payment in payments:
        asked += payment.created_at > now - seconds
        if payment.state in ("completed", "not_settled") and payment.moved_at > now - seconds:
            ended.append(payment)
    took = sorted(each.moved_at - each.created_at for each in ended if each.state == "completed")
    return Span(
        seconds,
        asked,
        len(took),
        len(ended) - len(took),
        took[len(took) // 2] if took else None,
        took[math.ceil(len(took) * 0.95) - 1] if took else None,
    )


def reasons(payments: Sequence[RecentPayment], now: float, seconds: float) -> list[tuple[str, int]]:
    """Why payments were not settled, the most frequent first."""
    counted = Counter(
        each.reason for each in payments if each.reason is not None and each.moved_at > now - seconds
    )
    return counted.most_common()


def _plain(samples: Samples, name: str) -> float | None:
    return samples.get((name, frozenset()))


def _matches(labels: Labels, wanted: Mapping[str, str], long_polls: bool) -> bool:
    known = dict(labels)
    if not long_polls and known.get("route", "").endswith("?wait"):
        return False
    return all(known.get(name) == value for name, value in wanted.items())


def _grown(before: Samples, after: Samples, name: str, **labels: str) -> float:
    return sum(
        value - before.get((known, of), 0.0)
        for (known, of), value in after.items()
        if known == _PREFIX + name and _matches(of, labels, True)
    )


def _quantile(
    before: Samples, after: Samples, name: str, *, long_polls: bool = True, **labels: str
) -> float | None:
    """The upper end of the bucket that holds the 95th of a hundred; None where nothing happened."""
    buckets: Counter[float] = Counter()
    for (known, of), value in after.items():
        if known == f"{_PREFIX}{name}_bucket" and _matches(of, labels, long_polls):
            buckets[float(dict(of)["le"])] += value - before.get((known, of), 0.0)  # type: ignore[assignment]
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    wanted = buckets[bounds[-1]] * 0.95
    return next(bound for bound in bounds if buckets[bound] >= wanted)
