"""A data directory full of people, a merchant that hears webhooks, and the books as they really are."""

from __future__ import annotations

import asyncio
import io
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from issuer_server.cli import main
from issuer_server.key_custody.file_keys import load_keys
from issuer_server.storage.sqlite import SqliteStorage
from protocol.identifiers import PhoneNumber, PublicKey
from protocol.money import Money, currency
from protocol.signing import SigningKey
from tests.crash.people import Cardholder, Seen, Shop
from tests.crash.server_process import ServerProcess
from tests.journey.programs import free_port
from tests.unit.issuer_bench import ISSUER, PIN, add_card, add_cardholder, enrol_handset, enrol_reader

FUNDS = 1_000_000
"""Yen of each cardholder."""


@dataclass
class Ear:
    """The merchant's webhook endpoint: what was told, by message id."""

    told: dict[str, tuple[str, str]] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    traces: list[bytes] = field(default_factory=list)

    async def trace(self, request: web.Request) -> web.Response:
        """An OTLP collector's answer."""
        self.traces.append(await request.read())
        return web.Response(body=b"", content_type="application/x-protobuf")

    async def hear(self, request: web.Request) -> web.Response:
        """Every fifth message is refused the first time, so that there are repeats without any crash."""
        message_id = request.headers["webhook-id"]
        body = await request.text()
        self.heard.append(repr(sorted(request.headers.items())).encode() + body.encode())
        data = json.loads(body)["data"]
        refund = data.get("refund")
        payment = data.get("payment", data)
        word = (refund["id"] if refund else payment["id"], payment["status"])
        if self.told.setdefault(message_id, word) != word:
            self.wrong.append(f"{message_id}: {word} after {self.told[message_id]}")
        self.times[message_id] += 1
        refuse = self.times[message_id] == 1 and message_id.endswith(("a", "b", "c", "d", "e", "f"))
        return web.Response(status=500 if refuse else 204)


@dataclass
class Town:
    """Everybody, the issuer's process and what was seen."""

    data: Path
    server: ServerProcess
    http: aiohttp.ClientSession
    cardholders: list[Cardholder]
    shops: list[Shop]
    seen: Seen
    ear: Ear
    closing_time: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    living: list[asyncio.Task[None]] = field(default_factory=list)

    def open(self) -> None:
        """Phones connect, shops charge."""
        self.living = [asyncio.create_task(each.run()) for each in self.cardholders]
        self.tasks = [asyncio.create_task(each.run(self.closing_time)) for each in self.shops]

    async def close(self) -> None:
        """Shops bring what they began to its end; fails where one met something that must not be."""
        self.closing_time.set()
        await asyncio.gather(*self.tasks)

    async def send_home(self) -> None:
        """Phones off."""
        for task in (*self.tasks, *self.living):
            task.cancel()
        await asyncio.gather(*self.tasks, *self.living, return_exceptions=True)

    def check_alive(self) -> None:
        """Nobody gave up."""
        for task in (*self.tasks, *self.living):
            if task.done() and not self.closing_time.is_set():
                task.result()
                raise AssertionError("somebody went home early")

    def outbox(self) -> int:
        """Webhooks that have not arrived."""
        with closing(sqlite3.connect(self.data / "issuer.db", timeout=30)) as raw:
            found: int = raw.execute("SELECT count(*) FROM webhook_messages").fetchone()[0]
        return found

    def books(self) -> Books:
        """Read now, beside whoever else has the file open."""
        return read_books(self.data / "issuer.db")


@dataclass
class Books:
    """What the database holds."""

    states: dict[str, str]
    created: dict[str, float]
    keys: dict[str, str]
    transfers: Counter[str]
    refunds: set[str]
    held: int
    holds: set[str]
    problems: list[str]

    @property
    def in_flight(self) -> set[str]:
        return {key for key, state in self.states.items() if state not in ("completed", "not_settled")}


def read_books(path: Path) -> Books:
    """All of it, with the sums added up anew."""
    with closing(sqlite3.connect(path, timeout=30)) as raw:
        raw.execute("BEGIN")
        problems = [
            f"{name}: {found}"
            for name, query in {
                "the balances do not add up to nothing": "SELECT currency, sum(balance) FROM accounts"
                " GROUP BY currency HAVING sum(balance) <> 0",
                "a balance is not the fold of its transfers": "SELECT id FROM accounts a WHERE balance <>"
                " (SELECT coalesce(sum(amount), 0) FROM transfers WHERE credit_account = a.id)"
                " - (SELECT coalesce(sum(amount), 0) FROM transfers WHERE debit_account = a.id)",
                "what is held is not the sum of holds": "SELECT id FROM accounts a WHERE held <>"
                " (SELECT coalesce(sum(amount), 0) FROM holds WHERE account_id = a.id)",
                "below zero": "SELECT id FROM accounts WHERE kind = 'cardholder' AND balance < held",
                "a hold of an ended payment": "SELECT payment_id FROM holds h"
                " JOIN payments p ON p.id = h.payment_id"
                " WHERE p.state IN ('completed', 'not_settled')",
                "a refund and its transfer": "SELECT r.id FROM refunds r LEFT JOIN transfers t"
                " ON t.refund_id = r.id GROUP BY r.id HAVING count(t.seq) <> 1",
            }.items()
            if (found := raw.execute(query).fetchall())
        ]
        if (verdict := raw.execute("PRAGMA quick_check").fetchall()) != [("ok",)]:
            problems.append(f"quick_check: {verdict}")
        rows = raw.execute("SELECT id, state, created_ms, idempotency_key FROM payments").fetchall()
        transfers = raw.execute("SELECT payment_id FROM transfers WHERE kind = 'payment'").fetchall()
        return Books(
            states={row[0]: row[1] for row in rows},
            created={row[0]: row[2] / 1000 for row in rows},
            keys={row[3]: row[0] for row in rows},
            transfers=Counter(payment for (payment,) in transfers),
            refunds={refund for (refund,) in raw.execute("SELECT id FROM refunds")},
            held=raw.execute("SELECT coalesce(sum(held), 0) FROM accounts").fetchone()[0],
            holds={payment for (payment,) in raw.execute("SELECT payment_id FROM holds")},
            problems=problems,
        )


@asynccontextmanager
async def town(
    data: Path,
    people: int,
    seed: int,
    *,
    log: Path | None = None,
    pin: str = PIN,
    more_settings: str = "",
    webhooks: bool = True,
) -> AsyncIterator[Town]:
    """So many cardholders, each with a shop of their own that charges them; nothing runs yet.

    The issuer's log is beside its data directory, or where `log` says. All have the same PIN.
    """
    chance = random.Random(seed)
    ear = Ear()
    app = web.Application()
    app.router.add_post("/webhooks", ear.hear)
    app.router.add_post("/v1/traces", ear.trace)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    ear_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    more_settings = more_settings.replace("EAR", ear_url)
    server = ServerProcess(data, "", log or data.with_suffix(".log"))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as http:
        try:
            made = await _populate(data, people, chance, ear_url, pin, more_settings, webhooks)
            server.url = made.url
            seen = Seen()
            cardholders = [
                Cardholder(made.url, http, token, phone, pan, key_seed, made.issuer_key, seen)
                for token, phone, pan, key_seed in made.people
            ]
            for each in cardholders:
                each.pin = pin
            shops = [
                Shop(made.url, http, made.api_key, f"s{index}", each, seen, random.Random(chance.random()))
                for index, each in enumerate(cardholders)
            ]
            here = Town(data, server, http, cardholders, shops, seen, ear)
            try:
                yield here
            finally:
                await here.send_home()
        finally:
            server.close()
            await runner.cleanup()


@dataclass
class _Populated:
    url: str
    api_key: str
    issuer_key: PublicKey
    people: list[tuple[str, PhoneNumber, str, bytes]]


async def command(data: Path, *words: str) -> dict[str, str]:
    """What `issuer-server WORDS --json` prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        status = await asyncio.to_thread(main, [*words, "--data", str(data), "--json"])
    assert status == 0, words
    found: dict[str, str] = json.loads(printed.getvalue())
    return found


async def _populate(
    data: Path,
    people: int,
    chance: random.Random,
    ear_url: str,
    pin: str,
    more_settings: str,
    webhooks: bool,
) -> _Populated:
    port = free_port()
    data.mkdir()  # noqa: ASYNC240 - nothing runs yet that could be held up
    (data / "issuer.toml").write_text(
        f'issuer_id = "{ISSUER}"\ndatabase = "issuer.db"\nkeys = "keys"\nport = {port}\nstop_grace = 1\n'
        "webhooks_to_private_addresses = true\n"
        "[limits]\nmerchant_requests_per_second = 0\ncalls_to_a_phone_per_minute = 0\n"
        "calls_to_a_phone_at_once = 0\n" + more_settings
    )
    await command(data, "init")
    merchant = await command(data, "merchant", "add", "--name", "Cafe Relay")
    await command(
        data, "merchant", "webhook", "add", "--merchant", merchant["id"], "--url", ear_url + "/webhooks"
    )
    keys = load_keys(data / "keys")
    storage = await SqliteStorage.open(data / "issuer.db")
    try:

        async def add(index: int) -> tuple[str, PhoneNumber, str, bytes]:
            token, phone = f"brt_{index}", PhoneNumber(f"+8190{index:08d}")
            pan, key_seed = f"{chance.randrange(10**15, 10**16)}", chance.randbytes(32)
            cardholder = await add_cardholder(storage, phone)
            await add_card(storage, keys.cards, cardholder, pan, pin=pin, tries=15)
            await storage.fund(cardholder, Money(FUNDS, currency("JPY")), time.time())
            await enrol_handset(storage, cardholder, token)
            await enrol_reader(storage, cardholder, SigningKey.from_seed(key_seed))
            return token, phone, pan, key_seed

        added = await asyncio.gather(*(add(index) for index in range(people)))
    finally:
        await storage.close()
    return _Populated(f"http://127.0.0.1:{port}", merchant["api_key"], keys.signing.public_key, list(added))
