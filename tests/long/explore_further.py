"""Every order of events in larger worlds: `python -m tests.long.explore_further [--most-states 3000000]`.

Prints bound, states and seconds of each, and the attack in words where there is one (exit status 1). A world
that is cut off at the most states has been gone through breadth first to the depth that is printed.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace

from tests.explorer.bounds import Bounds
from tests.explorer.search import Search
from tests.explorer.town import CROOKS_TEA, FIRST, GOLD, SECOND, TEA
from tests.explorer.words import in_words

WORLDS = (
    Bounds(sessions=3, restarts=1, power_cuts=2, cards=(FIRST, SECOND), pin_attempts=3, mistypes=True),
    Bounds(asked=(TEA, CROOKS_TEA), stops=False),
    Bounds(asked=(TEA, GOLD), stops=False, power_cuts=1),
    Bounds(asked=(TEA, GOLD), cards=(FIRST, SECOND), power_cuts=1, restarts=1),
    Bounds(asked=(TEA, GOLD, CROOKS_TEA), stops=False, sessions=3, pin_attempts=2, mistypes=True),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most-states", type=int, default=1_000_000, help="in each world (1,000,000)")
    most = parser.parse_args().most_states
    logging.disable(logging.CRITICAL)
    attacks = 0
    for bounds in WORLDS:
        search = Search(replace(bounds, most_states=most))
        found = search.run()
        print(found, flush=True)
        if found.attack is not None:
            attacks += 1
            print(in_words(found.attack, search), flush=True)
    return 1 if attacks else 0


if __name__ == "__main__":
    sys.exit(main())
