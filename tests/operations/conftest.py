"""Slower than `make test` allows, real processes under payments: BLIND_RELAY_OPERATIONS=1 asks for them."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("BLIND_RELAY_OPERATIONS") else ["test_*.py"]
