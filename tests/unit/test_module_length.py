"""No module of the programs has more than 400 lines: what grows past that is two things."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "protocol",
    "service_host",
    "issuer_server",
    "reader_peripheral",
    "handset_client",
    "merchant_terminal",
    "virtual_radio",
    "demo",
)
MOST = 400


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_longer_than_four_hundred_lines(package: str) -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in (ROOT / package).rglob("*.py")}
    assert lengths
    assert not {str(path): lines for path, lines in lengths.items() if lines > MOST}
