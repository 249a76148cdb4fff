"""docs/threats.md names tests that exist, and leaves out no attack that is tried."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.defences.attacks import NO_SWITCH, RED_WITHOUT
from tests.defences.edits import edited
from tests.defences.switch import Switch
from tests.defences.switches import SWITCHES

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "threats.md").read_text(encoding="utf-8")
ATTACKS = [
    row
    for table in re.findall(r"^\| attack \|.*\n\|---.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    for row in table.splitlines()
]
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
    assert ATTACKS
    for row in ATTACKS:
        assert "::test_" in row, row


def test_no_attack_is_left_out() -> None:
    told = {name for _, name in NAMED}
    tried = set().union(*(names_in(file) for file in (TESTS / "hostile").glob("test_*.py")))
    assert tried <= told, f"not in docs/threats.md: {sorted(tried - told)}"


def source_of(module: str) -> str:
    """A module's text as it is now."""
    path = TESTS.parent / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8")


@pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)
def test_every_defence_is_where_its_switch_looks_for_it(switch: Switch) -> None:
    for module in {edit.module for edit in switch.edits}:
        edits = [edit for edit in switch.edits if edit.module == module]
        hint = "a defence was moved or rewritten: adapt tests/defences/switches.py, then `make test-defences`"
        try:
            edited(source_of(module), edits)
        except LookupError as problem:
            pytest.fail(f"{problem}: {hint}")


def test_page_and_switch_list_name_the_same() -> None:
    without: dict[str, list[str]] = {}
    for defence, tests in RED_WITHOUT.items():
        for test in tests:
            without.setdefault(test.partition("[")[0], []).append(defence)
    for row in ATTACKS:
        named = [f"{file}::{test}" for file, test in re.findall(r"`([a-z_/0-9]+\.py)::(test_\w+)`", row)]
        unknown = [test for test in named if test not in without and test not in NO_SWITCH]
        assert not unknown, f"neither a switch nor a reason in tests/defences/attacks.py: {unknown}"
        removed = list(dict.fromkeys(defence for test in named for defence in without.get(test, [])))
        assert row.split(" | ")[3].rstrip(" |") == (", ".join(removed) or "—"), row


def test_no_switch_is_forgotten() -> None:
    told = {f"{file}::{name}" for file, name in NAMED}
    listed = {test.partition("[")[0] for tests in RED_WITHOUT.values() for test in tests} | NO_SWITCH.keys()
    assert SWITCHES.keys() == RED_WITHOUT.keys()
    assert listed == told
    assert all(NO_SWITCH.values())
