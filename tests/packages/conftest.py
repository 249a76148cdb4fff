"""What asks the package index: BLIND_RELAY_INDEX=1, where one can be reached."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("BLIND_RELAY_INDEX") else ["test_*.py"]
