"""The issuer dies once at every failpoint, under load: nothing lost, nothing twice, nobody left waiting."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.crash.failpoints import FAILPOINTS
from tests.crash.server_process import WEAKENED
from tests.crash.town import town
from tests.crash.verdict import check, check_all_told, check_swept

PEOPLE = 12


async def test_an_issuer_that_answers_before_it_commits_is_found_out(tmp_path: Path) -> None:
    async with town(tmp_path / "data", PEOPLE, seed=5) as here:
        here.open()
        here.server.start(WEAKENED)
        assert await here.server.died() == -signal.SIGKILL
        with pytest.raises(AssertionError, match="told completed, stored"):
            check(here)


@pytest.mark.timeout(900)
async def test_the_issuer_dies_at_every_failpoint(tmp_path: Path) -> None:
    began = time.monotonic()
    async with town(tmp_path / "data", PEOPLE, seed=5) as here:
        here.open()
        for name in FAILPOINTS:
            here.server.start(name)
            try:
                code = await here.server.died()
            except TimeoutError:
                raise AssertionError(
                    f"{name!r} was not reached: what it wraps has another name now?"
                ) from None
            died_at = time.time()
            assert code == -signal.SIGKILL, (name, here.server.log.read_text()[-4000:])
            here.check_alive()
            check(here)
        here.server.start()
        await here.server.ready(here.http)
        await check_swept(here, died_at)
        await here.close()
        books = await check_all_told(here)
        await here.send_home()
        assert await here.server.stop() == 0
        repeats = sum(here.ear.times.values()) - len(here.ear.told)
        print(f"{len(FAILPOINTS)} deaths in {time.monotonic() - began:.0f} s; {len(books.states)} payments,")
        print(f"{len(books.transfers)} transferred; {repeats} webhooks came again; {dict(here.seen.counts)}")
