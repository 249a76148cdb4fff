"""`enrol --replace`: the reader that works is given up when the new issuer has agreed, and in one step."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.signing import SigningKey
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.enrolment import EnrolmentError, enrol
from tests.unit.reader_enrolment_bench import BANK, SECRET, Issuer, prepared, problem, serving
from tests.unit.test_reader_enrol import READER_COMMAND


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with serving() as issuer:
        yield issuer


@pytest.fixture
def store(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "reader")


def pair(store: FileKeyStore) -> tuple[bytes, str]:
    """Who this reader is, and whom it believes."""
    seed, issuer = store.seed(), store.issuer()
    assert seed
    assert issuer
    return SigningKey.from_seed(seed).public_key, issuer.issuer_id


def enrolled_with_bank(store: FileKeyStore) -> tuple[bytes, str]:
    store.keep_seed(b"\x05" * 32)
    store.pin_issuer(BANK, SigningKey.from_seed(b"\x05" * 32).public_key)
    return pair(store)


async def test_a_replacement_that_is_refused_leaves_the_reader_that_works(
    issuer: Issuer, store: FileKeyStore, unused_tcp_port: int
) -> None:
    before = enrolled_with_bank(store)
    issuer.answer = problem(409, code="enrolment_code_used", title="Used")
    nobody = EnrolmentCode(
        EnrolmentKind.READER, f"http://127.0.0.1:{unused_tcp_port}", BANK.issuer_id, BANK.public_key, SECRET
    )
    for code in (issuer.code(), nobody):
        with pytest.raises(EnrolmentError):
            await enrol(store, prepared(store, code, replace=True))
        assert pair(store) == before


async def test_the_command_says_that_the_reader_is_as_it_was(
    issuer: Issuer, store: FileKeyStore, tmp_path: Path
) -> None:
    before = enrolled_with_bank(store)
    issuer.answer = problem(409, code="enrolment_code_used", title="Used")
    done = await asyncio.to_thread(
        subprocess.run,
        [READER_COMMAND, "enrol", "--replace", "--data", str(tmp_path / "reader")],
        input=issuer.code().text(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "this reader is as it was" in done.stderr) == (1, True), done.stderr
    assert pair(store) == before


async def test_a_replacement_whose_answer_was_lost_is_made_good_with_a_new_code(
    issuer: Issuer, store: FileKeyStore
) -> None:
    enrolled_with_bank(store)
    first = prepared(store, issuer.code(), replace=True)
    issuer.answer = problem(409, code="reader_already_enrolled", detail="known")
    again = prepared(store, issuer.code(), replace=True)
    assert again.reader_id == first.reader_id, "the key that the issuer has is used again"
    await enrol(store, again)
    assert pair(store) == (first.key.public_key, "test-bank")
    assert prepared(store, issuer.code(), replace=True).reader_id != first.reader_id, "it is in use now"


class PowerCutError(Exception):
    """Nothing more happens."""


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3])
async def test_wherever_the_power_fails_one_reader_and_its_issuer_are_left(
    issuer: Issuer,
    store: FileKeyStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    late: bool,
) -> None:
    before, steps, replace = enrolled_with_bank(store), [0], Path.replace

    def replace_or_fail(source: Path, target: Path) -> Path:
        steps[0] += 1
        if steps[0] == step and not late:
            raise PowerCutError
        replace(source, target)
        if steps[0] == step:
            raise PowerCutError
        return target

    with monkeypatch.context() as failing:
        failing.setattr(Path, "replace", replace_or_fail)
        with pytest.raises(PowerCutError):
            await enrol(store, prepared(store, issuer.code(), replace=True))
    later = FileKeyStore(tmp_path / "reader")
    known = [(proof.public_key, "test-bank") for proof in issuer.proofs]
    assert pair(later) == (known[0] if (step, late) > (2, False) else before)
    candidate = prepared(later, issuer.code(), replace=True)
    assert pair(later) in [before, *known], "a new try harms nothing either"
    await enrol(later, candidate)
    assert pair(later) == (candidate.key.public_key, "test-bank")
    assert {path.name for path in (tmp_path / "reader").iterdir()} == {"identity.seed", "issuer.json"}
