"""Payments through loss, delay and cuts: each completes or is not settled; none hangs or is paid twice."""

from __future__ import annotations

from pathlib import Path

from tests.journey.storm import weather_through
from tests.journey.weather import Weather, draw, sweep

SEEDS = range(101, 117)
SWEPT = (1_000_011, 1_000_030, 2_000_020, 2_000_035)
"""Of the hundreds that tests/long/payments_in_bad_weather.py runs, a few."""


async def test_each_payment_in_bad_weather_ends_once_and_the_next_one_works(tmp_path: Path) -> None:
    weathers: list[Weather] = [draw(seed) for seed in SEEDS]
    weathers += [weather for weather in sweep() if weather.seed in SWEPT]
    reports = [report async for report in weather_through(tmp_path, weathers, side_by_side=10)]
    assert sorted(report.weather.seed for report in reports) == sorted([*SEEDS, *SWEPT])
    broken = [f"{report.weather}: {report.outcome}, {fault}" for report in reports for fault in report.faults]
    assert not broken, "\n".join(broken)
    # The weather is bad and not hopeless: a phone that gave up at the first drop would pass all the rest.
    assert sum(report.outcome == "completed" for report in reports) >= len(reports) / 3


def test_a_seed_is_one_weather() -> None:
    assert draw(7) == draw(7)
    assert str(draw(7)) == str(draw(7))
    assert draw(7) != draw(8)
