"""Hundreds of payments in seeded bad weather: `python -m tests.long.payments_in_bad_weather --runs 400`.

Prints what became of them, and every one that broke a rule with the command that does it again. Exit status
1 where there is one. `--sweep` cuts once at every value on the air and at every frame on the wire instead.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.journey.storm import Report, weather_through
from tests.journey.weather import Weather, draw, sweep


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=400, help="how many seeds (400)")
    parser.add_argument("--seed", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--sweep", action="store_true", help="one cut everywhere, in turn")
    parser.add_argument("--times", type=int, default=1, help="each of them so often: timing differs (1)")
    parser.add_argument("--side-by-side", type=int, default=12, help="payments at the same moment (12)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to this file")
    parser.add_argument("--verbose", action="store_true", help="a line for each run")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    weathers = sweep() if arguments.sweep else [draw(seed) for seed in seeds]
    if arguments.sweep and arguments.seed >= 1_000_000:
        weathers = [weather for weather in weathers if weather.seed == arguments.seed]
    weathers = [weather for weather in weathers for _ in range(arguments.times)]
    reports = asyncio.run(_run(weathers, arguments))
    return _sum_up(reports, arguments)


async def _run(weathers: Iterable[Weather], arguments: argparse.Namespace) -> list[Report]:
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        async for report in weather_through(Path(folder), weathers, arguments.side_by_side):
            reports.append(report)
            if report.faults or arguments.verbose:
                print(_line(report, arguments.sweep), flush=True)
    return reports


def _line(report: Report, swept: bool) -> str:
    text = (
        f"{report.outcome} (phone: {report.phone_said}) after {report.seconds:.1f} s,"
        f" {report.values} values, {report.frames} frames: {report.weather}"
    )
    for fault in report.faults:
        text += f"\n    FAULT: {fault}"
    if report.faults:
        again = f"--sweep --seed {report.weather.seed}" if swept else f"--runs 1 --seed {report.weather.seed}"
        text += f"\n    again: python -m tests.long.payments_in_bad_weather {again}"
    return text


def _sum_up(reports: list[Report], arguments: argparse.Namespace) -> int:
    outcomes = collections.Counter(report.outcome for report in reports)
    failed = [report for report in reports if report.faults]
    seconds = [report.seconds for report in reports]
    result = {
        "payments": 2 * len(reports),
        "in_bad_weather": len(reports),
        "outcomes": dict(outcomes.most_common()),
        "seconds_median": round(statistics.median(seconds), 2),
        "seconds_longest": round(max(seconds), 2),
        "rules_broken": len(failed),
        "seeds_of_those": [report.weather.seed for report in failed],
    }
    print(json.dumps(result, indent=2))
    if arguments.json:
        runs = [
            {"seed": r.weather.seed, "weather": str(r.weather), "outcome": r.outcome, "phone": r.phone_said}
            | {"seconds": round(r.seconds, 2), "faults": r.faults}
            for r in reports
        ]
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        arguments.json.write_text(json.dumps({"made": made, **result, "runs": runs}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
