"""The drawings in docs/machines/ are those of the tables."""

from __future__ import annotations

import pytest

from tools.draw_machines import DRAWINGS, drawings


@pytest.mark.parametrize(("name", "text"), list(drawings()), ids=[name for name, _ in drawings()])
def test_the_drawing_is_current(name: str, text: str) -> None:
    assert (DRAWINGS / name).read_text(encoding="utf-8") == text, "run `make machines`"
