"""One reader service on a wire, with the issuer's side of a payment to drive it."""

from __future__ import annotations

import asyncio
from typing import Any

from protocol import sealing
from protocol.gatt import Status
from protocol.identifiers import Digest, Nonce
from protocol.messages import (
    CardEnvelope,
    MessageType,
    NotSettled,
    Outcome,
    PinEnvelope,
    PinRequest,
    ReaderHello,
    Verdict,
)
from protocol.sealing import PaymentKey, card_info, pin_info
from protocol.signing import digest, open_message, sign_message
from reader_peripheral.adapters.scripted import RecordingDisplay, ScriptedKeypad, ScriptedSwiper
from reader_peripheral.ports import LinkHandlers
from reader_peripheral.service import ReaderService
from reader_peripheral.session import Session
from reader_peripheral.settings import Limits
from tests.machines.reader_bench import ISSUER, ISSUER_ID, READER, key_offer

TRACK = ";4000002760003184=30121010000000000000?"
PIN = "4711"


class WireLink:
    """A ports.Link that keeps what is sent."""

    def __init__(self) -> None:
        self.handlers: LinkHandlers | None = None
        self.sent: asyncio.Queue[tuple[MessageType, bytes]] = asyncio.Queue()
        self.statuses: list[Status] = []
        self.forgotten = 0
        self.stopped = False
        self.fails: Exception | None = None

    async def start(self, handlers: LinkHandlers) -> None:
        if self.fails:
            raise self.fails
        self.handlers = handlers

    def send(self, message_type: MessageType, payload: bytes) -> None:
        self.sent.put_nowait((message_type, payload))

    def set_status(self, status: Status) -> None:
        self.statuses.append(status)

    def forget_session(self) -> None:
        self.forgotten += 1

    async def stop(self) -> None:
        self.stopped = True


class Shop:
    """One reader service on a wire, and the issuer's side of a payment."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.link = WireLink()
        self.swiper = ScriptedSwiper()
        self.keypad = ScriptedKeypad()
        self.display = RecordingDisplay()
        session = Session(READER, ISSUER_ID, ISSUER.public_key, limits or Limits())
        self.random = iter(bytes([number]) * 16 for number in range(1, 200))
        self.service = ReaderService(
            session, self.link, self.swiper, self.keypad, self.display, lambda size: next(self.random)
        )
        self.payment_key = PaymentKey.from_seed(bytes(96))
        self.offer = b""
        self.nonce = Nonce(b"")

    async def next(self, kind: type[Any]) -> tuple[bytes, Any]:
        message_type, payload = await asyncio.wait_for(self.link.sent.get(), 5)
        assert message_type is kind.TYPE
        if kind is ReaderHello:
            return payload, ReaderHello.decode(payload)
        return payload, open_message(READER.public_key, payload, kind)

    @property
    def phone(self) -> LinkHandlers:
        assert self.link.handlers
        return self.link.handlers

    async def begin(self) -> None:
        """Session, hello, offer."""
        self.phone.session_started()
        _, hello = await self.next(ReaderHello)
        self.nonce = hello.nonce
        offer = key_offer(nonce=hello.nonce, public_key=self.payment_key.public_key)
        self.offer = sign_message(ISSUER, offer)
        self.phone.message(MessageType.KEY_OFFER, self.offer)

    async def card(self) -> tuple[bytes, bytearray]:
        """The card envelope, and what it opens to."""
        signed, envelope = await self.next(CardEnvelope)
        offer = key_offer(nonce=self.nonce, public_key=self.payment_key.public_key)
        info = card_info(offer, digest(self.offer), READER.public_key)
        return signed, self.payment_key.open_card(envelope.sealed, info)

    async def ask_pin(self, card: bytes, previous: Digest | None = None) -> bytes:
        request = PinRequest(digest(self.offer), digest(card), previous, "3184", 3)
        signed = sign_message(ISSUER, request)
        self.phone.message(MessageType.PIN_REQUEST, signed)
        return signed

    async def pin(self, request: bytes) -> tuple[bytes, bytearray]:
        """The PIN envelope, and the digits in it."""
        signed, envelope = await self.next(PinEnvelope)
        offer = key_offer(nonce=self.nonce, public_key=self.payment_key.public_key)
        info = pin_info(offer, digest(self.offer), READER.public_key, digest(request))
        return signed, sealing.unpad_pin(self.payment_key.open_pin(envelope.sealed, info))

    def end(self, last: bytes | None, reason: NotSettled | None = None) -> None:
        verdict = Verdict.NOT_SETTLED if reason else Verdict.APPROVED
        outcome = Outcome(digest(self.offer), digest(last) if last else None, verdict, reason)
        self.phone.message(MessageType.OUTCOME, sign_message(ISSUER, outcome))
