"""The phone's two links with a tap on each: what passes is written down, and can be altered on the way.

An honest phone is tapped to see who was told what. A hostile one is the same phone with a rule on a tap: it
drops, repeats, changes or invents what it carries, with no key of anybody.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from handset_client.issuer_frames import PhoneFrame
from handset_client.ports import IssuerEvent, IssuerLink, ReaderEvent, ReaderLink
from protocol.identifiers import PaymentId
from protocol.messages import MessageType
from tests.journey.diary import Diary


class Way(Enum):
    """Where something that the phone carries comes from and goes to."""

    TO_ISSUER = "phone to issuer"
    FROM_ISSUER = "issuer to phone"
    TO_READER = "phone to reader"
    FROM_READER = "reader to phone"


@dataclass(frozen=True, slots=True)
class Handed:
    """What the phone gives to its reader link."""

    payment_id: PaymentId
    kind: MessageType
    data: bytes = field(repr=False)


Passing = PhoneFrame | IssuerEvent | Handed | ReaderEvent
Wire = Diary[tuple[Way, Passing]]


class TappedIssuerLink:
    """An IssuerLink in front of the real one. A rule gives what goes on instead: none, or several."""

    def __init__(self, inner: IssuerLink, wire: Wire) -> None:
        self._inner = inner
        self._wire = wire
        self._waiting: collections.deque[IssuerEvent] = collections.deque()
        self.outgoing: Callable[[PhoneFrame], Iterable[PhoneFrame]] = lambda frame: (frame,)
        self.incoming: Callable[[IssuerEvent], Iterable[IssuerEvent]] = lambda event: (event,)

    def start(self) -> None:
        self._inner.start()

    def send(self, frame: PhoneFrame) -> None:
        for each in self.outgoing(frame):
            self.inject(each)

    def inject(self, frame: PhoneFrame) -> None:
        """Send a frame that may be the phone's own invention, past the rule."""
        self._wire.write((Way.TO_ISSUER, frame))
        self._inner.send(frame)

    async def next_event(self) -> IssuerEvent:
        while not self._waiting:
            event = await self._inner.next_event()
            self._wire.write((Way.FROM_ISSUER, event))
            self._waiting.extend(self.incoming(event))
        return self._waiting.popleft()

    async def close(self) -> None:
        await self._inner.close()


class TappedReaderLink:
    """A ReaderLink in front of the real one, with rules as above."""

    def __init__(self, inner: ReaderLink, wire: Wire) -> None:
        self._inner = inner
        self._wire = wire
        self._waiting: collections.deque[ReaderEvent] = collections.deque()
        self.outgoing: Callable[[Handed], Iterable[Handed]] = lambda handed: (handed,)
        self.incoming: Callable[[ReaderEvent], Iterable[ReaderEvent]] = lambda event: (event,)

    def connect(self) -> None:
        self._inner.connect()

    def send(self, payment_id: PaymentId, kind: MessageType, data: bytes) -> None:
        for each in self.outgoing(Handed(payment_id, kind, data)):
            self.inject(each)

    def inject(self, handed: Handed) -> None:
        """Hand the reader something that may be the phone's own invention, past the rule."""
        self._wire.write((Way.TO_READER, handed))
        self._inner.send(handed.payment_id, handed.kind, handed.data)

    def release(self) -> None:
        self._inner.release()

    async def next_event(self) -> ReaderEvent:
        while not self._waiting:
            event = await self._inner.next_event()
            self._wire.write((Way.FROM_READER, event))
            self._waiting.extend(self.incoming(event))
        return self._waiting.popleft()

    async def close(self) -> None:
        await self._inner.close()
