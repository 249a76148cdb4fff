"""The writer thread: batches, savepoints, and what a failing commit means to those who wait."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest

from issuer_server.storage.port import StorageError
from issuer_server.storage.sqlite.connection import connect
from issuer_server.storage.sqlite.group_commit import LARGEST_BATCH, Batching, GroupCommit

GATE = 1
"""The commit and the wake-up of the operation that holds the writer."""


class Bench:
    """A table, a writer on it, the statements it ran, and a gate that holds it while a batch gathers."""

    def __init__(self, path):
        self.path = path
        self.statements: list[str] = []
        self.connection = connect(path, busy_seconds=0.05)
        self.connection.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        self.connection.execute(
            "CREATE TABLE items (name TEXT UNIQUE, parent INTEGER REFERENCES parents (id))"
        )
        self.connection.set_trace_callback(self.statements.append)
        self.writer = GroupCommit(self.connection, Batching.WRITE)

    def put(self, name):
        return self.writer.submit(
            lambda connection: connection.execute("INSERT INTO items VALUES (?, NULL)", (name,)).rowcount
        )

    async def together(self, *operations):
        """Run coroutines so that all but the gate meet in one batch."""
        holding, release = threading.Event(), threading.Event()

        def hold(connection):
            holding.set()
            assert release.wait(10)

        gate = asyncio.ensure_future(self.writer.submit(hold))
        await asyncio.get_running_loop().run_in_executor(None, holding.wait, 10)
        waiting = [asyncio.ensure_future(operation) for operation in operations]
        await asyncio.sleep(0)  # each has put itself into the queue
        self.statements.clear()
        release.set()
        await gate
        return waiting

    def stored(self):
        other = sqlite3.connect(self.path)
        try:
            return {name for (name,) in other.execute("SELECT name FROM items")}
        finally:
            other.close()


@pytest.fixture
async def bench(tmp_path):
    bench = Bench(tmp_path / "db")
    yield bench
    await bench.writer.close()


def write(name):
    def operation(connection):
        connection.execute("INSERT INTO items VALUES (?, NULL)", (name,))
        return name

    return operation


async def test_what_waits_together_is_committed_together_and_wakes_the_loop_once(bench, monkeypatch):
    loop = asyncio.get_running_loop()
    wakes = []
    real = loop.call_soon_threadsafe

    def counting(callback, *arguments, **options):
        if callback.__module__.endswith("group_commit"):
            wakes.append(callback)
        return real(callback, *arguments, **options)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counting)
    waiting = await bench.together(*(bench.put(f"n{number}") for number in range(100)))
    assert await asyncio.gather(*waiting) == [1] * 100
    assert bench.statements.count("COMMIT") == GATE + 1
    assert len(wakes) == GATE + 1
    assert len(bench.stored()) == 100


async def test_a_batch_has_an_end(bench):
    waiting = await bench.together(*(bench.put(f"n{number}") for number in range(LARGEST_BATCH + 10)))
    await asyncio.gather(*waiting)
    assert bench.statements.count("COMMIT") == GATE + 2


async def test_success_is_heard_after_the_commit(bench):
    await bench.put("a")
    assert bench.stored() == {"a"}


async def test_a_failing_operation_rolls_back_alone(bench):
    class RefusalError(Exception):
        pass

    def write_then_refuse(connection):
        write("half")(connection)
        raise RefusalError

    waiting = await bench.together(
        bench.put("a"), bench.writer.submit(write_then_refuse), bench.put("a"), bench.put("b")
    )
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in done] == [int, RefusalError, StorageError, int]
    assert bench.statements.count("COMMIT") == GATE + 1
    assert bench.stored() == {"a", "b"}


async def test_a_failing_commit_fails_everyone_in_the_batch_and_stores_nothing(bench):
    """A deferred foreign key is checked by COMMIT itself."""

    def orphan(connection):
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute("INSERT INTO items VALUES ('orphan', 7)")

    def own_error(connection):
        raise ValueError("decided on what was never committed")

    waiting = await bench.together(
        bench.put("a"), bench.writer.submit(orphan), bench.writer.submit(own_error), bench.put("b")
    )
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in done] == [StorageError] * 4
    assert len({id(outcome) for outcome in done}) == 4  # each its own, since tracebacks grow on exceptions
    assert bench.stored() == set()
    await bench.put("afterwards")
    assert bench.stored() == {"afterwards"}


async def test_a_full_disk_says_so_and_recovers_when_there_is_room(bench):
    (pages,) = bench.connection.execute("PRAGMA page_count").fetchone()
    bench.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    waiting = await bench.together(bench.put("small"), bench.put("x" * 100_000), bench.put("other"))
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert any(isinstance(outcome, StorageError) and "full" in str(outcome) for outcome in done)
    assert bench.stored() == {
        name for name, outcome in zip(("small", "x", "other"), done, strict=True) if outcome == 1
    }
    bench.connection.execute("PRAGMA max_page_count = 1000000")
    assert await bench.put("x" * 100_000) == 1


async def test_a_database_locked_by_another_process_says_so(bench, caplog):
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        with pytest.raises(StorageError, match="another process"):
            await bench.put("a")
    other.execute("ROLLBACK")
    other.close()
    assert await bench.put("a") == 1
    assert await bench.put("b") == 1
    # The operator reads it once, and once that it is over.
    text = "another process holds the database: end it or try again; nothing was stored"
    assert caplog.messages == [f"database: {text}", f"database: works again; before that: {text}"]


async def test_closing_finishes_what_is_queued_and_takes_no_more(bench):
    waiting = [asyncio.ensure_future(bench.put(f"n{number}")) for number in range(50)]
    await asyncio.sleep(0)
    await bench.writer.close()
    assert await asyncio.gather(*waiting) == [1] * 50
    assert len(bench.stored()) == 50
    with pytest.raises(StorageError, match="closed"):
        await bench.put("late")
    await bench.writer.close()  # twice is as good as once


async def test_a_caller_who_left_before_it_began_is_skipped(bench):
    waiting = await bench.together(bench.put("kept"))
    await asyncio.gather(*waiting)
    holding, release = threading.Event(), threading.Event()

    def hold(connection):
        holding.set()
        assert release.wait(10)

    gate = asyncio.ensure_future(bench.writer.submit(hold))
    await asyncio.get_running_loop().run_in_executor(None, holding.wait, 10)
    left = asyncio.ensure_future(bench.put("left"))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    release.set()
    await gate
    await bench.put("last")
    assert bench.stored() == {"kept", "last"}
