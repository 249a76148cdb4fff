"""`python -m issuer_server` is the command `issuer-server`."""

import sys

from issuer_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
