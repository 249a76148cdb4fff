"""`issuer-server`: set the issuer up, run it, administer it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from issuer_server.commands import cards, devices, keys, operations, people, set_up
from protocol.errors import BlindRelayError

INTERRUPTED = 130
"""What a shell gives for a program ended by Ctrl-C."""


class _Parser(argparse.ArgumentParser):
    """Takes options by their whole names only: `--pin 1234` must not pass for `--pin-tries`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. No option takes a secret: every user of the machine sees arguments."""
    parser = _Parser(
        prog="issuer-server",
        description="The card's issuer: approves payments whose card data only it can read.",
        epilog="First time: issuer-server init; issuer-server seed; issuer-server run",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (set_up, people, cards, devices, keys, operations):
        module.add_parsers(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; exit status 0, 1 with the reason on standard error, or 2 for a wrong command line."""
    arguments = build_parser().parse_args(argv)
    try:
        status: int | None = asyncio.run(arguments.handler(arguments))
    except BlindRelayError as error:
        print(f"issuer-server: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left: the rest has nowhere to go, nor has Python's own complaint at exit.
        sys.stderr.close()
        return 1
    return status or 0


if __name__ == "__main__":
    sys.exit(main())
