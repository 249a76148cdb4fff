"""Webhook secrets lie sealed: no file of the database tells one, nor one that lay there in clear before."""

from __future__ import annotations

import base64
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from issuer_server import administration
from issuer_server.key_custody import key_rotation
from issuer_server.key_custody.key_opening import open_keys, prepare_keys
from issuer_server.key_custody.key_store import HmacKey, KeyPurpose, KeyStoreError, MacVersions
from issuer_server.key_custody.secret_seal import NONCE_SIZE, SecretSeal
from issuer_server.storage.key_records import SealedSecret
from issuer_server.storage.migrations import migrations
from issuer_server.storage.sqlite import SqliteStorage
from issuer_server.storage.sqlite.connection import connect, migrate
from issuer_server.webhooks.messages import SECRET_PREFIX
from protocol.identifiers import MerchantId, mint
from tests.contracts.world import digest
from tests.unit.issuer_bench import NOON
from tests.unit.issuer_house import settings

BEFORE_SEALING = 4
"""The last migration under which secrets lay in clear."""
NEVER_SEEN = [os.urandom(32) for _ in range(5)]


def on_disk(folder: Path) -> bytes:
    """The database, its log, and everything else beside them, but not the keys."""
    return b"".join(path.read_bytes() for path in folder.glob("issuer.db*"))


KEYS_OF_THEN = ("signing.seed", "pan-index.key", "pin-pepper.key")


def old_database(folder: Path, *, keys: tuple[str, ...] = KEYS_OF_THEN):
    """A data directory as the version before left it: secrets in use, replaced and removed, all in clear."""
    (folder / "keys").mkdir(mode=0o700)
    for name in keys:
        (folder / "keys" / name).write_bytes(os.urandom(32))
        (folder / "keys" / name).chmod(0o600)
    connection = connect(folder / "issuer.db")
    connection.execute("PRAGMA secure_delete = OFF")  # Debian's SQLite has it on, others have not
    migrate(connection, migrations("sqlite")[:BEFORE_SEALING])
    merchant = MerchantId(mint("mer", bytes(16)))
    connection.execute(
        "INSERT INTO merchants (id, name, key_digest, created_ms) VALUES (?, 'Cafe', ?, 1)",
        (merchant, digest("key")),
    )
    add = (
        "INSERT INTO webhook_endpoints (id, merchant_id, url, secret, created_ms)"
        " VALUES (?, ?, 'https://a.example', ?, 1)"
    )
    for number, name in enumerate(("whe_one", "whe_two", "whe_gone")):
        connection.execute(add, (name, merchant, NEVER_SEEN[number]))
    replace = (
        "UPDATE webhook_endpoints SET previous_secret = secret, previous_until_ms = 9, secret = ?"
        " WHERE id = 'whe_two'"
    )
    connection.execute(replace, (NEVER_SEEN[3],))
    connection.execute(replace, (NEVER_SEEN[4],))
    connection.execute("DELETE FROM webhook_endpoints WHERE id = 'whe_gone'")
    connection.close()


async def prepared(folder: Path, make: bool = False):
    storage = await SqliteStorage.open(folder / "issuer.db")
    try:
        ring = await prepare_keys(settings(folder), storage.keys, os.urandom, NOON, make=make)
        return ring, await storage.keys.stored_secrets()
    finally:
        await storage.close()


async def test_secrets_of_before_are_sealed_at_the_start_and_leave_the_file(tmp_path):
    old_database(tmp_path)
    there = [secret in on_disk(tmp_path) for secret in NEVER_SEEN]
    assert there.count(True) >= 4, "the test would prove nothing"
    ring, stored = await prepared(tmp_path)
    assert not any(secret in on_disk(tmp_path) for secret in NEVER_SEEN)
    opened = {}
    for each in stored:
        opened[each.endpoint_id] = ring.seal.open(_sealed(each.version, each.secret), each.endpoint_id)
    assert opened == {"whe_one": NEVER_SEEN[0], "whe_two": NEVER_SEEN[4]}
    (two,) = (each for each in stored if each.previous is not None)
    assert ring.seal.open(_sealed(two.previous_version, two.previous), "whe_two") == NEVER_SEEN[3]
    assert (await prepared(tmp_path))[1] == stored, "nothing to do the next time"


async def test_a_start_that_dies_on_the_way_is_made_good_by_the_next(tmp_path, monkeypatch):
    old_database(tmp_path)

    async def power_cut(*_):
        raise KeyboardInterrupt

    for where in (
        "issuer_server.key_custody.key_opening.seal_all",
        "issuer_server.storage.sqlite.keys._overwrite",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, power_cut if "seal_all" in where else _cut_off)
            with pytest.raises(KeyboardInterrupt):
                await prepared(tmp_path)
    await prepared(tmp_path)
    assert not any(secret in on_disk(tmp_path) for secret in NEVER_SEEN)


def _cut_off(_):
    raise KeyboardInterrupt


async def test_a_new_database_never_holds_a_secret_in_clear_also_not_in_its_dump(tmp_path):
    chosen = settings(tmp_path)
    storage = await SqliteStorage.open(chosen.database)
    ring = await prepare_keys(chosen, storage.keys, os.urandom, NOON, make=True)
    merchant = (await administration.add_merchant(storage, "Cafe", os.urandom, NOON)).id
    added = await administration.add_webhook(
        storage, merchant, "https://a.example/x", ring.seal, os.urandom, NOON
    )
    told = [added.secret]
    told.append(
        await administration.rotate_webhook_secret(storage, added.id, ring.seal, os.urandom, NOON, 3600.0)
    )
    await key_rotation.rotate(ring, KeyPurpose.WEBHOOK_SEAL, os.urandom, "hanako", NOON)
    files = on_disk(tmp_path)
    await storage.close()
    with closing(sqlite3.connect(chosen.database)) as database:
        dump = "\n".join(database.iterdump()).lower()
    for text in told:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX))
        assert secret not in files
        assert secret.hex() not in dump
        assert text.lower() not in dump
    keys = [path.read_bytes() for path in (tmp_path / "keys").iterdir()]
    assert not any(key in files or key.hex() in dump for key in keys)


async def test_a_database_that_needs_a_key_which_is_lost_gets_no_new_one(tmp_path):
    old_database(tmp_path, keys=("signing.seed", "pin-pepper.key"))
    with pytest.raises(KeyStoreError, match="pan-index key is missing"):
        await prepared(tmp_path)
    ring, _ = await prepared(tmp_path, make=True)  # nothing was made with it yet: `init` makes it
    assert ring.active(KeyPurpose.PAN_INDEX) == 1
    (tmp_path / "keys" / "pan-index.key").unlink()
    for make in (False, True):
        with pytest.raises(KeyStoreError, match="restore it from its backup"):
            await prepared(tmp_path, make)


async def test_a_key_that_is_not_this_databases_is_noticed(tmp_path):
    old_database(tmp_path)
    await prepared(tmp_path)
    for purpose, name in ((KeyPurpose.PIN_PEPPER, "pin-pepper.key"), (KeyPurpose.SIGNING, "signing.seed")):
        right = (tmp_path / "keys" / name).read_bytes()
        (tmp_path / "keys" / name).write_bytes(os.urandom(32))
        with pytest.raises(KeyStoreError, match=f"the {purpose} key is not the one") as refusal:
            await prepared(tmp_path)
        assert "same backup" in str(refusal.value)
        (tmp_path / "keys" / name).write_bytes(right)
    storage = await SqliteStorage.open_beside_server(tmp_path / "issuer.db")
    await open_keys(settings(tmp_path), storage.keys, os.urandom)
    await storage.close()


def test_a_seal_opens_for_its_row_under_its_version_unchanged():
    seal = SecretSeal(MacVersions(1, {1: HmacKey(b"k" * 32), 2: HmacKey(b"l" * 32)}))
    sealed = seal.seal(b"a secret", "whe_one", bytes(NONCE_SIZE))
    assert seal.open(sealed, "whe_one") == b"a secret"
    broken = bytearray(sealed.sealed)
    broken[-1] ^= 1
    for wrong, owner in (
        (sealed, "whe_two"),
        (_sealed(2, sealed.sealed), "whe_one"),
        (_sealed(1, bytes(broken)), "whe_one"),
        (_sealed(1, b""), "whe_one"),
    ):
        with pytest.raises(KeyStoreError, match="does not open") as refusal:
            seal.open(wrong, owner)
        assert "a secret" not in str(refusal.value)
        assert refusal.value.__cause__ is None
    with pytest.raises(KeyStoreError, match="not in use"):
        seal.open(_sealed(3, sealed.sealed), "whe_one")


def _sealed(version, secret):
    return SealedSecret(version, secret)
