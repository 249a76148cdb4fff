"""SIGTERM to a real issuer: nothing new begins, what is in flight may finish, the rest ends cleanly."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.journey.programs import programs
from tests.journey.shop import open_shop, set_up

GRACE = 4.0
"""Seconds for payments in flight. One payment takes a tenth of one on an idle machine."""


async def test_what_is_in_flight_may_finish_and_nothing_new_begins(tmp_path: Path) -> None:
    with programs(tmp_path) as them:
        url, seeded = set_up(them, f"stop_grace = {GRACE}\n")
        issuer = them.start("issuer", "issuer-server", "run")
        issuer.expect("listens on")
        async with open_shop(url, seeded) as shop:
            finished, left = await shop.ring(), await shop.ring()
            stopping = asyncio.create_task(asyncio.to_thread(issuer.stop))
            await asyncio.to_thread(issuer.expect, "no new payments, 2 in flight")
            status, problem, headers = await shop.charge()
            assert (status, problem["code"], headers["Retry-After"]) == (503, "issuer_stopping", "5")
            assert (await shop.call("GET", "/readyz"))[0] == 503
            assert (await shop.call("GET", "/healthz"))[0] == 200
            assert (await shop.finish(finished))["outcome"] == "completed"
            told = await shop.phone.heard("result", left)
            assert (told["outcome"], told["reason"]) == ("not_settled", "issuer_restarted")
            assert await shop.phone.closed() == 1001, "going away, and not a fault"
            assert await stopping == 0
        assert '"message": "stopped"' in issuer.output
        with closing(sqlite3.connect(tmp_path / "issuer-data" / "issuer.db")) as database:
            rows = set(database.execute("SELECT id, state, reason FROM payments"))
        assert rows == {
            (finished, "completed", None),
            (left, "not_settled", "issuer_restarted"),
        }
        log = [json.loads(line) for line in issuer.output.splitlines() if line.startswith("{")]
        assert [line for line in log if line["level"] == "error"] == []
