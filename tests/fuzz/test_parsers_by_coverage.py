"""A few seconds of atheris for each parser that takes a stranger's bytes: none crashes. Prints executions."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.parsers import PARSERS
from tests.fuzz.run import CORPUS, fuzz

SECONDS = int(os.environ.get("BLIND_RELAY_FUZZ_SECONDS", "3"))


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", PARSERS)
def test_no_input_crashes_it(name: str) -> None:
    run = fuzz(name, SECONDS, seed=1)
    print(run)
    assert not run.crashes
    assert run.executions > 100


def test_every_parser_has_a_corpus() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(PARSERS)
