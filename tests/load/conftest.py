"""A thousand phones take a minute and most of a machine: BLIND_RELAY_LOAD=1 asks for them."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("BLIND_RELAY_LOAD") else ["test_*.py"]
