"""What Prometheus reads of a running issuer: right numbers, and no label that a caller chooses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from issuer_server.operations.metrics import CONTENT_TYPE
from issuer_server.operations.operating_settings import MetricsSettings
from issuer_server.payment import PaymentState
from issuer_server.rate_limits import Limits
from protocol.messages import NotSettled
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import PAN, PHONE
from tests.unit.issuer_house import House, house

WATCHED: dict[str, Any] = {"metrics": MetricsSettings(port=0)}
GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "issuer-operations.md").read_text("utf-8")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def page(home: House) -> str:
    assert home.issuer.operator_url is not None
    async with home.http.get(home.issuer.operator_url + "/metrics") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)
        return await answer.text()


def samples(text: str) -> Samples:
    """By name and labels; a second sample of both would be a fault."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


async def scrape(home: House) -> Samples:
    return samples(await page(home))


def of(found: Samples, name: str, **labels: str) -> float:
    return found["blind_relay_" + name, frozenset(labels.items())]


async def test_payments_handsets_commits_and_requests_are_counted(tmp_path: Path) -> None:
    async with house(tmp_path, **WATCHED) as home:
        before = await scrape(home)
        assert of(before, "payments_total", outcome="completed", reason="none") == 0
        assert of(before, "payments_in_flight", state="calling") == 0
        async with home.phone() as phone:
            paid = await home.charge()
            await phone.heard("payment_request", paid)
            during = await scrape(home)
            assert of(during, "payments_in_flight", state="calling") == 1
            assert of(during, "handsets_connected") == 1
            phone.unread.append({"type": "payment_request", "payment_id": paid})
            assert (await phone.pay(home.reader, paid))["outcome"] == "completed"
            declined = await home.charge()
            await phone.heard("payment_request", declined)
            await phone.say("decline", declined, reason="declined")
            await home.call("GET", f"/v1/payments/{declined}?wait=5")
        await eventually(lambda: home.issuer.channel.connected == 0)
        await home.call("GET", f"/v1/payments/{declined}")
        await home.call("GET", "/v1/nowhere/4000001234567899")
        await home.call("PROPFIND", "/v1/payments")
        text = await page(home)
    found = samples(text)
    assert of(found, "payments_requested_total") == 2
    assert of(found, "payments_total", outcome="completed", reason="none") == 1
    assert of(found, "payments_total", outcome="not_settled", reason="declined") == 1
    assert of(found, "payment_duration_seconds_count", outcome="completed") == 1
    assert of(found, "payment_step_duration_seconds_count", step="settle") == 1
    assert of(found, "payments_in_flight", state="calling") == of(found, "handsets_connected") == 0
    assert of(found, "commit_operations_sum", work="write") >= of(
        found, "commit_duration_seconds_count", work="write"
    )
    assert of(found, "http_requests_total", method="POST", route="/v1/payments", status="201") == 2
    assert of(found, "http_requests_total", method="GET", route="/v1/payments/{id}?wait", status="200") == 1
    assert of(found, "http_requests_total", method="GET", route="none", status="404") == 1
    assert of(found, "http_requests_total", method="OTHER", route="none", status="405") == 1
    assert of(found, "http_problems_total", code="route_not_found") == 1
    assert of(found, "database_bytes", file="main") > 0
    assert of(found, "stopping") == of(found, "tls_certificate_expiry_timestamp_seconds") == 0
    for secret in (PAN, PHONE, "4000001234567899", paid, home.merchant.id, home.handset.id, "2 coffees"):
        assert secret not in text


async def test_every_name_has_its_unit_and_every_label_few_values(tmp_path: Path) -> None:
    async with house(tmp_path, **WATCHED) as home:
        families = list(text_string_to_metric_families(await page(home)))
    ours = [family for family in families if family.name.startswith("blind_relay_")]
    assert len(ours) >= 15
    for family in ours:
        assert family.documentation.endswith("."), family.name
        values = {value for sample in family.samples for value in sample.labels.values()}
        assert not [value for value in values if re.search(r"(pay|mer|chd|crd|hst|req)_[a-z0-9]{8}", value)]
    ended = next(family for family in ours if family.name == "blind_relay_payments")
    kinds = {(sample.labels["outcome"], sample.labels["reason"]) for sample in ended.samples}
    not_settled = {(PaymentState.NOT_SETTLED.value, reason.value) for reason in NotSettled}
    assert kinds == {("completed", "none")} | not_settled, "there from the start, so that rates are right"


async def test_limits_that_were_met_are_counted(tmp_path: Path) -> None:
    limits = Limits(merchant_requests_per_second=0.2, calls_to_a_phone_at_once=1)
    async with house(tmp_path, limits=limits, **WATCHED) as home:
        await home.charge()
        assert (await home.create())[1]["code"] == "too_many_calls"
        assert (await home.create())[1]["code"] == "rate_limited"
        found = await scrape(home)
    assert of(found, "rate_limited_requests_total", limit="phone") == 1
    assert of(found, "rate_limited_requests_total", limit="merchant") == 1


async def test_the_listener_is_its_own_and_off_unless_wanted(tmp_path: Path) -> None:
    for name in ("on", "off"):
        (tmp_path / name).mkdir()
    async with house(tmp_path / "off") as home:
        assert home.issuer.operator_url is None
        assert (await home.call("GET", "/metrics"))[0] == 404
    async with house(tmp_path / "on", **WATCHED) as home:
        assert home.issuer.operator_url is not None
        assert home.issuer.operator_url.startswith("http://127.0.0.1:")
        assert (await home.call("GET", "/metrics"))[0] == 404, "shops do not see it"
        for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
            async with home.http.get(home.issuer.operator_url + path) as answer:
                assert (answer.status, await answer.json()) == (200, {"status": status})
        async with home.http.get(home.issuer.operator_url + "/v1/payments") as answer:
            assert answer.status == 404


async def test_the_alerts_and_the_table_of_the_guide_name_what_is_there_from_the_start(
    tmp_path: Path,
) -> None:
    """A counter that appears with its first event has not grown: an alert on it would miss that one."""
    async with house(tmp_path, **WATCHED) as home:
        text = await page(home)
    found = samples(text)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    alerts = re.search(r"Worth an alert:\n\n```\n(.*?)```", GUIDE, re.DOTALL)
    assert alerts
    named = re.findall(r"(blind_relay_\w+)(?:\{([^}]*)\})?", alerts[1])
    assert len(named) >= 5
    for name, matchers in named:
        wanted = re.findall(r'(\w+)(=~?)"([^"]*)"', matchers)
        assert len(wanted) == matchers.count("="), matchers
        for value in [""] if not wanted else wanted[-1][2].split("|"):
            told = {label: value if sign == "=~" else text for label, sign, text in wanted}
            assert any(sample == name and told.items() <= dict(labels).items() for sample, labels in found), (
                name,
                told,
            )
    [table] = re.findall(r"\| name \(`blind_relay_`.*?\n((?:\|.*\n)+)", GUIDE)
    rows = re.findall(r"`(\w+)(?:\{([\w,]+)\})?`", "".join(row.split("|")[1] for row in table.splitlines()))
    assert len(rows) >= 15
    for name, labels in rows:
        family = families["blind_relay_" + name.removesuffix("_total")]
        told = [set(sample.labels) - {"le"} for sample in family.samples]
        assert all(not labels or labelled == set(labels.split(",")) for labelled in told), name
