"""Lets tests share harness modules by `from tests.journey.… import …`, however pytest is started."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Test folders are no packages and the editable install maps our packages only: the root is not on the path.
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
