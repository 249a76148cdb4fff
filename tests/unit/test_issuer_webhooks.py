"""Webhooks: signed as the specification says, sent to public addresses only, retried, never lost."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from issuer_server import administration
from issuer_server.key_custody.file_keys import create_keys
from issuer_server.key_custody.key_opening import prepare_keys
from issuer_server.service import start
from issuer_server.storage.records import WebhookEndpoint
from issuer_server.storage.sqlite import SqliteStorage
from issuer_server.webhooks.delivery import PrivateAddressError, guarded_socket
from issuer_server.webhooks.messages import (
    RETRY_AFTER,
    check_webhook_url,
    is_public,
    next_attempt,
    signature_headers,
)
from merchant_terminal.webhooks import WebhookEvent, WebhookSecret, verify
from protocol.errors import InputError
from tests.contracts.world import World
from tests.unit.issuer_bench import NOON
from tests.unit.issuer_house import House, house, settings

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Shop:
    """A merchant's server that answers as told, and remembers what came."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        self.came.append((dict(request.headers), await request.read()))
        self.news.set()
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.came) < count:
                self.news.clear()
                await self.news.wait()

    def events(self, secret: str, now: float = NOON) -> list[WebhookEvent]:
        return [verify(WebhookSecret(secret), headers, body, now) for headers, body in self.came]


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    application = web.Application()
    application.router.add_route("*", "/{any:.*}", shop.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    yield shop
    await runner.cleanup()


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, webhooks_to_private_addresses=True) as made:
        yield made


async def listen(home: House, shop: Shop) -> administration.AddedWebhook:
    return await administration.add_webhook(
        home.issuer.storage,
        home.merchant.id,
        shop.url,
        home.issuer.keys.seal,
        os.urandom,
        NOON,
        private_allowed=True,
    )


async def pay(home: House) -> str:
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.pay(home.reader, payment_id)
    return payment_id


def all_arrived(endpoint: WebhookEndpoint) -> bool:
    return (endpoint.waiting, endpoint.failed) == (0, 0)


async def settled_outbox(storage: SqliteStorage, ready: Callable[[WebhookEndpoint], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            (endpoint,) = await storage.webhook_endpoints()
            if ready(endpoint):
                return
            await asyncio.sleep(0.02)


async def test_the_end_of_a_payment_and_its_refund_are_told_and_verified(home: House, shop: Shop) -> None:
    added = await listen(home, shop)
    payment_id = await pay(home)
    await shop.until(1)
    await home.call(
        "POST", f"/v1/payments/{payment_id}/refunds", headers={"Idempotency-Key": "k"}, json={"amount": 200}
    )
    await shop.until(2)
    completed, refunded = shop.events(added.secret)
    assert (completed.type, completed.id) == ("payment.completed", f"msg_{payment_id}")
    assert (completed.payment.card_last_four, completed.refund) == ("7899", None)
    assert (refunded.type, refunded.payment.refunded) == ("payment.refunded", 200)
    assert refunded.refund is not None
    assert refunded.refund.amount.minor == 200
    await settled_outbox(home.issuer.storage, all_arrived)


async def test_a_failed_attempt_is_made_again_with_the_same_id_and_body(
    home: House, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer_server.webhooks.delivery.next_attempt", lambda attempts, now, spread: now)
    added = await listen(home, shop)
    shop.answers = [500, 302, 404]
    await home.charge()
    home.timers.advance(60)
    await shop.until(4)
    assert (
        len({(event.id, body) for event, (_, body) in zip(shop.events(added.secret), shop.came, strict=True)})
        == 1
    )
    await settled_outbox(home.issuer.storage, all_arrived)


async def test_a_message_that_never_arrives_is_given_up_and_shown(
    home: House, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer_server.webhooks.delivery.next_attempt", lambda attempts, now, spread: None)
    await listen(home, shop)
    shop.answers = [500]
    await pay(home)
    await settled_outbox(home.issuer.storage, lambda endpoint: endpoint.waiting == 0 and endpoint.failed == 1)


async def test_an_endpoint_that_says_gone_is_disabled(home: House, shop: Shop) -> None:
    await listen(home, shop)
    shop.answers = [410]
    await pay(home)
    await shop.until(1)
    await settled_outbox(home.issuer.storage, lambda endpoint: endpoint.waiting == 0)
    (endpoint,) = await home.issuer.storage.webhook_endpoints()
    assert endpoint.disabled


async def test_both_secrets_verify_while_one_replaces_the_other(home: House, shop: Shop) -> None:
    added = await listen(home, shop)
    new = await administration.rotate_webhook_secret(
        home.issuer.storage, added.id, home.issuer.keys.seal, os.urandom, NOON, overlap=3600
    )
    await pay(home)
    await shop.until(1)
    assert new != added.secret
    assert shop.events(new) == shop.events(added.secret)


async def test_private_addresses_are_refused_where_they_are_connected_to(tmp_path: Path, shop: Shop) -> None:
    async with house(tmp_path) as home:
        await listen(home, shop)  # as if the setting had been there when it was added
        await pay(home)
        await settled_outbox(home.issuer.storage, lambda endpoint: endpoint.problem == "not a public address")
        assert shop.came == []


def test_the_guard_looks_at_the_address_itself() -> None:
    for address in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "0.0.0.0"):
        with pytest.raises(PrivateAddressError):
            guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 443))).close()
    guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 443))).close()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::127.0.0.1", "64:ff9b::a00:1"),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://shop.example/", "invalid_webhook_url"),
        ("ftp://shop.example/", "invalid_webhook_url"),
        ("https://user@shop.example/", "invalid_webhook_url"),
        ("https://shop.example/#x", "invalid_webhook_url"),
        ("https://shop.example/a b", "invalid_webhook_url"),
        ("https://shop.example:port/", "invalid_webhook_url"),
        ("https://[::1", "invalid_webhook_url"),
        ("https:///x", "invalid_webhook_url"),
        ("https://shop.example/" + "x" * 2048, "invalid_webhook_url"),
        ("https://127.0.0.1/", "private_webhook_url"),
        ("https://[::1]/", "private_webhook_url"),
    ],
)
def test_addresses_that_no_webhook_goes_to(url: str, code: str) -> None:
    with pytest.raises(InputError) as refused:
        check_webhook_url(url, private_allowed=False)
    assert refused.value.code == code


def test_what_is_allowed() -> None:
    check_webhook_url("https://shop.example:8443/hooks?shop=1", private_allowed=False)
    check_webhook_url("http://127.0.0.1:8490/webhooks", private_allowed=True)


def test_retries_go_on_for_days_and_then_end() -> None:
    waits = [next_attempt(attempts, 0.0, 0.0) for attempts in range(1, len(RETRY_AFTER) + 2)]
    assert waits[0] == 5
    assert waits == [*RETRY_AFTER, None]
    assert sum(RETRY_AFTER) > 3 * 86_400
    assert next_attempt(1, 100.0, 1.0) == 105.5


def test_the_specifications_own_example() -> None:
    """The test vector of the reference libraries."""
    key = WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").key()
    headers = signature_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330.9, b'{"test": 2432232314}', [key])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


async def _settle_and_die(path: Path, merchant: str, cardholder: str, card: str) -> None:
    """Runs in the process that is killed: between the posting's commit and anything sent."""
    storage = await SqliteStorage.open(path)
    world = World(storage, merchant=merchant, cardholder=cardholder, card=card)  # type: ignore[arg-type]
    payment = await world.settled()
    os.write(1, f"{payment.id}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_kill_between_post_and_send_loses_no_message(tmp_path: Path, shop: Shop) -> None:
    chosen = settings(tmp_path, webhooks_to_private_addresses=True)
    create_keys(chosen.keys, os.urandom)
    storage = await SqliteStorage.open(chosen.database)
    world = World(storage)
    await world.populate()
    keys = await prepare_keys(chosen, storage.keys, os.urandom, world.now)
    added = await administration.add_webhook(
        storage, world.merchant, shop.url, keys.seal, os.urandom, world.now, private_allowed=True
    )
    await storage.close()
    child = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, __file__, str(chosen.database), world.merchant, world.cardholder, world.card],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    async with start(chosen) as issuer:
        await shop.until(1)
        await settled_outbox(issuer.storage, all_arrived)
    (event,) = shop.events(added.secret, time.time())
    assert (event.id, event.type) == (f"msg_{child.stdout.strip()}", "payment.completed")


if __name__ == "__main__":
    asyncio.run(_settle_and_die(Path(sys.argv[1]), *sys.argv[2:5]))


async def test_what_was_given_up_arrives_when_it_is_sent_again(
    home: House, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer_server.webhooks.delivery.next_attempt", lambda attempts, now, spread: None)
    added = await listen(home, shop)
    shop.answers = [500]
    payment_id = await pay(home)
    storage = home.issuer.storage
    await settled_outbox(storage, lambda endpoint: endpoint.failed == 1)
    assert await storage.undelivered.send_again(added.id, None, NOON) == 1
    await shop.until(2)
    assert {event.id for event in shop.events(added.secret)} == {f"msg_{payment_id}"}
    await settled_outbox(storage, all_arrived)


async def test_what_was_given_up_long_ago_is_not_kept(tmp_path: Path, shop: Shop) -> None:
    wanted = {"webhooks_to_private_addresses": True, "webhook_days_kept": 30}
    async with house(tmp_path, **wanted) as home:
        added = await listen(home, shop)
        await home.issuer.storage.disable_webhook_endpoint(added.id)
    database = tmp_path / "issuer.db"
    for days, kept in ((29, 1), (31, 0)):
        with sqlite3.connect(database) as connection:
            connection.execute("DELETE FROM webhook_messages")
            connection.execute(
                "INSERT INTO webhook_messages (id, endpoint_id, payload, next_ms, created_ms)"
                " VALUES ('msg_1', ?, '{}', NULL, ?)",
                (added.id, int((NOON - days * 86_400) * 1000)),
            )
        connection.close()
        async with start(settings(tmp_path, **wanted), clock=lambda: NOON) as issuer:
            await settled_outbox(issuer.storage, lambda endpoint, kept=kept: endpoint.failed == kept)
