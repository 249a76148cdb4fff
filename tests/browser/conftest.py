"""A real Chromium for the tests of the phone's page. Run by `make test-browser` alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser

WANTED = "BLIND_RELAY_BROWSER"
HERE = Path(__file__).resolve().parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# The driver is no part of the default set-up: without it these files cannot even be imported.
collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium as the distribution ships it, started anew for each test."""
    from playwright.async_api import async_playwright

    if CHROMIUM is None:
        pytest.fail("no Chromium here: apt-get install chromium")
    async with async_playwright() as playwright:
        # Root, as in a container, has no sandbox; a person's own account keeps it.
        started = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            chromium_sandbox=os.geteuid() != 0,
            args=["--autoplay-policy=document-user-activation-required"],
        )
        yield started
        await started.close()
