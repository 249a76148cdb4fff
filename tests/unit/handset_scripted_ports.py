"""Ports of the handset that answer as a script says, and write down what they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from handset_client.effects import Ending, KeptOutcome
from handset_client.issuer_frames import PhoneFrame
from handset_client.ports import IssuerEvent, IssuerUp, ReaderEvent, ReaderReady, ReaderTook
from protocol.identifiers import PaymentId, ReaderId
from protocol.messages import MessageType

READER = ReaderId(b"\x01" * 8)


class Log(list[Any]):
    """A list that a test can wait on."""

    def __init__(self) -> None:
        super().__init__()
        self._grew = asyncio.Event()

    def append(self, what: Any) -> None:
        super().append(what)
        self._grew.set()

    async def until(self, *wanted: object) -> None:
        async with asyncio.timeout(5):
            while not all(what in self for what in wanted):
                self._grew.clear()
                await self._grew.wait()


class FakeReader:
    """A reader link that answers each message as its script says."""

    def __init__(self, log: list[Any]) -> None:
        self.events: asyncio.Queue[ReaderEvent | BaseException] = asyncio.Queue()
        self.log = log
        self.answers: dict[MessageType, ReaderEvent] = {}

    def connect(self) -> None:
        self.log.append("connect")
        self.events.put_nowait(ReaderReady(READER, b"hello"))

    def expect_message(self) -> None:
        pass

    def send(self, payment_id: PaymentId, kind: MessageType, data: bytes) -> None:
        self.log.append((kind, data))
        self.events.put_nowait(ReaderTook(payment_id, kind))
        if kind in self.answers:
            self.events.put_nowait(self.answers[kind])

    def release(self) -> None:
        self.log.append("release")

    async def next_event(self) -> ReaderEvent:
        event = await self.events.get()
        if isinstance(event, BaseException):
            raise event
        return event

    async def close(self) -> None:
        self.log.append("reader closed")


class FakeIssuer:
    """An issuer link that answers each frame as its script says."""

    def __init__(self, log: list[Any]) -> None:
        self.events: asyncio.Queue[IssuerEvent | BaseException] = asyncio.Queue()
        self.log = log
        self.answers: dict[object, list[IssuerEvent]] = {}
        self.says: list[IssuerEvent | BaseException] = []
        self.never_heard: set[PaymentId] = set()

    def start(self) -> None:
        self.log.append("start")
        for event in (IssuerUp(fresh=True, phone="+81901234567"), *self.says):
            self.events.put_nowait(event)

    def send(self, frame: PhoneFrame) -> None:
        self.log.append(frame)
        for event in self.answers.get(frame, []):
            self.events.put_nowait(event)

    async def next_event(self) -> IssuerEvent:
        event = await self.events.get()
        if isinstance(event, BaseException):
            raise event
        return event

    async def close(self) -> None:
        self.log.append("issuer closed")

    def unheard(self) -> Collection[PaymentId]:
        return self.never_heard


class FakeHistory:
    """A history in memory, on a disk that can be full."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.kept: list[KeptOutcome] = []
        self.doubts: list[Ending] = []
        self.full = False

    def _write(self, what: object) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.log.append(what)

    async def record(self, ending: Ending, at: float) -> None:
        self._write(("recorded", ending.end, at))

    async def amend(self, ending: Ending, at: float) -> None:
        self._write(("amended", ending.end, ending.last_four))

    async def in_doubt(self) -> list[Ending]:
        return self.doubts

    async def keep_outcome(self, kept: KeptOutcome, at: float) -> None:
        self._write(("kept", kept.data))

    async def forget_outcome(self, payment_id: PaymentId) -> None:
        self._write("forgotten")

    async def kept_outcomes(self, at: float) -> list[KeptOutcome]:
        return self.kept
