"""Rotation under real programs, kills and a token takes a minute: BLIND_RELAY_KEYS=1 asks for it."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("BLIND_RELAY_KEYS") else ["test_*.py"]
