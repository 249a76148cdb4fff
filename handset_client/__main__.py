"""`python -m handset_client` is the command `handset-client`."""

import sys

from handset_client.cli import main

if __name__ == "__main__":
    sys.exit(main())
