"""Payments through loss, delay and cuts: each completes or is not settled; none hangs or is paid twice."""

from __future__ import annotations

from pathlib import Path

from tests.journey.storm import measured, weather_through
from tests.journey.weather import MTUS, Length, Weather, draw, sweep

SEEDS = range(101, 117)
SWEPT = (1_517_013, 1_517_032, 1_100_107, 2_517_023, 2_517_038)
"""Of the hundreds that tests/long/payments_in_bad_weather.py runs, a few."""


async def test_each_payment_in_bad_weather_ends_once_and_the_next_one_works(tmp_path: Path) -> None:
    (calm := tmp_path / "calm").mkdir()
    (storm := tmp_path / "storm").mkdir()
    lengths = await measured(calm, times=1)
    weathers: list[Weather] = [draw(seed, lengths) for seed in SEEDS]
    weathers += [weather for weather in sweep(lengths) if weather.seed in SWEPT]
    reports = [report async for report in weather_through(storm, weathers, side_by_side=10)]
    assert sorted(report.weather.seed for report in reports) == sorted([*SEEDS, *SWEPT])
    broken = [f"{report.weather}: {report.outcome}, {fault}" for report in reports for fault in report.faults]
    assert not broken, "\n".join(broken)
    # The weather is bad and not hopeless: a phone that gave up at the first drop would pass all the rest.
    assert sum(report.outcome == "completed" for report in reports) >= len(reports) / 3


def test_a_seed_is_one_weather() -> None:
    lengths = dict.fromkeys(MTUS, Length(values=20, frames=16))
    assert draw(7, lengths) == draw(7, lengths)
    assert str(draw(7, lengths)) == str(draw(7, lengths))
    assert draw(7, lengths) != draw(8, lengths)


def test_every_cut_that_is_drawn_or_swept_falls_within_the_payment() -> None:
    lengths = {mtu: Length(values=20 + mtu, frames=16) for mtu in MTUS}
    swept = sweep(lengths)
    for weather in [*swept, *(draw(seed, lengths) for seed in range(300))]:
        assert all(1 <= at <= lengths[weather.mtu].values for at in weather.radio_cuts)
        assert all(1 <= at <= lengths[weather.mtu].frames for at in weather.wire_cuts)
    assert len(swept) == sum(2 * lengths[mtu].values + 3 * 16 for mtu in (23, 100, 517))
