"""The fuzzers' corpus, as it is and with pieces changed: every parser takes it all, without atheris."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.make_corpus import entries
from tests.fuzz.parsers import PARSERS

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
FILES = {name: sorted((CORPUS / name).iterdir()) for name in PARSERS}


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_in_the_corpus_is_taken(name: str) -> None:
    assert FILES[name], f"python -m tests.fuzz.make_corpus makes inputs for {name}"
    for file in FILES[name]:
        PARSERS[name](file.read_bytes())


def test_the_corpus_is_what_its_tool_makes() -> None:
    made = {(parser, name): data for parser, name, data in entries()}
    kept = {(name, file.name): file.read_bytes() for name in PARSERS for file in FILES[name]}
    assert kept == made, "a message has changed: run `python -m tests.fuzz.make_corpus`"


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """A real input with bytes set, cut out or put in, perhaps cut short."""
    data = bytearray(draw(st.sampled_from(FILES[name])).read_bytes())
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        new = draw(st.binary(max_size=6))
        data[at : at + draw(st.sampled_from((0, len(new), 1, 40)))] = new
    return bytes(data[: draw(st.one_of(st.none(), st.integers(0, len(data))))])


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_changed_in_the_corpus_is_taken_or_refused(name: str) -> None:
    @settings(max_examples=3 if name == "channel" else 10, deadline=None)
    @given(mutated(name))
    def taken(data: bytes) -> None:
        PARSERS[name](data)

    taken()
