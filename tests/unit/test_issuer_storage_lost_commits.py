"""A write-ahead log that lost what was committed is refused; one that lost nothing never is."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from issuer_server.storage.port import StorageError
from issuer_server.storage.sqlite import SqliteStorage
from issuer_server.storage.sqlite.lost_commits import check_log_is_whole, whole_frames
from tests.contracts.world import World

FRAME = 24 + 4096


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with people in it, closed: made once, for the tests to copy."""
    path = tmp_path_factory.mktemp("populated") / "issuer.db"

    async def make() -> None:
        storage = await SqliteStorage.open(path)
        await World(storage).populate()
        await storage.close()

    asyncio.run(make())
    return path


@pytest.fixture
def database(populated: Path, tmp_path: Path) -> Path:
    """Such a database of a test's own."""
    return Path(shutil.copy(populated, tmp_path))


def crash(database: Path, commits: int, last: str = "") -> bytes:
    """So many commits, and the files as a process leaves them that dies then; gives the log."""
    names = [database, log_of(database), index_of(database)]
    connection = sqlite3.connect(database, isolation_level=None)
    for _ in range(commits):
        connection.execute("UPDATE merchants SET blocked = 1 - blocked")
    connection.execute(last).fetchall()
    left = {path: path.read_bytes() for path in names}
    connection.close()
    for path, data in left.items():
        path.write_bytes(data)
    return left[log_of(database)]


def index_of(database: Path) -> Path:
    return database.with_name(database.name + "-shm")


def log_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


async def assert_opens(database: Path) -> None:
    storage = await SqliteStorage.open(database)
    await storage.close()


async def assert_refused(database: Path) -> None:
    """By the server and by a command alike, which leave everything as it was."""
    before = {path.name: path.read_bytes() for path in database.parent.iterdir()}
    for opening in (SqliteStorage.open_beside_server, SqliteStorage.open):
        with pytest.raises(StorageError, match=r"is damaged: \d+ pages were committed.* restore a backup"):
            await opening(database)
    after = {path.name: path.read_bytes() for path in database.parent.iterdir()}
    assert {name: after[name] for name in before} == before


async def test_a_log_after_a_crash_is_whole(database: Path) -> None:
    log = crash(database, 10)
    assert whole_frames(log) == (len(log) - 32) // FRAME >= 10
    await assert_opens(database)


@pytest.mark.parametrize("left", [0, 31, 32 + FRAME, -1])
async def test_a_log_that_was_cut_is_refused(database: Path, left: int) -> None:
    log = crash(database, 10)
    os.truncate(log_of(database), left if left >= 0 else len(log) + left)
    await assert_refused(database)


async def test_a_log_that_was_deleted_is_refused(database: Path) -> None:
    crash(database, 1)
    log_of(database).unlink()
    await assert_refused(database)


@pytest.mark.parametrize("at", [0, 17, 32 + 9, 32 + 17, 32 + FRAME * 3 + 1000])
async def test_a_log_with_one_wrong_bit_is_refused(database: Path, at: int) -> None:
    damaged = bytearray(crash(database, 10))
    damaged[at] ^= 1
    log_of(database).write_bytes(damaged)
    if at == 17:  # of the generation's number: the header's own sum tells
        assert whole_frames(bytes(damaged)) == 0
    await assert_refused(database)


async def test_what_was_brought_back_as_it_was_is_taken(database: Path) -> None:
    log = crash(database, 10)
    log_of(database).write_bytes(log[:5000])
    await assert_refused(database)
    log_of(database).write_bytes(log)
    await assert_opens(database)


async def test_a_tail_that_nobody_was_told_of_is_no_damage(database: Path) -> None:
    """A power cut in the middle of a commit: its frames are torn, and its caller heard nothing."""
    log = crash(database, 10)
    log_of(database).write_bytes(log + log[32 : 32 + FRAME] + b"\0" * 100)
    await assert_opens(database)


async def test_what_a_checkpoint_brought_home_may_go(database: Path) -> None:
    crash(database, 10, "PRAGMA wal_checkpoint(FULL)")
    log_of(database).unlink()
    await assert_opens(database)


async def test_an_index_older_than_the_log_promises_less(database: Path) -> None:
    """After a power cut the index may be of any earlier moment, even of a log since begun anew."""
    index = database.with_name(database.name + "-shm")
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("UPDATE merchants SET blocked = 1")
    shutil.copy(index, older := index.with_name("older"))
    connection.execute("PRAGMA wal_checkpoint(RESTART)")
    connection.execute("UPDATE merchants SET blocked = 0")
    shutil.copy(log_of(database), log := index.with_name("log"))
    connection.close()
    shutil.move(older, index)
    shutil.move(log, log_of(database))
    await assert_opens(database)


@pytest.mark.parametrize("index", [b"", b"\0" * 136, os.urandom(32768)])
def test_an_index_that_says_nothing_is_not_believed(tmp_path: Path, index: bytes) -> None:
    (tmp_path / "issuer.db-shm").write_bytes(index)
    check_log_is_whole(tmp_path / "issuer.db")
