"""Hundreds of payments in seeded bad weather: `python -m tests.long.payments_in_bad_weather --runs 400`.

Measures first how long a calm payment is at each MTU, so that every cut falls within it. Prints what became
of them, and every one that broke a rule with the command that does it again; exit status 1 if there is one.
`--sweep` cuts once at every value on the air and at every frame on the wire instead, at three sizes of MTU; a
cut that was not made breaks a rule too.
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
from pathlib import Path

from tests.journey.storm import Report, measured, weather_through
from tests.journey.weather import Lengths, Weather, draw, sweep


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
    reports, lengths = asyncio.run(_run(arguments))
    return _sum_up(reports, lengths, arguments)


def _weathers(lengths: Lengths, arguments: argparse.Namespace) -> list[Weather]:
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    weathers = sweep(lengths) if arguments.sweep else [draw(seed, lengths) for seed in seeds]
    if arguments.sweep and arguments.seed >= 1_000_000:
        weathers = [weather for weather in weathers if weather.seed == arguments.seed]
    return [weather for weather in weathers for _ in range(arguments.times)]


async def _run(arguments: argparse.Namespace) -> tuple[list[Report], Lengths]:
    reports = []
    with tempfile.TemporaryDirectory() as calm, tempfile.TemporaryDirectory() as storm:
        lengths = await measured(Path(calm))
        for mtu, length in lengths.items():
            print(f"a calm payment at MTU {mtu}: {length.values} values, {length.frames} frames", flush=True)
        weathers = _weathers(lengths, arguments)
        async for report in weather_through(Path(storm), weathers, arguments.side_by_side):
            reports.append(report)
            if report.faults or arguments.verbose:
                print(_line(report, arguments.sweep), flush=True)
    return reports, lengths


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


def _sum_up(reports: list[Report], lengths: Lengths, arguments: argparse.Namespace) -> int:
    outcomes = collections.Counter(report.outcome for report in reports)
    failed = [report for report in reports if report.faults]
    seconds = [report.seconds for report in reports]
    result = {
        "payments": 2 * len(reports),
        "in_bad_weather": len(reports),
        "outcomes": dict(outcomes.most_common()),
        "seconds_median": round(statistics.median(seconds), 2),
        "seconds_longest": round(max(seconds), 2),
        "cuts_made": sum(report.cuts for report in reports),
        "cuts_drawn": sum(len(r.weather.radio_cuts) + len(r.weather.wire_cuts) for r in reports),
        "by_mtu": {
            mtu: {"values": length.values, "frames": length.frames}
            | {"payments": sum(report.weather.mtu == mtu for report in reports)}
            for mtu, length in lengths.items()
        },
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
