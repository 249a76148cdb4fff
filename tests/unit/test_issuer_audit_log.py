"""What an operator does stands in the audit log, written by what did it; what was refused does not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from issuer_server.storage.key_records import Operator, SealedSecret
from issuer_server.storage.port import AlreadyExists, NotFound
from issuer_server.storage.records import NewCardholder, NewWebhookEndpoint
from issuer_server.storage.sqlite import SqliteStorage
from issuer_server.storage.sqlite.audit import ONE_TIME_CODE
from protocol.identifiers import CardholderId, WebhookEndpointId, mint, reader_id_text
from tests.contracts.world import PHONE, START, World, digest

HANAKO = Operator("hanako", START)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """An operator at work."""
    await (await SqliteStorage.open(tmp_path / "issuer.db")).close()
    made = World(await SqliteStorage.open_beside_server(tmp_path / "issuer.db", HANAKO))
    yield made
    await made.storage.close()


async def told(world: World) -> list[tuple[str, str]]:
    """Actions and subjects, the earliest first."""
    log = await world.storage.keys.audit_log(100)
    assert {(entry.operator, entry.at) for entry in log} <= {("hanako", START), (ONE_TIME_CODE, START)}
    return [(entry.action, entry.subject) for entry in reversed(log)]


async def test_who_came_and_who_got_money(world: World) -> None:
    await world.populate()
    assert await told(world) == [
        ("add merchant", world.merchant),
        ("add cardholder", world.cardholder),
        ("add card", world.card),
        ("fund cardholder", f"{world.cardholder} JPY 10,000"),
    ]


async def test_whom_and_what_is_refused_from_now_on(world: World) -> None:
    await world.populate()
    begun = len(await told(world))
    await world.storage.set_merchant_blocked(world.merchant, True)
    await world.storage.set_cardholder_blocked(world.cardholder, True)
    await world.storage.set_card_blocked(world.card, True)
    await world.storage.set_merchant_blocked(world.merchant, False)
    assert (await told(world))[begun:] == [
        ("block merchant", world.merchant),
        ("block cardholder", world.cardholder),
        ("block card", world.card),
        ("unblock merchant", world.merchant),
    ]


async def test_a_device_from_its_code_to_its_block(world: World) -> None:
    await world.populate()
    begun = len(await told(world))
    reader = await world.add_reader()
    await world.storage.set_reader_blocked(reader, True)
    assert (await told(world))[begun:] == [
        ("make reader code", world.cardholder),
        ("enrol reader", reader_id_text(reader)),
        ("block reader", reader_id_text(reader)),
    ]


async def test_api_keys_and_webhooks(world: World) -> None:
    await world.populate()
    begun = len(await told(world))
    endpoint = WebhookEndpointId(mint("whe", os.urandom(16)))
    sealed = SealedSecret(1, b"s" * 60)
    await world.storage.replace_api_key(world.merchant, digest("another"), START)
    await world.storage.add_webhook_endpoint(
        NewWebhookEndpoint(endpoint, world.merchant, "https://shop.example/hooks", sealed), START
    )
    await world.storage.rotate_webhook_secret(endpoint, sealed, START)
    await world.storage.remove_webhook_endpoint(endpoint)
    assert (await told(world))[begun:] == [
        ("replace api key", world.merchant),
        ("add webhook", endpoint),
        ("rotate webhook secret", endpoint),
        ("remove webhook", endpoint),
    ]


async def test_what_was_refused_was_not_done(world: World) -> None:
    await world.populate()
    begun = await told(world)
    with pytest.raises(AlreadyExists):
        await world.storage.add_cardholder(
            NewCardholder(CardholderId(mint("chd", os.urandom(16))), "Taro", PHONE), START
        )
    with pytest.raises(NotFound):
        await world.storage.unblock_merchant(world.cardholder, world.merchant)
    assert await told(world) == begun


async def test_the_server_is_no_operator(tmp_path: Path) -> None:
    storage = await SqliteStorage.open(tmp_path / "issuer.db")
    await World(storage).populate()
    assert await storage.keys.audit_log(9) == []
    await storage.close()
