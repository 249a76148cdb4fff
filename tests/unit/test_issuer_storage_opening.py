"""Opening the file: settings, migrations, one server, the administration beside it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading

import pytest

from issuer_server.storage.migrations import Migration, migrations
from issuer_server.storage.port import StorageError
from issuer_server.storage.sqlite import SqliteStorage
from issuer_server.storage.sqlite.connection import APPLICATION_ID, connect, migrate, statements

STEPS = migrations("sqlite")


def version(path):
    connection = sqlite3.connect(path)
    found = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")
    ]
    connection.close()
    return found


async def test_a_new_database_is_durable_private_and_at_the_newest_version(tmp_path):
    path = tmp_path / "db"
    storage = await SqliteStorage.open(path)
    settings = {}
    for name in ("journal_mode", "synchronous", "foreign_keys"):
        settings[name] = await storage._writer.submit(
            lambda connection, name=name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        )
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    await storage.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert version(path) == [len(STEPS), APPLICATION_ID]


async def test_opening_again_changes_nothing(tmp_path):
    path = tmp_path / "db"
    for _ in range(2):
        storage = await SqliteStorage.open(path)
        await storage.close()
    assert version(path) == [len(STEPS), APPLICATION_ID]


async def test_a_database_newer_than_the_code_is_refused(tmp_path):
    path = tmp_path / "db"
    await (await SqliteStorage.open(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for opening in (SqliteStorage.open, SqliteStorage.open_beside_server):
        with pytest.raises(StorageError, match="newer"):
            await opening(path)
    assert version(path)[0] == 99


async def test_another_programs_database_is_refused_untouched(tmp_path):
    path = tmp_path / "db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    with pytest.raises(StorageError, match="another program"):
        await SqliteStorage.open(path)
    assert version(path) == [0, 0]


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "db"
    path.write_bytes(b"a letter to my bank" * 100)
    with pytest.raises(StorageError, match="not a database"):
        await SqliteStorage.open(path)


async def test_a_missing_directory_and_a_missing_database_say_what_to_do(tmp_path):
    with pytest.raises(StorageError, match="cannot open"):
        await SqliteStorage.open(tmp_path / "nowhere" / "db")
    with pytest.raises(StorageError, match="init"):
        await SqliteStorage.open_beside_server(tmp_path / "db")
    assert not (tmp_path / "db").exists()


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path):
    connection = connect(tmp_path / "db")
    migrate(connection, STEPS)
    broken = Migration(len(STEPS) + 1, "broken", "CREATE TABLE half (a);\nCREATE TABLE half (a);\n")
    with pytest.raises(StorageError):
        migrate(connection, (*STEPS, broken))
    assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchone() is None
    connection.close()
    assert version(tmp_path / "db")[0] == len(STEPS)


def test_a_later_migration_runs_once_and_keeps_the_data(tmp_path):
    connection = connect(tmp_path / "db")
    migrate(connection, STEPS)
    connection.execute("INSERT INTO cardholders (id, name, phone, created_ms) VALUES ('c', 'H', '+81123', 1)")
    more = (*STEPS, Migration(len(STEPS) + 1, "more", "ALTER TABLE cardholders ADD COLUMN nickname TEXT;\n"))
    for _ in range(2):
        migrate(connection, more)
    assert connection.execute("SELECT name, nickname FROM cardholders").fetchone() == ("H", None)
    connection.close()


def test_of_two_that_migrate_at_once_one_does_it(tmp_path):
    connections = [connect(tmp_path / "db") for _ in range(4)]
    failures = []

    def run(connection):
        try:
            migrate(connection, STEPS)
        except StorageError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    assert failures == []
    assert version(tmp_path / "db") == [len(STEPS), APPLICATION_ID]


def test_a_script_is_split_at_its_statements_triggers_whole():
    (step,) = STEPS[:1]
    parts = list(statements(step.sql))
    assert sum("CREATE TRIGGER" in part for part in parts) == step.sql.count("CREATE TRIGGER")
    with pytest.raises(StorageError, match="middle"):
        list(statements("SELECT 1;\nSELECT"))


async def test_one_database_has_one_server(tmp_path):
    path = tmp_path / "db"
    first = await SqliteStorage.open(path)
    with pytest.raises(StorageError, match="another issuer-server"):
        await SqliteStorage.open(path)
    await first.close()
    second = await SqliteStorage.open(path)
    await second.close()


async def test_the_administration_works_beside_the_server_and_waits_for_its_turn(tmp_path):
    from tests.contracts.world import World

    server = await SqliteStorage.open(tmp_path / "db")
    world = World(server)
    await world.populate()
    beside = await SqliteStorage.open_beside_server(tmp_path / "db")
    desk = World(beside, merchant=world.merchant, cardholder=world.cardholder)
    await asyncio.gather(
        *(world.create(world.yen(1)) for _ in range(50)),
        *(beside.fund(desk.cardholder, desk.yen(1), 1.0) for _ in range(50)),
    )
    assert await world.balance(world.cardholder) == 10_050
    assert len(await beside.payments(world.merchant, None, 100)) == 50
    await beside.close()
    await server.close()
