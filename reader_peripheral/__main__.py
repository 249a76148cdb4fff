"""`python -m reader_peripheral` is the same as `reader-peripheral`."""

import sys

from reader_peripheral.cli import main

sys.exit(main())
