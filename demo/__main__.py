"""`python -m demo`: see demo/cli.py."""

import sys


def run() -> int:
    """Loading all four parties takes a second, in which Ctrl-C must be as quiet as later."""
    try:
        from demo.cli import main

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
