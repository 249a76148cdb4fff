"""Fuzzing takes minutes and tools of its own: BLIND_RELAY_FUZZ=1 and requirements-bench.lock."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("BLIND_RELAY_FUZZ") else ["test_*.py"]
