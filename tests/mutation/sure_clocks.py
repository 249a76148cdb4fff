"""A pytest plugin for mutmut: hypothesis draws the same examples each time, and quick tests come first."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutation", deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("mutation")

_STATS = Path("mutmut-stats.json")
"""Written by mutmut into the folder where it runs the tests."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that fails ends a mutant: most are killed by one that takes a millisecond."""
    if _STATS.exists():
        seconds = json.loads(_STATS.read_text(encoding="utf-8"))["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))


def pytest_collection_finish() -> None:
    """A message's layout is read once, perhaps before mutmut forked: it is read anew, by the mutant."""
    if (wire := sys.modules.get("protocol.wire_message")) is not None:
        wire._layouts.clear()
