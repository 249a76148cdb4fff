"""Backups taken by the real command while payments run, restored by the real command, and paid on."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from pathlib import Path
from typing import Any

from tests.journey.programs import Program, Programs, programs
from tests.journey.shop import Shop, open_shop, set_up

BACKUPS = 4
PAYMENTS_AFTER = 3


def start(them: Programs) -> Program:
    issuer = them.start("issuer", "issuer-server", "run")
    issuer.expect("listens on")
    return issuer


async def pay_on(shop: Shop, enough: asyncio.Event) -> list[str]:
    """One payment after the other, every third declined, until told."""
    paid: list[str] = []
    while not enough.is_set():
        if len(paid) % 3 == 2:
            declined = await shop.ring()
            await shop.phone.say("decline", declined, reason="declined")
            await shop.call("GET", f"/v1/payments/{declined}?wait=10")
        paid.append(await shop.pay())
    return paid


def completed(database: Path) -> set[str]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return {row[0] for row in connection.execute("SELECT id FROM payments WHERE state = 'completed'")}
    finally:
        connection.close()


async def test_every_backup_is_a_moment_of_the_running_issuer_and_one_is_restored(tmp_path: Path) -> None:
    database = tmp_path / "issuer-data" / "issuer.db"
    with programs(tmp_path) as them:
        url, seeded = set_up(them, "[limits]\ncalls_to_a_phone_per_minute = 0\n")
        issuer = start(them)
        async with open_shop(url, seeded) as shop:
            enough = asyncio.Event()
            paying = asyncio.create_task(pay_on(shop, enough))
            told: list[Any] = []
            for number in range(BACKUPS):
                words = ("issuer-server", "backup", str(tmp_path / f"{number}.db"), "--json")
                told.append(json.loads(await asyncio.to_thread(them.run, *words)))
                assert not paying.done(), "a backup must not stop a payment"
            enough.set()
            paid = await paying
            assert completed(database) == set(paid)
            copies = [completed(tmp_path / f"{number}.db") for number in range(BACKUPS)]
            for earlier, later in itertools.pairwise(copies):
                assert earlier <= later, "time goes on from backup to backup"
            assert copies[-1] <= set(paid)
            for number, known in enumerate(told):
                assert known["transfers"] >= len(copies[number])
            # Committed before the last backup began, so in it: what had been answered by then.
            lost = [await shop.pay() for _ in range(PAYMENTS_AFTER)]
            assert await asyncio.to_thread(issuer.stop) == 0
        last = tmp_path / f"{BACKUPS - 1}.db"
        restored = json.loads(them.run("issuer-server", "restore", str(last), "--json"))
        former = Path(restored["former_database"])
        former = former if former.is_absolute() else tmp_path / former
        assert set(lost) <= completed(former)
        assert not set(lost) & completed(database)
        them.run("issuer-server", "doctor")
        issuer = start(them)
        balances = json.loads(them.run("issuer-server", "balance", "--json"))
        assert sum(row["minor"] for row in balances if row["currency"] == "JPY") == 0
        them.run("issuer-server", "doctor")
        assert issuer.stop() == 0


def test_a_server_that_was_killed_is_backed_up_and_restored(tmp_path: Path) -> None:
    with programs(tmp_path) as them:
        set_up(them)
        issuer = start(them)
        issuer.kill()
        before = json.loads(them.run("issuer-server", "balance", "--json"))
        them.run("issuer-server", "backup", str(tmp_path / "copy.db"))
        them.run("issuer-server", "restore", str(tmp_path / "copy.db"))
        assert json.loads(them.run("issuer-server", "balance", "--json")) == before
        start(them)
        assert "another issuer-server runs" in them.run(
            "issuer-server", "restore", str(tmp_path / "copy.db"), status=1
        )
