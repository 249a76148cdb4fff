"""One thread, one SQLite connection: operations that wait together are committed together.

A commit with `synchronous=FULL` waits for the disk, and that wait costs the same for one operation as for
two hundred. So the thread takes everything queued into one transaction, a savepoint for each operation so
that a failing one rolls back alone, and wakes the event loop once a batch. No caller hears of success
before COMMIT has returned.

Reads have a worker of their own (`Batching.READ`): in WAL mode they never wait for the writer, nor a caller
for a commit it has no part in; and the event loop never touches the disk.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from issuer_server.operations.observing import NOBODY, Observer
from issuer_server.storage.port import StorageError
from issuer_server.storage.sqlite.connection import storage_error

_log = logging.getLogger(__name__)

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

LARGEST_BATCH = 256
"""Bounds how long the first operation of a batch waits for the others."""


class Batching(Enum):
    """What the transaction of a batch is for."""

    READ = "BEGIN DEFERRED"
    WRITE = "BEGIN IMMEDIATE"
    """Takes the write lock at once: a batch waits for the administration command here or nowhere."""


class _Entry:
    """An operation, who waits for it, and what came of it."""

    __slots__ = ("error", "future", "operation", "result")

    def __init__(self, future: asyncio.Future[Any], operation: Operation[Any]) -> None:
        self.future = future
        self.operation = operation
        self.result: Any = None
        self.error: Exception | None = None


class GroupCommit:
    """Runs operations on its own thread; `submit` belongs to the event loop that created it."""

    def __init__(
        self, connection: sqlite3.Connection, batching: Batching, observer: Observer = NOBODY
    ) -> None:
        self._connection = connection
        self._observer = observer
        self._batching = batching
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._closed = False
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._work, name=f"sqlite-{batching.name.lower()}")
        self._thread.start()

    async def submit(self, operation: Operation[T]) -> T:
        """Run an operation in a transaction; returns after the commit, raises StorageError or what it raised.

        A cancelled await leaves open whether the operation took place: it is skipped where it had not begun.
        """
        if self._closed:
            raise StorageError("the database is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Entry(future, operation))
        return await future

    async def close(self) -> None:
        """Run what is queued, then end the thread and close the connection."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._connection.close()

    def _work(self) -> None:
        open_for_more = True
        while open_for_more:
            batch: list[_Entry] = []
            entry = self._queue.get()
            while entry is not None:
                batch.append(entry)
                if len(batch) == LARGEST_BATCH:
                    break
                try:
                    entry = self._queue.get_nowait()
                except queue.Empty:
                    break
            open_for_more = entry is not None
            if batch:
                started = time.perf_counter()
                self._run(batch)
                self._observer.committed(
                    self._batching.name.lower(), len(batch), time.perf_counter() - started
                )
                self._wake_loop(batch)

    def _run(self, batch: list[_Entry]) -> None:
        """All of it or none of it reaches the disk, less the operations that failed on their own."""
        try:
            self._connection.execute(self._batching.value)
            for entry in batch:
                if not entry.future.cancelled():
                    self._run_one(entry)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - if the thread died, its callers would wait for ever
            # What an operation saw in a transaction that never was is no answer either: fail all of them.
            text = str(error if isinstance(error, StorageError) else storage_error(error))
            for entry in batch:
                entry.error = StorageError(text)
            self._roll_back()
            self._say(text)
        else:
            self._say(None)

    def _say(self, trouble: str | None) -> None:
        """Tell the operator what is wrong once, not at every payment, and that it is over."""
        if trouble is not None and trouble != self._trouble:
            _log.error("database: %s", trouble)
        elif trouble is None and self._trouble is not None:
            _log.warning("database: works again; before that: %s", self._trouble)
        self._trouble = trouble

    def _run_one(self, entry: _Entry) -> None:
        self._connection.execute("SAVEPOINT operation")
        try:
            entry.result = entry.operation(self._connection)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the caller who waits
            if not self._connection.in_transaction:
                # SQLite rolled back everything (disk full, I/O error): the other operations are lost as well.
                raise storage_error(error) from None
            self._connection.execute("ROLLBACK TO operation")
            entry.error = storage_error(error) if isinstance(error, sqlite3.Error) else error
        self._connection.execute("RELEASE operation")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                pass  # the next BEGIN says what is wrong, to callers who can act on it

    def _wake_loop(self, batch: list[_Entry]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, batch)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more


def _resolve(batch: list[_Entry]) -> None:
    for entry in batch:
        if entry.future.done():
            continue
        if entry.error is not None:
            entry.future.set_exception(entry.error)
        else:
            entry.future.set_result(entry.result)
