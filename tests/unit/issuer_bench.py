"""An issuer to test against: real storage, a phone on the bus, a reader that signs and seals."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from issuer_server.application import IssuerApplication, PaymentRequest
from issuer_server.bus.local import LocalBus
from issuer_server.bus.port import (
    HANDSET_ARRIVED,
    NoResponders,
    call_subject,
    handset_subject,
    moved_subject,
    payment_subject,
)
from issuer_server.cards import CardKeys
from issuer_server.enrolments import secret_digest
from issuer_server.handset_frames import read_phone_message
from issuer_server.key_custody.file_keys import IssuerKeys
from issuer_server.late_words import answer_late
from issuer_server.operations.observing import NOBODY, Observer
from issuer_server.parts import IssuerParts
from issuer_server.payment import Deadlines
from issuer_server.storage.port import Storage
from issuer_server.storage.records import (
    HandsetRecord,
    IdempotencyClaim,
    MerchantRecord,
    NewCard,
    NewCardholder,
    NewEnrolmentCode,
    NewMerchant,
    PaymentRecord,
)
from issuer_server.storage.sqlite import SqliteStorage
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import (
    CardholderId,
    CardId,
    Digest,
    HandsetId,
    IssuerId,
    MerchantId,
    Nonce,
    PaymentId,
    PhoneNumber,
    PublicKey,
    ReaderId,
    mint,
)
from protocol.messages import (
    CardEnvelope,
    KeyOffer,
    Outcome,
    PinEnvelope,
    PinRequest,
    ReaderHello,
    Refusal,
    RefusalReason,
)
from protocol.money import Money, currency
from protocol.sealing import PaymentKey, card_info, pad_pin, pin_info, seal_card, seal_pin
from protocol.signing import SigningKey, digest, open_message, sign_message
from protocol.track_data import parse_swipe
from tests.unit.manual_timers import ManualTimers as ManualTimers

ISSUER = IssuerId("bank.example")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()
PHONE = PhoneNumber("+819012345678")
PAN, PIN, EXPIRY = "4000001234567899", "1234", "2912"
API_KEY = "brm_test-key-of-a-merchant"
YEN = currency("JPY")


class Reader:
    """The card reader's side of the protocol, honest unless told otherwise."""

    def __init__(self, issuer_key: PublicKey, seed: bytes | None = None) -> None:
        self.key = SigningKey.from_seed(seed or os.urandom(32))
        self.issuer_key = issuer_key
        self.nonce = Nonce(os.urandom(16))
        self.signed_offer = self.last_sent = b""
        self.offer: KeyOffer | None = None

    @property
    def id(self) -> ReaderId:
        return ReaderId(self.key.key_id)

    def hello(self, versions: tuple[int, ...] = (1,)) -> bytes:
        self.nonce = Nonce(os.urandom(16))
        return ReaderHello(self.id, self.nonce, versions).encode()

    def take_offer(self, signed: bytes) -> KeyOffer:
        offer = open_message(self.issuer_key, signed, KeyOffer)
        assert (offer.issuer_id, offer.reader_id, offer.nonce) == (ISSUER, self.id, self.nonce)
        self.signed_offer, self.offer = signed, offer
        return offer

    def swipe(self, pan: str = PAN, expiry: str = EXPIRY) -> bytes:
        buffer = bytearray(
            f"%B{pan}^YAMADA/HANAKO^{expiry}1010000000000000?;{pan}={expiry}1010000000000000?".encode()
        )
        return self.seal_card(bytes(parse_swipe(buffer, luhn=False).card_plaintext()))

    def seal_card(self, plaintext: bytes) -> bytes:
        assert self.offer is not None
        info = card_info(self.offer, digest(self.signed_offer), self.key.public_key)
        sealed = seal_card(self.offer.public_key, plaintext, info)
        return self._send(CardEnvelope(digest(self.signed_offer), sealed))

    def type_pin(self, signed_request: bytes, pin: str = PIN) -> bytes:
        return self.seal_pin(signed_request, bytes(pad_pin(bytearray(pin.encode()))))

    def seal_pin(self, signed_request: bytes, plaintext: bytes) -> bytes:
        assert self.offer is not None
        request = open_message(self.issuer_key, signed_request, PinRequest)
        assert request.offer == digest(self.signed_offer)
        info = pin_info(self.offer, request.offer, self.key.public_key, digest(signed_request))
        sealed = seal_pin(self.offer.public_key, plaintext, info)
        return self._send(PinEnvelope(request.offer, digest(signed_request), sealed))

    def refuse(self, reason: RefusalReason) -> bytes:
        return self._send(Refusal(digest(self.signed_offer), reason))

    def _send(self, message: CardEnvelope | PinEnvelope | Refusal) -> bytes:
        self.last_sent = sign_message(self.key, message)
        return self.last_sent

    def read_outcome(self, signed: bytes) -> Outcome:
        outcome = open_message(self.issuer_key, signed, Outcome)
        assert outcome.offer == digest(self.signed_offer)
        return outcome


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class BusPhone:
    """A phone without a socket: it stands on the bus where the handset channel would."""

    parts: IssuerParts
    handset: HandsetRecord
    frames: list[dict[str, Any]] = field(default_factory=list)
    replies: list[dict[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    subscriptions: list[Any] = field(default_factory=list)

    async def connect(self, *, resumed: bool = False) -> None:
        await self.disconnect()

        async def called(_: bytes) -> bytes:
            return self.handset.id.encode()

        async def pushed(frame: bytes) -> bytes:
            self.frames.append(json.loads(frame))
            self.news.set()
            return b""

        bus = self.parts.bus
        self.subscriptions = [
            await bus.subscribe(call_subject(self.handset.cardholder_id), called),
            await bus.subscribe(handset_subject(self.handset.id), pushed),
        ]
        word = {
            "handset_id": self.handset.id,
            "cardholder_id": self.handset.cardholder_id,
            "resumed": resumed,
        }
        await bus.publish(HANDSET_ARRIVED, json.dumps(word).encode())

    async def disconnect(self) -> None:
        for subscription in self.subscriptions:
            await subscription.end()
        self.subscriptions = []

    async def say(self, frame_type: str, payment_id: PaymentId, **fields: object) -> dict[str, Any] | None:
        """Send a frame; the frame that answers at once, if one does."""
        frame = {"type": frame_type, "payment_id": payment_id, **fields}
        word = json.dumps({"handset_id": self.handset.id, "frame": frame}).encode()
        try:
            reply = await self.parts.bus.request(payment_subject(payment_id), word)
        except NoResponders:
            message = read_phone_message(frame)
            late = await answer_late(
                self.parts.storage, self.parts.keys, self.handset, message, self.parts.clock()
            )
            reply = late[0] if late else b""
        return json.loads(reply) if reply else None

    async def heard(self, kind: str, payment_id: PaymentId, nth: int = 1) -> dict[str, Any]:
        """Wait for the nth frame of a type (or of a to_reader kind) about a payment."""
        while True:
            self.news.clear()
            found = [
                frame
                for frame in self.frames
                if frame["payment_id"] == payment_id and kind in (frame["type"], frame.get("kind"))
            ]
            if len(found) >= nth:
                return found[nth - 1]
            async with asyncio.timeout(10):
                await self.news.wait()

    def heard_kinds(self, payment_id: PaymentId) -> list[str]:
        return [
            frame.get("kind") or frame["type"] for frame in self.frames if frame["payment_id"] == payment_id
        ]


@dataclass
class Bench:
    """A running application and everybody around it."""

    application: IssuerApplication
    parts: IssuerParts
    storage: SqliteStorage
    timers: ManualTimers
    merchant: MerchantRecord
    cardholder: CardholderId
    card: CardId
    phone: BusPhone
    reader: Reader
    merchant_news: dict[PaymentId, int] = field(default_factory=dict)

    async def charge(self, minor: int = 1200, key: str | None = None, order: str = "2 coffees") -> PaymentId:
        claim = IdempotencyClaim(key or os.urandom(8).hex(), Digest(bytes(32)))
        request = PaymentRequest(PHONE, Money(minor, YEN), order)
        payment = await self.application.create_payment(self.merchant, request, claim)
        return payment.id

    async def ringing(self, **about: Any) -> PaymentId:
        payment_id = await self.charge(**about)
        await self.phone.heard("payment_request", payment_id)
        return payment_id

    async def approve(self, payment_id: PaymentId, reader: Reader | None = None) -> dict[str, Any] | None:
        hello = (reader or self.reader).hello()
        return await self.phone.say("approve", payment_id, reader_hello=b64(hello))

    async def offered(self, **about: Any) -> PaymentId:
        payment_id = await self.ringing(**about)
        assert await self.approve(payment_id) is None
        frame = await self.phone.heard("key_offer", payment_id)
        self.reader.take_offer(unb64(frame["data"]))
        return payment_id

    async def from_reader(self, payment_id: PaymentId, kind: str, signed: bytes) -> dict[str, Any] | None:
        return await self.phone.say("from_reader", payment_id, kind=kind, data=b64(signed))

    async def pin_asked(self, pan: str = PAN, expiry: str = EXPIRY, **about: Any) -> tuple[PaymentId, bytes]:
        payment_id = await self.offered(**about)
        assert await self.from_reader(payment_id, "card_envelope", self.reader.swipe(pan, expiry)) is None
        frame = await self.phone.heard("pin_request", payment_id)
        return payment_id, unb64(frame["data"])

    async def ended(self, payment_id: PaymentId) -> PaymentRecord:
        payment = await self.application.wait(self.merchant.id, payment_id, 10)
        assert payment.state.is_final, payment
        return payment

    def is_polled(self, payment_id: PaymentId, by: int = 1) -> bool:
        """Whether so many wait for the payment to move."""
        return len(self.parts.bus._listeners.get(moved_subject(payment_id), ())) >= by  # type: ignore[attr-defined]

    async def shown(self, payment_id: PaymentId) -> PaymentRecord:
        return await self.application.payment(self.merchant.id, payment_id)

    async def outcome(self, payment_id: PaymentId) -> Outcome:
        frame = await self.phone.heard("outcome", payment_id)
        return self.reader.read_outcome(unb64(frame["data"]))

    async def balances(self) -> Mapping[str, int]:
        return {balance.kind: balance.minor for balance in await self.storage.balances()}


async def enrol_reader(storage: SqliteStorage, cardholder: CardholderId, key: SigningKey) -> None:
    secret = os.urandom(16)
    await storage.add_enrolment_code(
        NewEnrolmentCode(secret_digest(secret), EnrolmentKind.READER, cardholder, NOON + 60)
    )
    await storage.redeem_reader_code(
        secret_digest(secret), ReaderId(key.key_id), key.public_key, "test reader", NOON
    )


async def enrol_handset(storage: SqliteStorage, cardholder: CardholderId, token: str) -> HandsetRecord:
    secret = os.urandom(16)
    await storage.add_enrolment_code(
        NewEnrolmentCode(secret_digest(secret), EnrolmentKind.HANDSET, cardholder, NOON + 60)
    )
    handset_id = HandsetId(mint("hst", os.urandom(16)))
    return await storage.redeem_handset_code(secret_digest(secret), handset_id, secret_digest(token), NOON)


async def add_cardholder(storage: SqliteStorage, phone: PhoneNumber, name: str = "Hanako") -> CardholderId:
    cardholder = CardholderId(mint("chd", os.urandom(16)))
    await storage.add_cardholder(NewCardholder(cardholder, name, phone), NOON)
    return cardholder


async def add_card(
    storage: SqliteStorage,
    keys: CardKeys,
    owner: CardholderId,
    pan: str = PAN,
    *,
    pin: str = PIN,
    expiry: str = EXPIRY,
    tries: int = 3,
) -> CardId:
    card = CardId(mint("crd", os.urandom(16)))
    verifier = keys.pin_verifier(card, pin.encode())
    index, versions = keys.pan_index(pan.encode()), (keys.pan_key, keys.pin_key)
    await storage.add_card(NewCard(card, owner, index, pan[-4:], expiry, verifier, tries, *versions), NOON)
    return card


async def populate(
    storage: SqliteStorage, keys: CardKeys, funds: int = 100_000
) -> tuple[MerchantRecord, CardholderId, CardId]:
    merchant = NewMerchant(MerchantId(mint("mer", os.urandom(16))), "Cafe Relay", secret_digest(API_KEY))
    await storage.add_merchant(merchant, NOON)
    cardholder = await add_cardholder(storage, PHONE)
    card = await add_card(storage, keys, cardholder)
    await storage.fund(cardholder, Money(funds, YEN), NOON)
    return MerchantRecord(merchant.id, merchant.name, False), cardholder, card


@asynccontextmanager
async def bench(
    folder: Path,
    *,
    deadlines: Deadlines | None = None,
    pin_attempts: int = 1,
    wrap_storage: Callable[[SqliteStorage], Storage] = lambda storage: storage,
    make_key: Callable[[bytes], PaymentKey] = PaymentKey.from_seed,
    connect: bool = True,
    funds: int = 100_000,
    observer: Observer = NOBODY,
) -> AsyncIterator[Bench]:
    """An application over a fresh database, with a merchant, a cardholder, a card, a reader and a phone."""
    storage = await SqliteStorage.open(folder / "issuer.db")
    keys = CardKeys(os.urandom(32), os.urandom(32))
    merchant, cardholder, card = await populate(storage, keys, funds)
    handset = await enrol_handset(storage, cardholder, "brt_token")
    signing_key = SigningKey.from_seed(os.urandom(32))
    reader = Reader(signing_key.public_key)
    await enrol_reader(storage, cardholder, reader.key)
    timers = ManualTimers()
    parts = IssuerParts(
        issuer_id=ISSUER,
        keys=IssuerKeys(signing_key, keys),
        storage=wrap_storage(storage),
        bus=LocalBus(),
        timers=timers,
        deadlines=deadlines or Deadlines(),
        pin_attempts=pin_attempts,
        clock=lambda: NOON,
        make_key=make_key,
        observer=observer,
    )
    application = IssuerApplication(parts)
    await application.start()
    phone = BusPhone(parts, handset)
    if connect:
        await phone.connect()
    try:
        yield Bench(application, parts, storage, timers, merchant, cardholder, card, phone, reader)
    finally:
        await application.stop(0)
        await storage.close()
