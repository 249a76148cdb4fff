"""A thousand phones stay connected while two hundred payments come at once: nobody meets an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.issuer_under_load import allow_sockets, measure

PHONES, AT_ONCE = 1000, 200


@pytest.mark.timeout(600)
async def test_two_hundred_payments_at_once(tmp_path: Path) -> None:
    allow_sockets(PHONES)
    # `measure` fails by itself where a shop, a phone or a reader was told anything but `completed`.
    found = await measure(tmp_path, PHONES, AT_ONCE, 2.0, webhooks=True)
    print(json.dumps(found, indent=2))
    phones, burst = found["phones"], found["at_once"]
    assert isinstance(phones, dict)
    assert isinstance(burst, dict)
    assert (phones["connected"], burst["payments"]) == (PHONES, AT_ONCE)
    # Far above what is seen, so that no slow machine fails it; a leak or a copy a phone would.
    assert phones["kib_each"] < 200
