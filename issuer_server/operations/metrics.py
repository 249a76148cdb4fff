"""Counts what happens, for Prometheus: names with units, labels whose values are as many as our own words.

No label holds an id, a phone number, an address or anything else that a caller chooses. prometheus_client is
named here and nowhere else.
"""

from __future__ import annotations

import platform
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from issuer_server.operations.observing import WEBHOOK_RESULTS, Answered, Attempted, Observer
from issuer_server.payment import FINAL_STATES, Effect, PaymentEvent, PaymentState
from issuer_server.storage.records import DueWebhook, Outbox, PaymentRecord
from protocol.messages import NotSettled

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
NO_REASON: Final = "none"
LIMITS: Final[Mapping[str, str]] = {"rate_limited": "merchant", "too_many_calls": "phone"}
"""Of a problem's code, the limit that was met."""
FAULTS: Final = ("internal_error", "storage_unavailable", "keys_unavailable")
"""Codes of problems that are the issuer's own, and worth an alert."""

_PERSONS_SECONDS = (2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300)
_WORK_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class Levels:
    """What is not counted but looked up, at each scrape."""

    in_flight: Mapping[PaymentState, int]
    handsets: int
    outbox: Outbox
    stopping: bool
    database_bytes: Mapping[str, int]
    """Of the file and its write-ahead log: "main", "wal"."""
    certificate_ends_at: float | None


class _Timed:
    """Observes how long its block takes, however that ends."""

    __slots__ = ("_into", "_started", "_timer")

    def __init__(self, into: Histogram, timer: Callable[[], float]) -> None:
        self._into, self._timer, self._started = into, timer, timer()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._into.observe(self._timer() - self._started)


class Metrics(Observer):
    """One issuer's registry. `wall` gives epoch seconds, `timer` seconds that do not go back."""

    def __init__(
        self, wall: Callable[[], float] = time.time, timer: Callable[[], float] = time.perf_counter
    ) -> None:
        self._wall, self._timer = wall, timer
        self._registry = registry = CollectorRegistry(auto_describe=True)
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, which nothing here reads
        ProcessCollector(registry=registry)
        GCCollector(registry)
        build = Gauge(
            "blind_relay_build_info",
            "Always 1; the versions are in the labels.",
            ("version", "python", "sqlite"),
            registry=registry,
        )
        build.labels(_version(), platform.python_version(), sqlite3.sqlite_version).set(1)
        self._requested = Counter(
            "blind_relay_payments_requested_total", "Payments that merchants asked for.", registry=registry
        )
        self._payments = Counter(
            "blind_relay_payments_total",
            "Payments that ended: completed, or not settled and why.",
            ("outcome", "reason"),
            registry=registry,
        )
        self._payment_seconds = Histogram(
            "blind_relay_payment_duration_seconds",
            "From the merchant's request to the committed end; most of it is a person's own time.",
            ("outcome",),
            buckets=_PERSONS_SECONDS,
            registry=registry,
        )
        self._step_seconds = Histogram(
            "blind_relay_payment_step_duration_seconds",
            "The issuer's own work: one step of a payment, its commit included.",
            ("step",),
            buckets=_WORK_SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "blind_relay_payments_in_flight", "Payments that have not ended.", ("state",), registry=registry
        )
        self._handsets = Gauge(
            "blind_relay_handsets_connected", "Phones with an open channel.", registry=registry
        )
        self._commit_operations = Histogram(
            "blind_relay_commit_operations",
            "Operations that shared one transaction of the database.",
            ("work",),
            buckets=_BATCHES,
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "blind_relay_commit_duration_seconds",
            "One transaction of the database, waiting for the disk included.",
            ("work",),
            buckets=_WORK_SECONDS,
            registry=registry,
        )
        self._webhooks = Counter(
            "blind_relay_webhook_attempts_total", "Webhooks sent.", ("result",), registry=registry
        )
        self._webhook_seconds = Histogram(
            "blind_relay_webhook_attempt_duration_seconds",
            "Until the merchant's endpoint answered.",
            buckets=_WORK_SECONDS,
            registry=registry,
        )
        self._outbox = Gauge(
            "blind_relay_webhook_outbox_messages",
            "Webhooks that have not arrived: waiting for an attempt, or given up.",
            ("state",),
            registry=registry,
        )
        self._outbox_age = Gauge(
            "blind_relay_webhook_outbox_oldest_age_seconds",
            "How long the longest waiting webhook has waited; 0 where none waits.",
            registry=registry,
        )
        self._limited = Counter(
            "blind_relay_rate_limited_requests_total",
            "Requests refused since a limit was met.",
            ("limit",),
            registry=registry,
        )
        self._requests = Counter(
            "blind_relay_http_requests_total",
            "HTTP requests by the template of their address.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "blind_relay_http_request_duration_seconds",
            "HTTP requests; long polls (?wait) last as long as their caller wishes.",
            ("method", "route"),
            buckets=_WORK_SECONDS,
            registry=registry,
        )
        self._problems = Counter(
            "blind_relay_http_problems_total",
            "Requests answered with a problem, by its code.",
            ("code",),
            registry=registry,
        )
        self._stopping = Gauge(
            "blind_relay_stopping", "1 while the issuer takes no new payments.", registry=registry
        )
        self._database_bytes = Gauge(
            "blind_relay_database_bytes",
            "Size of the database and of its write-ahead log.",
            ("file",),
            registry=registry,
        )
        self._certificate_end = Gauge(
            "blind_relay_tls_certificate_expiry_timestamp_seconds",
            "When the TLS certificate ends; 0 without TLS.",
            registry=registry,
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A rate is right from its first event on where its series was there before it."""
        self._payments.labels(PaymentState.COMPLETED.value, NO_REASON)
        for reason in NotSettled:
            self._payments.labels(PaymentState.NOT_SETTLED.value, reason.value)
        for result in WEBHOOK_RESULTS:
            self._webhooks.labels(result)
        for limit in LIMITS.values():
            self._limited.labels(limit)
        for code in FAULTS:
            self._problems.labels(code)
        # A payment comes by here some forty times: what takes its labels each time costs twice as much.
        self._steps = {effect: self._step_seconds.labels(effect.name.lower()) for effect in Effect}
        self._commits = {
            work: (self._commit_operations.labels(work), self._commit_seconds.labels(work))
            for work in ("read", "write")
        }

    # -- what is told

    @contextmanager
    def request(self, method: str, route: str) -> Iterator[Answered]:
        started = self._timer()

        def answered(status: int, code: str | None) -> None:
            self._requests.labels(method, route, str(status)).inc()
            self._request_seconds.labels(method, route).observe(self._timer() - started)
            if code is not None:
                self._problems.labels(code).inc()
                if code in LIMITS:
                    self._limited.labels(LIMITS[code]).inc()

        yield answered

    def payment_made(self, payment: PaymentRecord) -> None:
        self._requested.inc()

    def payment_moved(self, payment: PaymentRecord, event: PaymentEvent, state: PaymentState) -> None:
        """States are looked up at a scrape."""

    def effect(self, payment: PaymentRecord, effect: Effect) -> AbstractContextManager[object]:
        return _Timed(self._steps[effect], self._timer)

    def payment_over(self, payment: PaymentRecord) -> None:
        outcome = payment.state.value
        reason = payment.reason.value if payment.reason is not None else NO_REASON
        self._payments.labels(outcome, reason).inc()
        self._payment_seconds.labels(outcome).observe(max(0.0, payment.updated_at - payment.created_at))

    def committed(self, work: str, operations: int, seconds: float) -> None:
        sizes, times = self._commits[work]
        sizes.observe(operations)
        times.observe(seconds)

    @contextmanager
    def webhook(self, due: DueWebhook) -> Iterator[Attempted]:
        started = self._timer()

        def attempted(result: str) -> None:
            self._webhooks.labels(result).inc()
            self._webhook_seconds.observe(self._timer() - started)

        yield attempted

    # -- what is asked

    def page(self, levels: Levels) -> bytes:
        """The text that Prometheus reads; `CONTENT_TYPE` goes with it."""
        for state in PaymentState:
            if state not in FINAL_STATES:
                self._in_flight.labels(state.value).set(levels.in_flight.get(state, 0))
        self._handsets.set(levels.handsets)
        self._outbox.labels("waiting").set(levels.outbox.waiting)
        self._outbox.labels("given_up").set(levels.outbox.given_up)
        oldest = levels.outbox.oldest_at
        self._outbox_age.set(0 if oldest is None else max(0.0, self._wall() - oldest))
        self._stopping.set(levels.stopping)
        for file, size in levels.database_bytes.items():
            self._database_bytes.labels(file).set(size)
        self._certificate_end.set(levels.certificate_ends_at or 0)
        return generate_latest(self._registry)


def _version() -> str:
    try:
        return version("blind-relay")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
