"""SIGKILL at random moments under load: `python -m tests.crash.random_kills --kills 200 --seed 1`.

The seed fixes who does what and how long each run lives; the moments within the code differ from machine to
machine. The failpoints' test is the exact one; this one finds the places that nobody gave a name.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.crash.town import Town, town
from tests.crash.verdict import check, check_all_told, check_swept

LONGEST_LIFE = 1.5
"""Seconds from being ready to SIGKILL, at most; every fifth run is killed while it starts."""


async def kill_at_random(folder: Path, kills: int, people: int, seed: int) -> dict[str, object]:
    """The figures; raises AssertionError where anything that must hold does not."""
    chance, began = random.Random(seed), time.monotonic()
    swept: list[float] = []
    async with town(folder / "data", people, seed) as here:
        here.open()
        died_at = 0.0
        for number in range(1, kills + 1):
            here.server.start()
            if chance.random() < 0.2:
                await asyncio.sleep(chance.random() * 0.3)
            else:
                await here.server.ready(here.http)
                swept.append(await check_swept(here, died_at))
                await asyncio.sleep(chance.random() * LONGEST_LIFE)
            await here.server.kill()
            died_at = time.time()
            here.check_alive()
            check(here)
            if number % 20 == 0:
                print(
                    f"{number} kills, {time.monotonic() - began:.0f} s, {dict(here.seen.counts)}", flush=True
                )
        here.server.start()
        await here.server.ready(here.http)
        swept.append(await check_swept(here, died_at))
        await here.close()
        books = await check_all_told(here)
        await here.send_home()
        assert await here.server.stop() == 0
        return figures(here, len(books.states), len(books.transfers), kills, swept, began)


def figures(
    here: Town, payments: int, transferred: int, kills: int, swept: list[float], began: float
) -> dict[str, object]:
    """For people and for programs."""
    counts = here.seen.counts
    return {
        "kills": kills,
        "seconds": round(time.monotonic() - began, 1),
        "payments": payments,
        "transferred": transferred,
        "ended_by_restart": counts["ended issuer_restarted"],
        "answers_lost_and_asked_again": counts["shop lost the answer"],
        "refunds": len(here.seen.refunds),
        "readers_told": counts["reader told completed"] + counts["reader told not_settled"],
        "webhooks": len(here.ear.told),
        "webhooks_that_came_again": sum(here.ear.times.values()) - len(here.ear.told),
        "nothing_in_flight_after_seconds": {
            "median": round(statistics.median(swept), 3),
            "longest": round(max(swept), 3),
        },
    }


def main() -> int:
    """Run, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--people", type=int, default=40, help="cardholders who are charged at once")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"seed {options.seed}: --kills {options.kills} --people {options.people} --seed {options.seed}")
    with TemporaryDirectory() as folder:
        found = asyncio.run(kill_at_random(Path(folder), options.kills, options.people, options.seed))
    print(json.dumps(found, indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps({"seed": options.seed, **found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
