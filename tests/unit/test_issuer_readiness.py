"""Ready is who can take a payment: not while stopping, not with a full disk, not without keys."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest

from issuer_server.key_custody.key_store import KeyStoreError
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
    now[0] += ANSWER_HOLDS
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


async def test_probes_that_piled_up_behind_a_hung_token_share_one_look() -> None:
    storage, now = Counting(), [0.0]

    async def try_keys() -> None:
        await asyncio.sleep(0)  # so that all of them stand in the queue
        now[0] += 10 * ANSWER_HOLDS
        raise KeyStoreError("the token has not answered")

    readiness = Readiness(Going(), storage, try_keys, lambda: now[0])  # type: ignore[arg-type]
    assert set(await asyncio.gather(*(code_of(readiness) for _ in range(5)))) == {"503 keys_unavailable"}
    assert storage.writes == 1
    now[0] += ANSWER_HOLDS
    assert await code_of(readiness) == "503 keys_unavailable"
    assert storage.writes == 2


async def test_a_database_that_takes_no_writes_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer_server.operations.readiness.ANSWER_HOLDS", 0.0)
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
