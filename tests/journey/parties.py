"""All four parties in one process as they are: HTTP, WebSocket, SQLite, and ATT over the virtual radio.

Only the person is played, behind the ports that a person touches. The phone's links are tapped (`taps.py`).
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bumble.device import Device

from handset_client.adapters.bleak_link import Backends
from handset_client.adapters.enrolment_http import enrol as enrol_handset
from issuer_server import service as issuer_service
from issuer_server.enrolments import IssuerAddress, issue_code
from issuer_server.key_custody.file_keys import IssuerKeys, create_keys, load_keys
from issuer_server.ledger import check_trial_balance
from issuer_server.live_payments import LivePayment, PaymentSecrets
from issuer_server.seed import SAMPLE_CARDHOLDERS, Seeded, seed
from issuer_server.settings import Settings
from merchant_terminal.issuer_api import ApiKey, IssuerApi
from merchant_terminal.payment import Charge, Payment
from protocol import gatt
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.identifiers import IssuerId, PaymentId, ReaderId, check_payment_id, parse_phone_number
from protocol.messages import PROTOCOL_VERSION
from protocol.money import Money, currency
from protocol.sealing import PaymentKey
from protocol.signing import SigningKey
from protocol.track_data import CardData, Swipe
from reader_peripheral.adapters.bless_link import BlessLink
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.adapters.simulated_radio import VirtualRadio
from reader_peripheral.enrolment import enrol as enrol_reader
from reader_peripheral.enrolment import prepare
from reader_peripheral.payment_in_hand import Payment as PaymentInHand
from reader_peripheral.ports import PinnedIssuer
from reader_peripheral.service import ReaderService
from reader_peripheral.session import Session
from reader_peripheral.settings import FIRMWARE, MODEL_CODE, Limits
from tests.journey.person import Person
from tests.journey.phone import Phone as Phone
from tests.journey.programs import free_port
from tests.journey.times import Times as Times
from virtual_radio.bleak_backend import backends
from virtual_radio.ether import Ether

ISSUER_ID = IssuerId("issuer.test")
PHONE = parse_phone_number(SAMPLE_CARDHOLDERS[0].phone)
PRICE = 1200
JPY = currency("JPY")


class Issuer:
    """The issuer, which can be stopped and started again on the same data and the same port."""

    def __init__(self, folder: Path, times: Times) -> None:
        folder.mkdir()
        self.database = folder / "issuer.db"
        create_keys(folder / "keys", secrets.token_bytes)
        self.keys: IssuerKeys = load_keys(folder / "keys")
        self.settings = Settings(
            ISSUER_ID,
            self.database,
            folder / "keys",
            port=free_port(),
            deadlines=times.issuer,
            pin_attempts_per_payment=times.pin_attempts,
            stop_grace=0.0,
        )
        self.seeds: list[bytes] = []
        """Every 96 random bytes drawn: among them the seed of each payment's key."""
        self._running: issuer_service.RunningIssuer | None = None
        self._stack = AsyncExitStack()

    @property
    def running(self) -> issuer_service.RunningIssuer:
        """What is started."""
        assert self._running is not None
        return self._running

    @property
    def url(self) -> str:
        """Its address, the same after a restart."""
        return f"http://127.0.0.1:{self.settings.port}"

    def _entropy(self, size: int) -> bytes:
        drawn = os.urandom(size)
        if size == 96:
            self.seeds.append(drawn)
        return drawn

    async def start(self) -> None:
        """Begin to serve."""
        self._running = await self._stack.enter_async_context(
            issuer_service.start(self.settings, entropy=self._entropy)
        )

    async def stop(self) -> None:
        """End gracefully, as at a signal."""
        self._running = None
        await self._stack.aclose()

    def address(self) -> IssuerAddress:
        """What devices must know of it."""
        return IssuerAddress(self.url, ISSUER_ID, self.keys.signing.public_key)


class Reader:
    """A card reader with an identity of its own, enrolled through the issuer's HTTP."""

    def __init__(
        self, key: SigningKey, pinned: PinnedIssuer, link: BlessLink, person: Person, limits: Limits
    ):
        self.id = ReaderId(key.key_id)
        self.public_key = key.public_key
        self.session = Session(key, pinned.issuer_id, pinned.public_key, limits)
        self.service = ReaderService(
            self.session, link, person.swiper, person.keypad, person.display, secrets.token_bytes
        )


class Parties:
    """The world of a test. `person` decides what happens; `pay` lets the merchant ask."""

    def __init__(
        self,
        issuer: Issuer,
        reader: Reader,
        phone: Phone,
        merchant: IssuerApi,
        seeded: Seeded,
        person: Person,
        ether: Ether,
        phone_radio: Device,
        new_phone: Callable[[], Phone],
    ) -> None:
        self.issuer = issuer
        self.reader = reader
        self.phone = phone
        self.merchant = merchant
        self.seeded = seeded
        self.person = person
        self.ether = ether
        self.phone_radio = phone_radio
        self._new_phone = new_phone
        self._secrets_before = [id(item) for item in _secret_objects()]

    def another_phone(self) -> Phone:
        """The same handset's program once more, for when the first has stopped."""
        return self._new_phone()

    async def ask(self, price: int = PRICE, order: str = "2 coffees") -> PaymentId:
        """S1: the merchant asks for a payment; it is on its way when this returns."""
        charge = Charge(PHONE, Money(price, JPY), order)
        payment = await self.merchant.create_payment(charge, secrets.token_hex(16))
        return check_payment_id(payment.id)

    async def outcome(self, payment_id: PaymentId, patience: float = 15.0) -> Payment:
        """The end as the merchant is told it, by long poll."""
        until = time.monotonic() + patience
        while True:
            left = until - time.monotonic()
            payment = await self.merchant.payment(payment_id, wait=max(0, min(10, math.ceil(left))))
            if payment.over:
                return payment
            if left <= 0:
                raise AssertionError(f"after {patience:g} s the payment is still {payment.status}")

    async def pay(self, price: int = PRICE, order: str = "2 coffees") -> Payment:
        """Ask, and wait for the end."""
        return await self.outcome(await self.ask(price, order))

    async def status(self, payment_id: PaymentId, wanted: str, patience: float = 15.0) -> Payment:
        """Once the payment is in a state; told by the issuer, which answers at each move."""
        until = time.monotonic() + patience
        payment = await self.merchant.payment(payment_id)
        while payment.status != wanted:
            left = math.ceil(until - time.monotonic())
            if payment.over or left <= 0:
                raise AssertionError(f"the payment is {payment.status} ({payment.reason}), not {wanted}")
            payment = await self.merchant.payment(payment_id, wait=left, seen=payment.status)
        return payment

    def live(self, payment_id: PaymentId) -> LivePayment:
        """What the issuer holds in memory of a payment in flight."""
        live = self.issuer.running.application._payments.get(payment_id)
        assert live is not None
        return live

    async def balances(self) -> tuple[int, int]:
        """What the cardholder and the merchant own in yen; fails where the books do not balance."""
        rows = await self.issuer.running.storage.balances()
        check_trial_balance(rows)
        yen = {row.owner: row.minor for row in rows if row.currency == JPY}
        return yen[self.seeded.cardholders[0].cardholder.id], yen.get(self.seeded.merchant.id, 0)

    def cut_network(self) -> None:
        """Drop the phone's connection to the issuer as a tunnel does: with no goodbye to either end."""
        for phone in self.issuer.running.channel._phones.values():
            transport = phone.socket._req.transport if phone.socket and phone.socket._req else None
            if transport is not None:
                transport.abort()

    async def enrol_another_reader(self, cardholder: int) -> ReaderId:
        """Enrol one more reader of a sample cardholder; it stays off the air."""
        owner = self.seeded.cardholders[cardholder].cardholder
        code = await issue_code(
            self.issuer.running.storage,
            EnrolmentKind.READER,
            owner.id,
            self.issuer.address(),
            secrets.token_bytes(16),
            time.time(),
        )
        folder = self.issuer.database.parent.parent / f"reader-{secrets.token_hex(4)}"
        store = FileKeyStore(folder)
        candidate = prepare(store, code, secrets.token_bytes, replace=False, unencrypted=False)
        await enrol_reader(store, candidate)
        return candidate.reader_id

    async def pin_tries_left(self) -> int:
        """How many PIN tries the cardholder's own card has."""
        [card] = [card for card, _ in self.seeded.cardholders[0].cards if card.label == "good"]
        stored = await self.issuer.running.storage.card_by_index(
            self.issuer.keys.cards.pan_index(card.pan.encode())
        )
        assert stored is not None
        return stored.pin_tries_left

    async def until(self, happened: Callable[[], object], patience: float = 10.0) -> None:
        """Wait for what leaves no trace in a diary."""
        until = time.monotonic() + patience
        while not happened():
            if time.monotonic() > until:
                raise AssertionError(f"it did not happen within {patience:g} s")
            await asyncio.sleep(0.02)

    def secrets_alive(self) -> list[object]:
        """Everything of a payment that must be gone when it is over and is still in this process."""
        gc.collect()
        return [item for item in _secret_objects() if id(item) not in self._secrets_before]

    def reader_payments_alive(self) -> list[object]:
        """Payments that this world's reader still holds, with the key they were offered."""
        return [item for item in self.secrets_alive() if isinstance(item, PaymentInHand)]

    def stored_bytes(self) -> bytes:
        """All that the issuer has on disk of its database, its journals included."""
        folder = self.issuer.database.parent
        files = sorted(folder.glob(self.issuer.database.name + "*"))
        # In a process of its own: opening and closing the file here would drop SQLite's locks on it.
        return subprocess.run(["cat", *files], capture_output=True, check=True).stdout


def _secret_objects() -> list[object]:
    return [
        item
        for item in gc.get_objects()
        if isinstance(item, PaymentKey | PaymentSecrets | CardData | Swipe | LivePayment | PaymentInHand)
    ]


@asynccontextmanager
async def parties(
    folder: Path, times: Times | None = None, person: Person | None = None
) -> AsyncIterator[Parties]:
    """Everything started and enrolled; everything stopped at the end."""
    times, person = times or Times(), person or Person()
    async with AsyncExitStack() as stack:
        issuer = Issuer(folder / "issuer", times)
        await issuer.start()
        stack.push_async_callback(issuer.stop)
        storage = issuer.running.storage
        seeded = await seed(storage, issuer.keys.cards, issuer.address(), secrets.token_bytes, time.time())
        owner = seeded.cardholders[0]

        ether = await stack.enter_async_context(Ether())
        reader = await make_reader(owner.reader_code, folder / "reader", ether, person, times.reader)
        await reader.service.start()
        stack.push_async_callback(reader.service.stop)

        credential = await enrol_handset(owner.handset_code, None)
        phone_radio = await ether.add_device("phone")
        scanner, client = backends(phone_radio)

        def new_phone() -> Phone:
            return Phone(credential, Backends(scanner, client), person, folder / "handset", times)

        phone = new_phone()
        await phone.start()
        stack.push_async_callback(phone.stop)

        api = IssuerApi(issuer.url, ApiKey(seeded.merchant.api_key))
        merchant = await stack.enter_async_context(api)
        yield Parties(issuer, reader, phone, merchant, seeded, person, ether, phone_radio, new_phone)


async def make_reader(
    code: EnrolmentCode, folder: Path, ether: Ether, person: Person, limits: Limits
) -> Reader:
    """A reader of its own identity, enrolled by this code, not yet on the air."""
    store = FileKeyStore(folder)
    candidate = prepare(store, code, secrets.token_bytes, replace=False, unencrypted=False)
    await enrol_reader(store, candidate)
    pinned = store.issuer()
    assert pinned is not None
    info = gatt.ReaderInfo((PROTOCOL_VERSION,), candidate.reader_id, MODEL_CODE, FIRMWARE)
    link = BlessLink(VirtualRadio(await ether.add_device("reader")), info)
    return Reader(candidate.key, pinned, link, person, limits)
