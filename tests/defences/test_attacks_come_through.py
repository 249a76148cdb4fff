"""With one defence taken out of the product an honest payment still works, and each attack comes through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.defences.attacks import RED_WITHOUT

ROOT = Path(__file__).parents[2]
HONEST = "defences/honest/test_honest_payment.py"
"""What must stay green: a defence that is needed for an honest payment is no defence that was taken out."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one case of a test."""

    test: str
    when: str
    passed: bool
    asserted: bool
    raised: str
    removed: list[str]


def without(defence: str, tests: tuple[str, ...], folder: Path) -> list[Verdict]:
    """Run tests in a process whose product lacks one defence."""
    file = folder / "verdicts"
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.defences.removed", "-p", "no:cacheprovider"]
        + [f"tests/{test}" for test in tests],
        cwd=ROOT,
        env={**os.environ, "BLIND_RELAY_WITHOUT": defence, "BLIND_RELAY_VERDICTS": str(file)},
        capture_output=True,
        text=True,
    )
    assert file.exists(), child.stdout[-4000:] + child.stderr[-4000:]
    return [Verdict(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def belongs(verdict: Verdict, test: str) -> bool:
    return verdict.test == f"tests/{test}" or verdict.test.startswith(f"tests/{test}[")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("defence", RED_WITHOUT)
def test_without_it_every_attack_on_it_is_red(defence: str, tmp_path: Path) -> None:
    attacks = RED_WITHOUT[defence]
    verdicts = without(defence, (HONEST, *attacks), tmp_path)
    honest = [verdict for verdict in verdicts if belongs(verdict, f"{HONEST}::test_an_honest_payment")]
    assert honest, "the honest payment did not run"
    assert all(verdict.passed for verdict in honest), f"an honest payment fails: {honest}"
    assert honest[0].removed, "nothing was taken out"
    for attack in attacks:
        cases = [verdict for verdict in verdicts if belongs(verdict, attack)]
        red = [verdict for verdict in cases if not verdict.passed]
        assert red, f"still green without '{defence}': {attack}"
        broken = [verdict for verdict in red if not verdict.asserted or verdict.when != "call"]
        assert not broken, f"no assertion, but an error: {broken}"
        print(f"{defence}: {attack}: {len(red)} of {len(cases)} red: {red[0].raised.splitlines()[0][:150]}")
