"""A backup is one proved moment of a database in use; a restore puts it back and keeps what it replaces."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from issuer_server.storage.key_records import AuditEntry, Operator
from issuer_server.storage.migrations import migrations
from issuer_server.storage.port import StorageError
from issuer_server.storage.records import NewEnrolmentCode
from issuer_server.storage.sqlite import SqliteStorage
from issuer_server.storage.sqlite.backup import back_up, prove, restore
from issuer_server.storage.sqlite.connection import connect, migrate
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import Digest
from tests.contracts.world import START, World

HANAKO = Operator("hanako", START)
BEFORE_AUDIT_LOG = 4


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    storage = await SqliteStorage.open(tmp_path / "issuer.db")
    world = World(storage)
    await world.populate()
    yield world
    await storage.close()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def damage(path: Path) -> None:
    """Overwrite pages in the middle: the header stays that of a database."""
    with path.open("r+b") as file:
        for page in range(2, 12):
            file.seek(page * 4096)
            file.write(bytes(4096))


async def test_a_copy_of_a_running_database_is_whole_private_and_one_file(
    world: World, tmp_path: Path
) -> None:
    await world.settled()
    waiting = await world.create()
    copied = back_up(tmp_path / "issuer.db", tmp_path / "copy")
    assert copied.figures is not None
    assert (copied.figures.payments, copied.figures.in_flight, copied.size) == (
        2,
        1,
        (tmp_path / "copy").stat().st_size,
    )
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert not {name for name in files(tmp_path) if name.startswith("copy") and name != "copy"}
    await world.settled()  # the server goes on, and the copy stays as it was
    assert prove(tmp_path / "copy").figures == copied.figures
    assert (await world.storage.payment(waiting.id)) == waiting


async def test_a_backup_replaces_nothing_and_leaves_nothing_half(world: World, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    before = files(tmp_path)
    with pytest.raises(StorageError, match="never replaces"):
        back_up(tmp_path / "issuer.db", tmp_path / "there")
    assert (tmp_path / "there").read_text() == "precious"
    with pytest.raises(StorageError, match="cannot write"):
        back_up(tmp_path / "issuer.db", tmp_path / "nowhere" / "copy")
    with pytest.raises(StorageError, match="there is no database"):
        back_up(tmp_path / "none.db", tmp_path / "copy")
    assert files(tmp_path) == before


async def test_a_copy_that_does_not_prove_is_no_backup(world: World, tmp_path: Path) -> None:
    await world.settled()

    def spoil(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TRIGGER balance_moves_by_transfer")
        connection.execute("UPDATE accounts SET balance = balance + 7 WHERE kind = 'merchant'")

    await world.storage._writer.submit(spoil)
    with pytest.raises(StorageError, match=r"the books in .* its entries add up to"):
        back_up(tmp_path / "issuer.db", tmp_path / "copy")
    assert "copy" not in files(tmp_path)


async def test_restored_as_it_was_and_the_former_database_kept(tmp_path: Path) -> None:
    database, copy = tmp_path / "issuer.db", tmp_path / "copy"
    storage = await SqliteStorage.open(database)
    world = World(storage)
    await world.populate()
    first = await world.settled()
    back_up(database, copy)
    lost = await world.settled()
    with pytest.raises(StorageError, match="another issuer-server runs"):
        restore(copy, database, HANAKO, "now")
    await storage.close()
    restored = restore(copy, database, HANAKO, "now")
    assert restored.set_aside == tmp_path / "issuer.db.before-restore-now"
    former = prove(restored.set_aside).figures
    assert former is not None
    assert former.payments == 2
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    storage = await SqliteStorage.open(database)
    try:
        again = await storage.payment(first.id)
        assert again is not None
        assert again.state is first.state
        assert await storage.payment(lost.id) is None
        # It goes back in time with the rest; that it did stands in it.
        assert await storage.keys.audit_log(9) == [AuditEntry("hanako", "restore database", "copy", START)]
    finally:
        await storage.close()
    assert prove(copy).path == copy, "the backup itself is not used up"


async def test_one_time_codes_of_a_backup_do_not_live_again(world: World, tmp_path: Path) -> None:
    code = NewEnrolmentCode(Digest(bytes(32)), EnrolmentKind.HANDSET, world.cardholder, world.now + 86_400)
    await world.storage.add_enrolment_code(code)
    back_up(tmp_path / "issuer.db", tmp_path / "copy")
    (tmp_path / "other").mkdir()
    restored = restore(tmp_path / "copy", tmp_path / "other" / "issuer.db", HANAKO, "now")
    assert (restored.codes_ended, restored.set_aside) == (1, None)


def test_a_backup_from_before_there_was_an_audit_log_can_be_restored(tmp_path: Path) -> None:
    connection = connect(tmp_path / "old")
    migrate(connection, migrations("sqlite")[:BEFORE_AUDIT_LOG])
    connection.close()
    assert restore(tmp_path / "old", tmp_path / "issuer.db", HANAKO, "now").copy.version == BEFORE_AUDIT_LOG


async def test_what_is_no_backup_is_refused_and_nothing_changed(world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    back_up(tmp_path / "issuer.db", copy)
    await world.storage.close()
    before = (tmp_path / "issuer.db").read_bytes()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    sqlite3.connect(tmp_path / "newer").executescript(
        "PRAGMA application_id = 1112697977; PRAGMA user_version = 99; CREATE TABLE a (b)"
    ).connection.close()
    damage(copy)
    for name, words in (
        ("copy", "copy( is damaged|: the database is damaged)"),
        ("text", "text: the file is not a database"),
        ("empty", "is empty"),
        ("newer", "newer"),
        ("none", "there is no database"),
    ):
        with pytest.raises(StorageError, match=words):
            restore(tmp_path / name, tmp_path / "issuer.db", HANAKO, "now")
    assert (tmp_path / "issuer.db").read_bytes() == before
    assert not [name for name in files(tmp_path) if "unfinished" in name or "before" in name]
