"""A full disk, a locked database, a damaged log: refused in words, told as 503, nothing acknowledged lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.crash.town import Town, town
from tests.crash.verdict import check, check_all_told, check_swept

PEOPLE = 8


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room on it."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(place)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"mounting a small disk needs root: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def ask(here: Town) -> tuple[int, dict[str, object], aiohttp.ClientResponse]:
    """One more shop's request, which does not ask again.

    The other shops may all be in the middle of a payment, which waits and is refused nothing.
    """
    shop = here.shops[0]
    body = {"phone": here.cardholders[0].phone, "amount": 1, "currency": "JPY", "order": "tea"}
    headers = {**shop.headers, "Idempotency-Key": "once"}
    async with here.http.post(here.server.url + "/v1/payments", json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None), answer


async def until_counted(here: Town, what: str, times: int) -> None:
    async with asyncio.timeout(60):
        while here.seen.counts[what] < times:
            here.check_alive()
            await asyncio.sleep(0.05)


async def assert_unavailable(here: Town) -> None:
    """A problem that a program understands, and that says nothing of our inside."""
    status, problem, answer = await ask(here)
    assert (status, problem["code"]) == (503, "storage_unavailable")
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Retry-After"] == "1"
    assert "request_id" in problem
    assert not any(word in str(problem) for word in ("sqlite", "disk", "locked", str(here.data)))


async def closed_well(here: Town) -> None:
    """Everybody is answered in the end, and everything agrees."""
    await here.close()
    await check_all_told(here)
    await here.send_home()
    assert await here.server.stop() == 0


async def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    async with town(small_disk / "data", PEOPLE, seed=1, log=tmp_path / "issuer.log") as here:
        here.open()
        here.server.start()
        await here.server.ready(here.http)
        await until_counted(here, "ended completed", 1)  # the log is short yet: every commit needs room
        filler = small_disk / "filler"
        fill(filler)
        for _ in range(20):
            await assert_unavailable(here)
        check(here)
        assert here.server.log.read_text().count("the disk of the database is full: make room") == 1
        filler.unlink()
        ended = here.seen.counts["ended completed"]
        await until_counted(here, "ended completed", ended + 10)
        check(here)
        assert "database: works again" in here.server.log.read_text()
        await closed_well(here)


async def test_a_full_disk_and_a_kill(small_disk: Path, tmp_path: Path) -> None:
    async with town(small_disk / "data", PEOPLE, seed=2, log=tmp_path / "issuer.log") as here:
        here.open()
        here.server.start()
        await here.server.ready(here.http)
        await until_counted(here, "ended completed", 1)  # the log is short yet: every commit needs room
        filler = small_disk / "filler"
        fill(filler)
        await assert_unavailable(here)
        await here.server.kill()
        died_at = time.time()
        # Too little room to end what was in flight: it does not start, and says why.
        here.server.start()
        code = await here.server.died()
        log = here.server.log.read_text()
        assert code == 1, log[-2000:]
        assert "issuer-server: the disk of the database is full: make room" in log
        filler.unlink()
        check(here)
        here.server.start()
        await here.server.ready(here.http)
        await check_swept(here, died_at)
        await closed_well(here)


async def test_a_database_that_another_process_holds(tmp_path: Path) -> None:
    async with town(tmp_path / "data", PEOPLE, seed=3) as here:
        here.open()
        here.server.start()
        await here.server.ready(here.http)
        await until_counted(here, "ended completed", 5)
        other = sqlite3.connect(here.data / "issuer.db", isolation_level=None, timeout=30)
        other.execute("BEGIN IMMEDIATE")
        await assert_unavailable(here)
        assert "another process holds the database" in here.server.log.read_text()
        other.execute("ROLLBACK")
        other.close()
        ended = here.seen.counts["ended completed"]
        await until_counted(here, "ended completed", ended + 5)
        check(here)
        await closed_well(here)


@pytest.mark.parametrize("damage", ["cut", "bit", "gone"])
async def test_a_damaged_log(tmp_path: Path, damage: str) -> None:
    async with town(tmp_path / "data", PEOPLE, seed=4) as here:
        here.open()
        here.server.start()
        await here.server.ready(here.http)
        await until_counted(here, "ended completed", 1)  # before any checkpoint: all is in the log
        assert await here.server.kill() == -signal.SIGKILL
        log = here.data / "issuer.db-wal"
        kept = {path.name: path.read_bytes() for path in here.data.glob("issuer.db*")}
        match damage:
            case "cut":
                os.truncate(log, log.stat().st_size // 2)
            case "bit":
                wrong = bytearray(kept[log.name])
                wrong[len(wrong) // 2] ^= 4
                log.write_bytes(wrong)
            case "gone":
                log.unlink()
        here.server.start()
        assert await here.server.died() == 1
        said = here.server.log.read_text()
        assert f"issuer-server: the write-ahead log {log} is damaged" in said
        assert "Traceback" not in said
        # The operator brings the log back as it was, and nothing is missing.
        shutil.copy(here.data / "issuer.db", tmp_path / "untouched")
        assert (tmp_path / "untouched").read_bytes() == kept["issuer.db"]
        log.write_bytes(kept[log.name])
        here.server.start()
        await here.server.ready(here.http)
        check(here)
        await closed_well(here)


def fill(filler: Path) -> None:
    """Until there is no room."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
