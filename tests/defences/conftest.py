"""Every attack once without its defence takes minutes: BLIND_RELAY_DEFENCES=1."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("BLIND_RELAY_DEFENCES") else ["test_*.py", "honest/test_*.py"]
