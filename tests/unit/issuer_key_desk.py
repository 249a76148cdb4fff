"""The operator's side of a house: keys rotated and retired on a second connection, as the commands do."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from issuer_server.key_custody import key_rotation
from issuer_server.key_custody.key_opening import open_keys
from issuer_server.key_custody.key_ring import KeyRing
from issuer_server.key_custody.key_rotation import Rotated
from issuer_server.key_custody.key_store import KeyPurpose
from issuer_server.storage.sqlite import SqliteStorage
from tests.unit.issuer_bench import NOON
from tests.unit.issuer_house import settings

OPERATOR = "hanako"


class KeyDesk:
    """Every call reads the keys anew, as a command does."""

    def __init__(self, folder: Path, storage: SqliteStorage) -> None:
        self.folder = folder
        self.storage = storage

    async def ring(self) -> KeyRing:
        return await open_keys(settings(self.folder), self.storage.keys, os.urandom)

    async def rotate(self, *purposes: KeyPurpose) -> list[Rotated]:
        done = []
        for purpose in purposes or tuple(KeyPurpose):
            done.append(await key_rotation.rotate(await self.ring(), purpose, os.urandom, OPERATOR, NOON))
        return done

    async def retire(self, purpose: KeyPurpose, version: int = 1, *, abandon: bool = False) -> int:
        return await key_rotation.retire(
            await self.ring(), purpose, version, os.urandom, OPERATOR, NOON, abandon=abandon
        )

    async def uses(self, purpose: KeyPurpose, version: int) -> int:
        return (await self.storage.keys.uses(NOON)).get((purpose, version), 0)

    def files(self) -> Sequence[str]:
        return sorted(path.name for path in (self.folder / "keys").iterdir())


@asynccontextmanager
async def key_desk(folder: Path) -> AsyncIterator[KeyDesk]:
    """Beside a running server, or without one."""
    storage = await SqliteStorage.open_beside_server(folder / "issuer.db")
    try:
        yield KeyDesk(folder, storage)
    finally:
        await storage.close()
