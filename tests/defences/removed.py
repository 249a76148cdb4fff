"""A pytest plugin, `-p tests.defences.removed`: the product's modules are imported without one defence.

BLIND_RELAY_WITHOUT names the switch, BLIND_RELAY_VERDICTS the file that gets one JSON line a test: its name,
its outcome, and what it raised. It edits what is imported from now on, so it must be loaded first.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
from collections.abc import Generator, Sequence
from importlib.abc import MetaPathFinder
from types import CodeType, ModuleType
from typing import Any

import pytest

from tests.defences.edits import edited
from tests.defences.switch import Edit
from tests.defences.switches import SWITCHES

PATIENCE = 3.0
"""Seconds, in place of the usual 15: with its defence out, a test often waits for what will never come."""


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, edits: Sequence[Edit]) -> None:
        super().__init__(fullname, path)
        self._edits = edits

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        code: CodeType = compile(edited(source, self._edits), self.path, "exec", dont_inherit=True)
        return code


class _Finder(MetaPathFinder):
    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits
        self.used: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        mine = [edit for edit in self._edits if edit.module == fullname]
        if not mine:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(fullname, spec.origin, mine)
        self.used.add(fullname)
        return spec


_without = SWITCHES[os.environ["BLIND_RELAY_WITHOUT"]]
_finder = _Finder(_without.edits)
_early = [edit.module for edit in _without.edits if edit.module in sys.modules]
assert not _early, f"imported before the defence could be taken out: {_early}"
sys.meta_path.insert(0, _finder)


@pytest.fixture(autouse=True)
def _hurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience with what will never come; an honest payment may take its time."""
    from tests.journey.diary import Diary
    from tests.journey.parties import Parties

    if "/honest/" in request.node.nodeid:
        return
    for method in (Parties.outcome, Parties.until, Parties.status, Diary.until):
        defaults = method.__defaults__
        assert defaults is not None
        monkeypatch.setattr(method, "__defaults__", (*defaults[:-1], PATIENCE))


def _is_a_verdict(raised: BaseException) -> bool:
    """An assertion, or an error of the product's own where the test expects none; not one of the harness."""
    from protocol.errors import BlindRelayError

    if isinstance(raised, BaseExceptionGroup):
        return all(map(_is_a_verdict, raised.exceptions))
    return isinstance(raised, AssertionError | pytest.fail.Exception | BlindRelayError)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" or report.failed:
        raised = call.excinfo
        line = {
            "test": item.nodeid,
            "when": call.when,
            "passed": report.passed,
            "asserted": raised is not None and _is_a_verdict(raised.value),
            "raised": "" if raised is None else f"{raised.typename}: {str(raised.value)[:300]}",
            "removed": sorted(_finder.used),
        }
        with open(os.environ["BLIND_RELAY_VERDICTS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return report
