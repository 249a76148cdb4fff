"""kill -9 in the middle of commits: what was acknowledged is stored, once, and the books balance."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from issuer_server.ledger import check_trial_balance
from issuer_server.payment import PaymentState
from issuer_server.storage.sqlite import SqliteStorage
from tests.contracts.world import World

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20


async def pay_without_end(path: Path, merchant: str, cardholder: str, card: str) -> None:
    """Runs in the process that will be killed: every payment acknowledged by storage is a line on stdout."""
    storage = await SqliteStorage.open(path)
    world = World(storage, merchant=merchant, cardholder=cardholder, card=card)
    await storage.sweep(world.now)

    async def pay() -> None:
        while True:
            payment = await world.create(world.yen(1))
            payment = await world.advance(payment, PaymentState.CALLING)
            await storage.settle(payment.id, payment.state, world.card, world.now)
            os.write(1, f"{payment.id}\n".encode())

    await asyncio.gather(*(pay() for _ in range(16)))


def run_and_kill(path: Path, world: World, after: int) -> list[str]:
    """The payments a child acknowledged; it is killed while it goes on after `after` of them."""
    child = subprocess.Popen(
        [sys.executable, __file__, str(path), world.merchant, world.cardholder, world.card],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with child:
        lines = [child.stdout.readline() for _ in range(after)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    return [line.strip() for line in lines if line.endswith("\n")]


async def test_what_was_acknowledged_survives_twenty_kills(tmp_path):
    path = tmp_path / "db"
    storage = await SqliteStorage.open(path)
    world = World(storage)
    await world.populate()
    await storage.fund(world.cardholder, world.yen(10_000_000), world.now)
    await storage.close()
    chance = random.Random(9)
    acknowledged: list[str] = []
    loop = asyncio.get_running_loop()
    for _ in range(KILLS):
        acknowledged += await loop.run_in_executor(None, run_and_kill, path, world, chance.randint(1, 60))

    storage = await SqliteStorage.open(path)  # the killed server's lock is gone with it
    in_flight = await storage.sweep(world.now + 1)
    balances = await storage.balances()
    paid = await World(storage).balance(world.merchant)
    await storage.close()

    raw = sqlite3.connect(path)
    completed = {key for (key,) in raw.execute("SELECT id FROM payments WHERE state = 'completed'")}
    transfers = [key for (key,) in raw.execute("SELECT payment_id FROM transfers WHERE kind = 'payment'")]
    assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()
    assert len(acknowledged) >= KILLS
    assert set(acknowledged) <= completed
    assert sorted(transfers) == sorted(completed)
    assert completed.isdisjoint(payment.id for payment in in_flight)
    assert paid == len(completed)
    check_trial_balance(balances)


if __name__ == "__main__":
    asyncio.run(pay_without_end(Path(sys.argv[1]), *sys.argv[2:]))
