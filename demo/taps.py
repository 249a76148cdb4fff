"""Taps: wrappers around the parties' own ports that see what passes, and may be told to alter it.

The product code is the same with a tap as without. A hostile phone is an honest one with rules on its two
links: what malware in the phone could do, and no more, since a rule sees only what the phone sees.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from handset_client.issuer_frames import PhoneFrame
from handset_client.ports import IssuerEvent, IssuerLink, ReaderEvent, ReaderLink
from protocol.gatt import Status
from protocol.identifiers import PaymentId
from protocol.messages import MessageType
from reader_peripheral.ports import Link, LinkHandlers


class Way(Enum):
    """Between which two parties something passes."""

    TO_ISSUER = auto()
    FROM_ISSUER = auto()
    TO_READER = auto()
    FROM_READER = auto()


@dataclass(frozen=True, slots=True)
class ForReader:
    """What the phone hands to its reader link."""

    payment_id: PaymentId
    kind: MessageType
    data: bytes = field(repr=False)


Passing = PhoneFrame | IssuerEvent | ForReader | ReaderEvent
Watch = Callable[[Way, Passing], None]


class TappedIssuerLink:
    """handset_client.ports.IssuerLink. A rule gives what goes on in place of what came: none or several."""

    def __init__(self, inner: IssuerLink, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch
        self._waiting: collections.deque[IssuerEvent] = collections.deque()
        self.outgoing: Callable[[PhoneFrame], Iterable[PhoneFrame]] = lambda frame: (frame,)
        self.incoming: Callable[[IssuerEvent], Iterable[IssuerEvent]] = lambda event: (event,)

    def start(self) -> None:
        """See IssuerLink."""
        self._inner.start()

    def send(self, frame: PhoneFrame) -> None:
        """See IssuerLink."""
        for each in self.outgoing(frame):
            self.put(each)

    def put(self, frame: PhoneFrame) -> None:
        """Send past the rule: what the phone makes up itself."""
        self._watch(Way.TO_ISSUER, frame)
        self._inner.send(frame)

    async def next_event(self) -> IssuerEvent:
        """See IssuerLink."""
        while not self._waiting:
            event = await self._inner.next_event()
            self._watch(Way.FROM_ISSUER, event)
            self._waiting.extend(self.incoming(event))
        return self._waiting.popleft()

    async def close(self) -> None:
        """See IssuerLink."""
        await self._inner.close()

    def unheard(self) -> Collection[PaymentId]:
        """See IssuerLink."""
        return self._inner.unheard()


class TappedReaderLink:
    """handset_client.ports.ReaderLink, with rules as above."""

    def __init__(self, inner: ReaderLink, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch
        self._waiting: collections.deque[ReaderEvent] = collections.deque()
        self.outgoing: Callable[[ForReader], Iterable[ForReader]] = lambda message: (message,)
        self.incoming: Callable[[ReaderEvent], Iterable[ReaderEvent]] = lambda event: (event,)
        self.released = asyncio.Event()
        """Set while the phone wants nothing of the reader."""

    def connect(self) -> None:
        """See ReaderLink."""
        self.released.clear()
        self._inner.connect()

    def expect_message(self) -> None:
        """See ReaderLink."""
        self._inner.expect_message()

    def send(self, payment_id: PaymentId, kind: MessageType, data: bytes) -> None:
        """See ReaderLink."""
        for each in self.outgoing(ForReader(payment_id, kind, data)):
            self.put(each)

    def put(self, message: ForReader) -> None:
        """Send past the rule."""
        self._watch(Way.TO_READER, message)
        self._inner.send(message.payment_id, message.kind, message.data)

    def release(self) -> None:
        """See ReaderLink."""
        self._inner.release()
        self.released.set()

    async def next_event(self) -> ReaderEvent:
        """See ReaderLink."""
        while not self._waiting:
            event = await self._inner.next_event()
            self._watch(Way.FROM_READER, event)
            self._waiting.extend(self.incoming(event))
        return self._waiting.popleft()

    async def close(self) -> None:
        """See ReaderLink."""
        await self._inner.close()


class TappedReaderEnd:
    """reader_peripheral.ports.Link: tells when the reader hands a message to its radio."""

    def __init__(self, inner: Link, on_send: Callable[[MessageType, bytes], None]) -> None:
        self._inner = inner
        self._on_send = on_send

    async def start(self, handlers: LinkHandlers) -> None:
        """See Link."""
        await self._inner.start(handlers)

    def send(self, message_type: MessageType, payload: bytes) -> None:
        """See Link."""
        self._inner.send(message_type, payload)
        self._on_send(message_type, payload)

    def set_status(self, status: Status) -> None:
        """See Link."""
        self._inner.set_status(status)

    def forget_session(self) -> None:
        """See Link."""
        self._inner.forget_session()

    async def stop(self) -> None:
        """See Link."""
        await self._inner.stop()


class LogTap(logging.Handler):
    """Hears a package's log, as an operator's log collector would. Nothing of it reaches the terminal."""

    def __init__(self, package: str, hear: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.INFO)
        self._hear = hear
        self._logger = logging.getLogger(package)

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self._hear(record)

    def __enter__(self) -> LogTap:
        self._before = self._logger.level, self._logger.propagate
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.level, self._logger.propagate = self._before
