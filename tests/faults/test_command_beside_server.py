"""Another process opens and closes the database beside the server: nothing that is committed is lost."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from issuer_server.storage.records import NewCardholder
from issuer_server.storage.sqlite import SqliteStorage
from protocol.identifiers import CardholderId, mint, parse_phone_number

COUNT = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM cardholders").fetchone()[0])
connection.close()  # the last one to leave deletes the write-ahead log
"""


def count_elsewhere(database: Path) -> int:
    """The number of cardholders, as a process of its own reads it."""
    command = [sys.executable, "-c", COUNT, str(database)]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)


async def test_the_servers_log_is_not_deleted_under_it(tmp_path: Path) -> None:
    database = tmp_path / "issuer.db"
    storage = await SqliteStorage.open(database)
    try:
        assert count_elsewhere(database) == 0
        identifier = CardholderId(mint("chd", bytes(16)))
        phone = parse_phone_number("+81 90 1234 5678")
        await storage.add_cardholder(NewCardholder(identifier, "Hanako Yamada", phone), time.time())
        assert count_elsewhere(database) == 1
    finally:
        await storage.close()
    assert count_elsewhere(database) == 1
