"""Ready is who can take a payment: not while stopping, not with a full disk, not without keys."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from issuer_server.operations.readiness import ANSWER_HOLDS, Readiness
from issuer_server.problems import Problem
from issuer_server.storage.sqlite import SqliteStorage
from tests.unit.issuer_house import house


class Going:
    """An application that is stopped by setting a flag."""

    stopping = False


class Counting:
    """A storage that counts how often it was written to."""

    def __init__(self) -> None:
        self.writes = 0

    async def check_writable(self) -> None:
        self.writes += 1

    async def outbox(self) -> object:
        raise NotImplementedError


async def code_of(readiness: Readiness) -> str | None:
    try:
        await readiness.check()
    except Problem as problem:
        return f"{problem.status} {problem.code}"
    return None


async def test_stopping_storage_and_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    application, storage, now = Going(), await SqliteStorage.open(tmp_path / "issuer.db"), [0.0]
    fault: list[Exception] = []

    async def try_keys() -> None:
        if fault:
            raise fault[0]

    readiness = Readiness(application, storage, try_keys, lambda: now[0])
    assert await code_of(readiness) is None
    fault.append(RuntimeError("slot 0 pin 1234"))
    assert await code_of(readiness) is None, "said a moment ago"
    now[0] += ANSWER_HOLDS
    caplog.set_level(logging.ERROR)
    assert await code_of(readiness) == "503 keys_unavailable"
    assert "RuntimeError" in caplog.text
    assert "1234" not in caplog.text
    fault.clear()
    await storage.close()
    assert await code_of(readiness) == "503 storage_unavailable"
    application.stopping = True
    assert await code_of(readiness) == "503 issuer_stopping"


async def test_asking_often_does_not_write_often() -> None:
    storage, now = Counting(), [0.0]

    async def try_keys() -> None:
        """They work."""

    readiness = Readiness(Going(), storage, try_keys, lambda: now[0])  # type: ignore[arg-type]
    for _ in range(100):
        await readiness.check()
    assert storage.writes == 1
    now[0] += ANSWER_HOLDS
    await readiness.check()
    assert storage.writes == 2


async def test_a_database_that_takes_no_writes_is_not_ready(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        writer = home.issuer.storage._writer
        await writer.submit(lambda connection: connection.execute("PRAGMA busy_timeout = 20"))
        holder = sqlite3.connect(tmp_path / "issuer.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        status, body, answer = await home.call("GET", "/readyz")
        assert (status, body["code"]) == (503, "storage_unavailable")
        assert answer.headers["Retry-After"] == "1"
        holder.execute("ROLLBACK")
        assert (await home.call("GET", "/readyz"))[0] == 200
    holder.close()
