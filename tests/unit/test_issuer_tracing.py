"""Traces: one tree from the merchant's request to its webhook, sent for real, and no secret in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from issuer_server.operations.observing import NOBODY
from issuer_server.operations.operating_settings import TracingSettings
from issuer_server.storage.port import StorageError
from tests.unit.issuer_bench import API_KEY, PAN, PHONE, PIN, b64
from tests.unit.issuer_house import TOKEN, house
from tests.unit.test_issuer_webhooks import Shop, listen, pay, shop

__all__ = ["shop"]

SECRETS = (PAN, PAN[:12], PHONE, "2 coffees", API_KEY, TOKEN, "YAMADA", f'"{PIN}"')
ENDPOINT = "http://127.0.0.1:4318/v1/traces"


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr("issuer_server.operations.tracing.exporter_of", lambda settings: exporter)
    return exporter


def tree(spans: Sequence[ReadableSpan], parent: ReadableSpan) -> list[str]:
    """The names of a span's children, in the order in which they began."""
    assert parent.context is not None
    found = [span for span in spans if span.parent and span.parent.span_id == parent.context.span_id]
    return [span.name for span in sorted(found, key=lambda span: span.start_time or 0)]


async def test_a_payment_is_one_tree(tmp_path: Path, memory: InMemorySpanExporter, shop: Shop) -> None:
    traced = TracingSettings(ENDPOINT)
    async with house(tmp_path, tracing=traced, webhooks_to_private_addresses=True) as home:
        await listen(home, shop)
        payment_id = await pay(home)
        await shop.until(1)
        await home.call("GET", "/readyz")
    spans = memory.get_finished_spans()
    [request] = [span for span in spans if span.name == "POST /v1/payments"]
    [payment] = [span for span in spans if span.name == "payment"]
    assert tree(spans, request) == ["payment"]
    assert tree(spans, payment) == [
        *("call", "approval", "offer", "card envelope", "card", "PIN envelope", "settle", "webhook"),
    ]
    assert payment.attributes is not None
    assert dict(payment.attributes) == {
        "blind_relay.payment_id": payment_id,
        "blind_relay.merchant_id": home.merchant.id,
        "blind_relay.currency": "JPY",
        "blind_relay.outcome": "completed",
    }
    [settle] = [span for span in spans if span.name == "settle" and len(tree(spans, span)) > 2]
    assert tree(spans, settle)[:3] == ["open_pin", "check_pin", "settle"]
    [webhook] = [span for span in spans if span.name == "webhook"]
    assert webhook.attributes is not None
    assert webhook.attributes["blind_relay.result"] == "delivered"
    assert all(span.end_time is not None for span in spans)
    assert not [span for span in spans if "readyz" in span.name]
    everything = "".join(span.to_json() for span in spans)
    for secret in SECRETS:
        assert secret not in everything


async def test_what_fails_is_marked_by_its_type_alone(
    tmp_path: Path, memory: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, tracing=TracingSettings(ENDPOINT)) as home, home.phone() as phone:
        payment_id = await home.charge()
        await phone.heard("payment_request", payment_id)

        async def fail(*_: object) -> None:
            raise StorageError(f"cannot look up {PAN}")

        monkeypatch.setattr(type(home.issuer.storage), "reader", fail)
        phone.unread.append({"type": "payment_request", "payment_id": payment_id})
        await phone.say("approve", payment_id, reader_hello=b64(home.reader.hello()))
        assert (await phone.heard("result", payment_id))["reason"] == "internal_error"
        await home.call("GET", "/v1/payments/pay_unknown")
    spans = memory.get_finished_spans()
    [failed] = [span for span in spans if span.name == "look_up_reader"]
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "StorageError"
    assert not failed.events
    [payment] = [span for span in spans if span.name == "payment"]
    assert not payment.status.is_ok
    assert PAN not in "".join(span.to_json() for span in spans)


async def test_the_real_exporter_sends_to_a_collector_and_a_dead_one_holds_nothing_up(tmp_path: Path) -> None:
    came: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        came.append(await request.read())
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    try:
        async with house(tmp_path, tracing=TracingSettings(endpoint, service_name="bank")) as home:
            payment_id = await pay(home)
    finally:
        await runner.cleanup()
    spans = {}
    for body in came:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            assert ("service.name", "bank") in {
                (each.key, each.value.string_value) for each in resource.resource.attributes
            }
            spans |= {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert {"POST /v1/payments", "payment", "settle"} <= spans.keys()
    assert payment_id in str(spans["payment"])
    assert not [secret for secret in SECRETS if any(secret.encode() in body for body in came)]
    (tmp_path / "again").mkdir()
    async with asyncio.timeout(30):
        async with house(tmp_path / "again", tracing=TracingSettings(endpoint)) as home:  # nobody listens now
            await pay(home)


async def test_traces_are_off_unless_wanted(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        assert home.issuer.application.parts.observer is NOBODY
