"""One fixture gives the storage under contract; another database joins by its name and its way to open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from issuer_server.storage.sqlite import SqliteStorage
from tests.contracts.world import World


async def _open_sqlite(folder: Path) -> SqliteStorage:
    return await SqliteStorage.open(folder / "issuer.db")


OPENERS: dict[str, Callable[[Path], Awaitable[SqliteStorage]]] = {"sqlite": _open_sqlite}


@pytest.fixture(params=sorted(OPENERS))
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    """An empty storage, closed after the test."""
    opened = await OPENERS[request.param](tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def world(storage: SqliteStorage) -> World:
    """A storage with people in it."""
    world = World(storage)
    await world.populate()
    return world
