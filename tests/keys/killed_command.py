"""`issuer-server …`, dead by SIGKILL at a named point: `killed_command.py POINT word…`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from issuer_server.cli import main
from issuer_server.key_custody import key_opening, key_rotation
from issuer_server.key_custody.file_keys import FileKeyStore
from issuer_server.key_custody.key_store import KeyCabinet
from issuer_server.storage.sqlite.keys import SqliteKeyTable


def die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(holder: Any, name: str) -> None:
    setattr(holder, name, die)


def _after(holder: Any, name: str) -> None:
    real = getattr(holder, name)

    async def then_die(*arguments: Any, **named: Any) -> Any:
        await real(*arguments, **named)
        die()

    setattr(holder, name, then_die)


POINTS: dict[str, Callable[[], None]] = {
    # the new key is written beside its place, and not there yet
    "half_a_key": lambda: _before(FileKeyStore, "_give_to_owner"),
    "key_made": lambda: _before(SqliteKeyTable, "activate"),
    "activated": lambda: _after(SqliteKeyTable, "activate"),
    "secrets_not_sealed_anew": lambda: _before(key_rotation, "seal_all"),
    "secrets_read": lambda: _before(SqliteKeyTable, "seal_anew"),
    "retired": lambda: _before(KeyCabinet, "destroy"),
}
assert key_opening.seal_all is key_rotation.seal_all

if __name__ == "__main__":
    POINTS[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
