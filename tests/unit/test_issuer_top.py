"""`issuer-server top`: right figures from two looks, and a screen that fits its terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from issuer_server.commands.top import Watcher
from issuer_server.operations.operating_settings import MetricsSettings
from issuer_server.operations.top_figures import RecentPayment, Samples, Window, reasons, span
from issuer_server.operations.top_view import Scene, duration, lines
from issuer_server.storage.records import Outbox
from issuer_server.storage.sqlite import SqliteStorage, recent
from issuer_server.storage.sqlite.inspection import looking_at
from service_host.columns import fit, pad
from tests.contracts.world import World
from tests.journey.programs import free_port
from tests.unit.issuer_house import house, settings

NOW = 1_700_000_000.0


def page(text: str, started: float = NOW - 600) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(f"process_start_time_seconds {started}\n{text}")
        for sample in family.samples
    }


def requests(count: int, slow: int) -> str:
    name, labels = "blind_relay_http_request_duration_seconds", 'method="GET",route="/v1/payments"'
    return "".join(
        f"{line}\n"
        for line in (
            f"# TYPE {name} histogram",
            f'{name}_bucket{{{labels},le="0.01"}} {count - slow}',
            f'{name}_bucket{{{labels},le="1.0"}} {count}',
            f'{name}_bucket{{{labels},le="+Inf"}} {count}',
            f"{name}_count{{{labels}}} {count}",
            f'blind_relay_http_requests_total{{{labels},status="200"}} {count}',
            f"process_cpu_seconds_total {count / 100}",
        )
    )


def test_rates_are_what_grew_between_two_looks() -> None:
    window = Window()
    assert window.work() is None
    window.add(NOW, page(requests(600, 0)))
    alone = window.work()
    assert alone is not None
    assert alone.requests_per_second == pytest.approx(1.0), "one look speaks of all since the start"
    window.add(NOW + 10, page(requests(700, 50)))
    work = window.work()
    assert work is not None
    assert work.requests_per_second == pytest.approx(10.0)
    assert work.request_95 == 1.0
    assert work.cpu == pytest.approx(0.1)
    window.add(NOW + 20, page(requests(5, 0), started=NOW + 15))
    again = window.work()
    assert again is not None
    assert again.requests_per_second == pytest.approx(1.0), "a restarted issuer counts from nothing"


def test_a_window_lasts_a_minute() -> None:
    window = Window()
    for second in range(0, 300, 10):
        window.add(NOW + second, page(requests(second, 0)))
    work = window.work()
    assert work is not None
    assert work.requests_per_second == pytest.approx(1.0)


def payment(number: int, state: str, ago: float, took: float, reason: str | None = None) -> RecentPayment:
    ended = NOW - ago
    return RecentPayment(f"pay_{number}", "喫茶 Relay", state, reason, 1250, "USD", ended - took, ended)


PAYMENTS = [
    *(payment(number, "completed", 30, number) for number in range(1, 21)),
    payment(30, "not_settled", 10, 5, "declined"),
    payment(31, "not_settled", 500, 5, "wrong_pin"),
    payment(32, "not_settled", 20, 5, "declined"),
    payment(33, "calling", 1, 0),
]


def test_spans_and_reasons() -> None:
    minute = span(PAYMENTS, NOW, 60)
    assert (minute.completed, minute.not_settled, minute.median, minute.slowest) == (20, 2, 11, 19)
    assert minute.asked == 23
    assert span(PAYMENTS, NOW, 600).not_settled == 3
    assert reasons(PAYMENTS, NOW, 600) == [("declined", 2), ("wrong_pin", 1)]
    assert span([], NOW, 60).median is None


def scene(**changes: Any) -> Scene:
    values: dict[str, Any] = {
        "issuer": "bank.example",
        "url": "https://bank.example",
        "now": NOW,
        "running": True,
        "work": None,
        "advice": "no metrics",
        "in_flight": {"calling": 2},
        "payments": PAYMENTS,
        "outbox": Outbox(3, 1, NOW - 4000),
    }
    return Scene(**{**values, **changes})


@pytest.mark.parametrize(("width", "height"), [(130, 40), (80, 24), (40, 10), (10, 3)])
def test_the_screen_fits_its_terminal(width: int, height: int) -> None:
    drawn = lines(scene(), width, height)
    assert len(drawn) <= height
    assert all(len(line) <= width for line in drawn)


def test_the_screen_says_what_matters() -> None:
    text = "\n".join(lines(scene(), 140, 50))
    for part in (
        "calling 2",
        "Webhooks waiting 3, the longest for 1 h 6 min",
        "declined 2, wrong pin 1",
        "USD 12.50",
    ):
        assert part in text
    assert "NOT RUNNING" in "\n".join(lines(scene(running=False), 140, 50))
    evil = RecentPayment("pay_1", "\x1b[31mred\n", "calling", None, 1, "JPY", NOW, NOW)
    assert "\x1b" not in "".join(lines(scene(payments=[evil]), 140, 50))


def test_columns_of_wide_letters() -> None:
    assert pad("喫茶", 6) == "喫茶  "
    assert fit("喫茶店", 5) == "喫茶"
    assert [duration(seconds) for seconds in (5, 65, 3700, 90_000)] == [
        "5 s",
        "1 min 5 s",
        "1 h 1 min",
        "1 d 1 h",
    ]


async def test_a_running_issuer_is_looked_at(tmp_path: Path) -> None:
    watched = MetricsSettings(port=free_port())
    async with house(tmp_path, metrics=watched) as home, home.phone() as phone:
        paid = await home.charge()
        assert (await phone.pay(home.reader, paid))["outcome"] == "completed"
        ringing = await home.charge()
        await phone.heard("payment_request", ringing)
        look = await Watcher(settings(tmp_path, metrics=watched)).look()
        assert look.running
        assert look.work is not None
        assert look.work.phones == 1
        assert look.in_flight["calling"] == 1
        assert {each.id: each.state for each in look.payments} == {paid: "completed", ringing: "calling"}
        assert paid in "\n".join(lines(look, 160, 60))
        off = await Watcher(settings(tmp_path)).look()
        assert off.work is None
        assert "[metrics]" in off.advice
        assert off.in_flight == {"calling": 1}
        assert (await home.call("GET", "/readyz"))[0] == 200


async def test_a_refund_completes_no_payment_again(tmp_path: Path) -> None:
    storage = await SqliteStorage.open(tmp_path / "issuer.db")
    world = World(storage)
    await world.populate()
    payment = await world.settled()
    world.now += 30 * 86_400
    await world.refund(payment, 200, "k")
    refunded = await storage.payment(payment.id)
    await storage.close()
    assert refunded is not None
    assert refunded.updated_at == pytest.approx(world.now, abs=0.001)
    with looking_at(tmp_path / "issuer.db") as connection:
        seen = recent.recent(connection, world.now - 3600)
    assert [each.id for each in seen] == [payment.id]
    hour = span(seen, world.now, 3600)
    assert (hour.completed, hour.median) == (0, None)
    month = span(seen, world.now, 31 * 86_400)
    assert month.median is not None
    assert month.median < 60
