"""`python -m demo`: choose a scenario, play it, tell it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from demo.console import ConsoleNarrator
from demo.happenings import Narrator
from demo.interactive import RealPerson
from demo.json_lines import JsonLines
from demo.keyboard import Keyboard
from demo.play import Options, play
from demo.scenarios import DEFAULT, INTERACTIVE, SCENARIOS, find_scenario
from demo.story import Story
from demo.world import CONNECTION_INTERVAL
from protocol.errors import BlindRelayError, InputError
from virtual_radio.conditions import RadioConditions

INTERRUPTED = 130


def build_parser() -> argparse.ArgumentParser:
    """The options of `make demo ARGS='…'`."""
    parser = argparse.ArgumentParser(
        prog="demo",
        description="One card payment through all four parties of Blind Relay, told step by step.",
        epilog="exit status: 0 when the payment ended as the scenario says, 1 when not, 2 for wrong usage",
        allow_abbrev=False,
    )
    parser.add_argument("--scenario", metavar="NAME", help="what happens (see --list)")
    parser.add_argument("--list", action="store_true", help="show the scenarios and end")
    parser.add_argument(
        "--interactive", action="store_true", help="you approve, choose a card and type the PIN"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    parser.add_argument("--btsnoop", metavar="FILE", type=Path, help="keep the radio traffic, for Wireshark")
    parser.add_argument(
        "--radio-interval",
        metavar="MS",
        type=float,
        default=CONNECTION_INTERVAL * 1000,
        help="milliseconds between two moments of sending (default %(default)g)",
    )
    parser.add_argument(
        "--radio-loss",
        metavar="FRACTION",
        type=float,
        default=0.0,
        help="the part of the radio's packets that must be sent again, such as 0.2 (default %(default)g)",
    )
    parser.add_argument(
        "--pace",
        metavar="X",
        type=float,
        default=1.0,
        help="2: people are half as fast; 0: nobody waits (default 1)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    if arguments.list:
        return _list(as_json=arguments.json)
    try:
        return asyncio.run(_run(arguments))
    except InputError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output has left: neither the rest nor Python's complaint at exit has a reader.
        sys.stderr.close()
        return 1
    except (BlindRelayError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return INTERRUPTED


def _list(*, as_json: bool) -> int:
    for scenario in SCENARIOS.values():
        if as_json:
            reason = scenario.reason.value if scenario.reason else None
            line = {"scenario": scenario.name, "summary": scenario.summary, "outcome": scenario.outcome}
            print(json.dumps({**line, "reason": reason}))
        else:
            print(f"{scenario.name:<22}{scenario.summary}")
    return 0


async def _run(arguments: argparse.Namespace) -> int:
    if arguments.interactive and (arguments.json or arguments.scenario):
        raise InputError(
            "invalid_options",
            "--interactive is for a person who decides what happens: leave the other one out.",
        )
    scenario = find_scenario(arguments.scenario or DEFAULT)
    if not 0.0 <= arguments.pace <= 10.0:
        raise InputError("invalid_pace", "--pace is a number from 0 to 10.")
    if arguments.btsnoop is not None and not arguments.btsnoop.absolute().parent.is_dir():
        raise InputError("invalid_btsnoop", f"--btsnoop: there is no folder {arguments.btsnoop.parent}.")
    weather = RadioConditions.asked_for(arguments.radio_interval, arguments.radio_loss)
    options = Options(arguments.pace, arguments.btsnoop, weather=weather)
    narrator: Narrator = JsonLines(sys.stdout)
    if not arguments.json:
        narrator = console = ConsoleNarrator(sys.stdout, arguments.pace)
        if arguments.interactive:
            keyboard = Keyboard()

            def you(story: Story) -> RealPerson:
                return RealPerson(keyboard, console.say, console.hold, story.person)

            scenario, options = INTERACTIVE, replace(options, person=you)
    try:
        played = await play(scenario, narrator, options)
    finally:
        await narrator.close()
    return 0 if played.as_expected else 1
