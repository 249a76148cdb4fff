"""Lets tests share harness modules by `from tests.journey.… import …`, however pytest is started."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Test folders are no packages and the editable install maps our packages only: the root is not on the path.
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# A shell's background job ignores Ctrl-C, and so would every program that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three for two cores: a journey waits for its radio half of the time."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)
