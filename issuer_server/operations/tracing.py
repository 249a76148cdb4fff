"""Traces of payments by OpenTelemetry: a merchant's request, each stage of the payment, its webhooks.

An extra (`pip install 'blind-relay[tracing]'`), off unless `[tracing]` is set; opentelemetry is named here
and nowhere else. Attributes are ids, states and reasons: never a card, a PIN, a phone number or an order, and
of an exception its type alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode

from issuer_server.operations.observing import Answered, Attempted, Observer
from issuer_server.operations.operating_settings import TracingSettings
from issuer_server.payment import Effect, PaymentEvent, PaymentState
from issuer_server.storage.records import DueWebhook, PaymentRecord
from protocol.identifiers import PaymentId
from protocol.messages import NotSettled

_log = logging.getLogger(__name__)

EXPORT_WITHIN: Final = 5.0
"""Seconds for a batch; a collector that is away must not hold up a stop for longer."""
REMEMBERED: Final = 10_000
"""Ended payments whose webhooks still join their trace."""

_UNTRACED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_STAGES: Final[Mapping[PaymentState, str]] = {
    PaymentState.REQUESTED: "call",
    PaymentState.CALLING: "approval",
    PaymentState.APPROVED: "offer",
    PaymentState.KEY_OFFERED: "card envelope",
    PaymentState.CARD_RECEIVED: "card",
    PaymentState.PIN_REQUESTED: "PIN envelope",
    PaymentState.SETTLING: "settle",
}
"""What is waited for, or done, in each state."""


@dataclass(slots=True)
class _Open:
    """A payment in flight: its span, and that of its present stage."""

    payment: Span
    stage: Span
    state: PaymentState


class Tracing(Observer):
    """Spans of one issuer. Made by `open_tracing`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("blind_relay.issuer")
        self._open: dict[PaymentId, _Open] = {}
        self._ended: OrderedDict[str, SpanContext] = OrderedDict()

    async def close(self) -> None:
        """Send what is left; a collector that does not answer is given up after EXPORT_WITHIN."""
        for left in self._open.values():
            left.stage.end()
            left.payment.end()
        self._open.clear()
        try:
            async with asyncio.timeout(2 * EXPORT_WITHIN):
                await asyncio.to_thread(self._provider.shutdown)
        except TimeoutError:
            _log.warning("traces are lost: the collector does not answer")

    @contextmanager
    def request(self, method: str, route: str) -> Iterator[Answered]:
        if route in _UNTRACED:
            yield lambda status, code: None
            return
        with self._tracer.start_as_current_span(
            f"{method} {route}",
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
            record_exception=False,  # its text may quote what passed through
            set_status_on_exception=False,
        ) as span:

            def answered(status: int, code: str | None) -> None:
                span.set_attribute("http.response.status_code", status)
                if code is not None:
                    span.set_attribute("blind_relay.problem", code)
                if status >= 500:
                    span.set_status(Status(StatusCode.ERROR))

            yield answered

    def payment_made(self, payment: PaymentRecord) -> None:
        # The request's span is the parent: it is the current one of the task that stored the payment.
        span = self._tracer.start_span(
            "payment",
            attributes={
                "blind_relay.payment_id": payment.id,
                "blind_relay.merchant_id": payment.merchant_id,
                "blind_relay.currency": payment.money.currency.code,
            },
        )
        state = PaymentState.REQUESTED
        self._open[payment.id] = _Open(span, self._stage(span, state), state)

    def payment_moved(self, payment: PaymentRecord, event: PaymentEvent, state: PaymentState) -> None:
        if (now := self._open.get(payment.id)) is None:
            return
        now.stage.add_event(event.name.lower())
        if state is not now.state and not state.is_final:
            now.stage.end()
            now.stage, now.state = self._stage(now.payment, state), state

    @contextmanager
    def effect(self, payment: PaymentRecord, effect: Effect) -> Iterator[None]:
        now = self._open.get(payment.id)
        if now is None:
            yield
            return
        with self._tracer.start_as_current_span(
            effect.name.lower(),
            context=trace.set_span_in_context(now.stage),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def payment_over(self, payment: PaymentRecord) -> None:
        if (now := self._open.pop(payment.id, None)) is None:
            return
        now.stage.end()
        now.payment.set_attribute("blind_relay.outcome", payment.state.value)
        if payment.reason is not None:
            now.payment.set_attribute("blind_relay.reason", payment.reason.value)
        if payment.reason is NotSettled.INTERNAL_ERROR:
            now.payment.set_status(Status(StatusCode.ERROR))
        now.payment.end()
        self._ended[payment.id] = now.payment.get_span_context()
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    @contextmanager
    def webhook(self, due: DueWebhook) -> Iterator[Attempted]:
        told_of = self._ended.get(due.message_id.removeprefix("msg_"))
        parent = None if told_of is None else trace.NonRecordingSpan(told_of)
        with self._tracer.start_as_current_span(
            "webhook",
            # Without a parent it is a trace of its own: not of whatever woke the delivery.
            context=trace.set_span_in_context(parent or trace.INVALID_SPAN),
            kind=SpanKind.CLIENT,
            attributes={
                "blind_relay.webhook_id": due.message_id,
                "blind_relay.endpoint_id": due.endpoint_id,
                "blind_relay.attempt": due.attempts + 1,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            def attempted(result: str) -> None:
                span.set_attribute("blind_relay.result", result)
                if result != "delivered":
                    span.set_status(Status(StatusCode.ERROR))

            yield attempted

    def _stage(self, payment: Span, state: PaymentState) -> Span:
        return self._tracer.start_span(_STAGES[state], context=trace.set_span_in_context(payment))


def open_tracing(settings: TracingSettings) -> Tracing:
    """Traces that go to the settings' endpoint, in batches, from a thread of their own."""
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: settings.service_name}),
        sampler=ParentBased(TraceIdRatioBased(settings.sample)),
        shutdown_on_exit=False,  # `close` does, while there is still a loop to wait in
    )
    provider.add_span_processor(
        BatchSpanProcessor(exporter_of(settings), export_timeout_millis=EXPORT_WITHIN * 1000)
    )
    return Tracing(provider)


def exporter_of(settings: TracingSettings) -> SpanExporter:
    """OTLP over HTTP."""
    return OTLPSpanExporter(endpoint=settings.endpoint, timeout=EXPORT_WITHIN)
