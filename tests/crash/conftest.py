"""Killing the issuer at every failpoint takes a minute: BLIND_RELAY_CRASH=1 asks for it."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("BLIND_RELAY_CRASH") else ["test_*.py"]
