"""docs/threats.md names tests that exist, and leaves out no attack that is tried."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "threats.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([a-z_/0-9]+\.py)::(test_\w+)`", PAGE)))


def names_in(file: Path) -> set[str]:
    """The names of a module's test functions."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_named_test_exists(file: str) -> None:
    wanted = {name for where, name in NAMED if where == file}
    assert wanted <= names_in(TESTS / file), f"docs/threats.md names tests that {file} has not"


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and line.count("|") == 4]
    attacks = [row for row in rows if not re.match(r"\| (attack|-+)|\|---", row)]
    assert attacks
    for row in attacks:
        assert "::test_" in row, row


def test_no_attack_is_left_out() -> None:
    told = {name for _, name in NAMED}
    tried = set().union(*(names_in(file) for file in (TESTS / "hostile").glob("test_*.py")))
    assert tried <= told, f"not in docs/threats.md: {sorted(tried - told)}"
