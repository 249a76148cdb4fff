"""`python -m merchant_terminal` is the command `merchant-terminal`."""

import sys

from merchant_terminal.cli import main

if __name__ == "__main__":
    sys.exit(main())
