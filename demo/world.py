"""The set-up: all four parties started and enrolled as they are in the field, in one process."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from demo import cast
from demo.happenings import Party
from demo.mobile_network import MobileNetwork
from demo.people import Keys, Person, PhoneFace, ReaderFace, StripeReader
from demo.scenarios import Scenario
from demo.story import Story
from demo.taps import TappedIssuerLink, TappedReaderEnd, TappedReaderLink
from handset_client.adapters.bleak_link import Backends, BleakReaderLink
from handset_client.adapters.enrolment_http import enrol as enrol_handset
from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.issuer_socket import IssuerSocket, SocketSettings
from handset_client.adapters.link_session import LinkSettings
from handset_client.relay_call import Patience
from handset_client.service import HandsetService
from issuer_server import administration
from issuer_server import service as issuer_service
from issuer_server.administration import AddedCardholder, AddedMerchant
from issuer_server.enrolments import IssuerAddress
from issuer_server.key_custody.file_keys import IssuerKeys, create_keys, load_keys
from issuer_server.payment import Deadlines
from issuer_server.settings import Settings
from merchant_terminal.issuer_api import ApiKey, IssuerApi
from protocol import gatt
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import IssuerId, reader_id_text
from protocol.messages import PROTOCOL_VERSION
from protocol.money import Money, currency
from reader_peripheral.adapters.bless_link import BlessLink
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.adapters.simulated_radio import VirtualRadio
from reader_peripheral.enrolment import enrol as enrol_reader
from reader_peripheral.enrolment import prepare
from reader_peripheral.service import ReaderService
from reader_peripheral.session import Session
from reader_peripheral.settings import FIRMWARE, MODEL_CODE, Limits
from virtual_radio.bleak_backend import backends
from virtual_radio.conditions import RadioConditions
from virtual_radio.ether import Ether

CONNECTION_INTERVAL: Final = 0.015
"""Seconds between the moments at which the radio may send: what phones grant an accessory that asks."""

Clerk = Callable[[Party, str], None]
"""Is told each step of the set-up."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that runs, and the handles that a scenario may pull."""

    issuer: issuer_service.RunningIssuer
    issuer_keys: IssuerKeys
    database: Path
    merchant: IssuerApi
    merchant_account: AddedMerchant
    cardholder: AddedCardholder
    reader_link: TappedReaderLink
    issuer_link: TappedIssuerLink
    network: MobileNetwork
    ether: Ether
    capture: Path


@asynccontextmanager
async def world(
    folder: Path,
    capture: Path,
    scenario: Scenario,
    deadlines: Deadlines,
    person: Person,
    story: Story,
    weather: RadioConditions,
) -> AsyncIterator[World]:
    """Start and enrol all four parties; stop them in the right order at the end of the block."""
    async with AsyncExitStack() as closing:
        issuer, keys = await _issuer(folder, deadlines, story.set_up, closing)
        address = IssuerAddress(issuer.url, IssuerId(cast.ISSUER_NAME), keys.signing.public_key)
        account = await administration.add_merchant(
            issuer.storage, cast.MERCHANT_NAME, secrets.token_bytes, time.time()
        )
        merchant = await closing.enter_async_context(IssuerApi(issuer.url, ApiKey(account.api_key)))
        story.set_up(Party.MERCHANT, f"{cast.MERCHANT_NAME}; has an API key")
        cardholder = await _cardholder(issuer, keys, scenario, story.set_up)

        ether = await closing.enter_async_context(Ether(weather, capture))
        loss = f", {weather.loss:.0%} lost" if weather.loss else ""
        story.set_up(
            Party.RADIO,
            f"two virtual Bluetooth controllers, {weather.connection_interval * 1000:g} ms interval{loss}",
        )
        code = await administration.add_device(
            issuer.storage, EnrolmentKind.READER, cardholder.id, address, secrets.token_bytes, time.time()
        )
        store = FileKeyStore(folder / "reader")
        candidate = prepare(store, code, secrets.token_bytes, replace=False, unencrypted=False)
        await enrol_reader(store, candidate)
        pinned = store.issuer()
        assert pinned is not None
        reader_id = candidate.reader_id
        info = gatt.ReaderInfo((PROTOCOL_VERSION,), reader_id, MODEL_CODE, FIRMWARE)
        link = BlessLink(VirtualRadio(await ether.add_device("reader")), info)
        session = Session(candidate.key, pinned.issuer_id, pinned.public_key, Limits())
        pad = Keys(person, story.person_took)
        reader = ReaderService(
            session,
            TappedReaderEnd(link, story.reader_sent),
            StripeReader(person, pad, story.person_took),
            pad,
            ReaderFace(story.reader_shows),
            secrets.token_bytes,
        )
        await reader.start()
        closing.push_async_callback(reader.stop)
        story.set_up(Party.READER, f"{reader_id_text(reader_id)}; enrolled: proved that it holds its key")

        network = MobileNetwork(issuer.url)
        await network.start()
        closing.push_async_callback(network.stop)
        code = await administration.add_device(
            issuer.storage, EnrolmentKind.HANDSET, cardholder.id, address, secrets.token_bytes, time.time()
        )
        credential = replace(await enrol_handset(code, None), issuer_url=network.url)
        issuer_link = TappedIssuerLink(
            IssuerSocket(credential.issuer_url, credential.token, SocketSettings(farewell=0.5)), story.passed
        )
        scanner, client = backends(await ether.add_device("phone"))
        reader_link = TappedReaderLink(
            BleakReaderLink(LinkSettings(hang_up=1.0), Backends(scanner, client)), story.passed
        )
        phone = HandsetService(
            reader_link,
            issuer_link,
            PhoneFace(person, story.person_took, story.phone_shows),
            HistoryFile(folder / "handset"),
            Patience(),
        )
        stop = asyncio.Event()
        running = asyncio.create_task(phone.run(stop))
        closing.push_async_callback(_stop_phone, stop, running)
        await _up_or_failed(story.phone_is_up, running)
        story.set_up(Party.PHONE, f"{credential.phone}; enrolled by one-time code, ready")
        yield World(
            issuer=issuer,
            issuer_keys=keys,
            database=folder / "issuer.db",
            merchant=merchant,
            merchant_account=account,
            cardholder=cardholder,
            reader_link=reader_link,
            issuer_link=issuer_link,
            network=network,
            ether=ether,
            capture=capture,
        )


async def _stop_phone(stop: asyncio.Event, running: asyncio.Task[None]) -> None:
    stop.set()
    await running


async def _up_or_failed(up: asyncio.Event, running: asyncio.Task[None]) -> None:
    """Wait until the phone is up; raises what it failed with."""
    waiting = asyncio.create_task(up.wait())
    await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        running.result()


async def _issuer(
    folder: Path, deadlines: Deadlines, clerk: Clerk, closing: AsyncExitStack
) -> tuple[issuer_service.RunningIssuer, IssuerKeys]:
    create_keys(folder / "keys", secrets.token_bytes)
    settings = Settings(
        IssuerId(cast.ISSUER_NAME),
        folder / "issuer.db",
        folder / "keys",
        port=0,
        deadlines=deadlines,
        stop_grace=0.0,
    )
    issuer = await closing.enter_async_context(issuer_service.start(settings))
    clerk(Party.ISSUER, f"at {issuer.url}, with a new SQLite file")
    return issuer, load_keys(folder / "keys")


async def _cardholder(
    issuer: issuer_service.RunningIssuer, keys: IssuerKeys, scenario: Scenario, clerk: Clerk
) -> AddedCardholder:
    """Table 32: the person, their money, their cards."""
    now = time.time()
    added = await administration.add_cardholder(
        issuer.storage, cast.CARDHOLDER_NAME, cast.PHONE, secrets.token_bytes, now
    )
    purse = Money(scenario.purse, currency(cast.CURRENCY))
    await issuer.storage.fund(added.id, purse, now)
    shown = []
    for card in cast.CARDS.values():
        if card.enrolled:
            stored = await administration.add_card(
                issuer.storage,
                keys.cards,
                added.id,
                bytearray(card.pan, "ascii"),
                card.expiry,
                bytearray(card.pin, "ascii"),
                secrets.token_bytes,
                now,
            )
            await issuer.storage.set_card_blocked(stored.id, card.blocked)
            shown.append(f"****{stored.last_four}" + (" (blocked)" if card.blocked else ""))
    clerk(Party.PERSON, f"{purse}; cards {' and '.join(shown)}")
    return added
