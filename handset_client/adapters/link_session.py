"""One session with the reader, apart from any radio: the channel, and what its events mean to the relay.

A session lives over as many links as it takes. Nothing here waits or connects; bleak_link.py does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from handset_client.effects import Notice, NoticeKind
from handset_client.ports import ReaderAway, ReaderEvent, ReaderLost, ReaderReady, ReaderSaid, ReaderTook
from protocol import framing
from protocol.errors import LocalProtocolError
from protocol.frames import ErrorCode
from protocol.gatt import SILENT_AFTER, Status
from protocol.identifiers import PaymentId, ReaderId
from protocol.messages import MessageType
from protocol.text import shown

DETAIL_LIMIT: Final = 120


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How to look for the reader, in seconds. `reader_id` None takes whichever reader answers first."""

    reader_id: ReaderId | None = None
    scan: float = 6.0
    """One scan; then the person is told that nothing was found, and scanning goes on."""
    gather: float = 0.5
    """Where no reader is chosen and the one used last is not heard: how long to listen for more than one."""
    connect: float = 12.0
    step: float = 5.0
    """For one read, write or subscription. ATT itself gives up after 30 s (Core 5.4, 3.F.3.3.3)."""
    silent: float = SILENT_AFTER
    """Without a sign of life from a reader that waits for a person: then the link is taken for lost."""
    resume_window: float = 30.0
    """How long the reader keeps a session after a dropped link; no use in trying to resume later."""
    size_wait: float = 0.5
    """How long to wait for a platform that learns its MTU late."""
    hang_up: float = 3.0
    pauses: tuple[float, ...] = (0.1, 0.3, 0.7, 1.5, 3.0)
    """Between attempts that failed; the last one repeats."""
    adapter: str | None = None
    """Which of several adapters, on Linux: hci1. None is the platform's first."""
    pair: bool = False
    """Ask the platform to pair first. Nothing rests on it: messages bring their own protection."""

    def __post_init__(self) -> None:
        for name in ("scan", "gather", "connect", "step", "silent", "resume_window", "hang_up"):
            if not 0 < getattr(self, name) <= 600:
                raise ValueError(f"link setting {name!r} must be above 0 and at most 600 seconds")
        if not self.pauses or min(self.pauses) < 0:
            raise ValueError("link setting 'pauses' must hold at least one pause")


class LinkSession:
    """The channel with its book-keeping. `report` takes each event for the relay, `draw` names a session."""

    def __init__(self, report: Callable[[ReaderEvent], None], draw: Callable[[], int]) -> None:
        self.report = report
        self._draw = draw
        self.channel = framing.Channel(framing.Role.CENTRAL, session=draw())
        self.wake = asyncio.Event()
        self.released = asyncio.Event()
        self.reader_id: ReaderId | None = None
        self.resume_until: float | None = None
        """Loop time until which the reader keeps the session while the link is down."""
        self.silent_at: float | None = None
        """Loop time at which a reader that waits for a person, and says nothing, counts as gone."""
        self.failures = 0
        self.greeted = False
        """Whether the relay holds this session's hello, so that losing it must be said."""
        self._ready: ReaderReady | None = None
        """The reader's hello, for as long as its acknowledgement is being written."""
        self._expecting = False
        self._on_the_way: dict[int, tuple[PaymentId, MessageType]] = {}
        self._told: set[NoticeKind] = set()
        self._status: Status | None = None

    def heard(self, silent_at: float) -> None:
        """Something came from the reader; it will be silent when nothing else has come by `silent_at`.

        A link can be up with nobody there: bluetoothd keeps it when the reader's program is killed.
        """
        waits = self._status is not None and self._status.waits_for_a_person
        self.silent_at = silent_at if waits else None

    def reader_does(self, status: Status) -> None:
        """The reader's status, told when it changes: the reader repeats it while a person is waited for."""
        if status is not self._status:
            self._status = status
            self.report(Notice(NoticeKind.READER_STATUS, status.name.lower()))

    def send(self, payment_id: PaymentId, kind: MessageType, data: bytes, now: float) -> bool:
        """Queue a message. False when the session broke this moment: then its loss is reported already."""
        try:
            message_id = self.channel.send(kind, data, now)
        except LocalProtocolError:
            return False
        self._on_the_way[message_id] = (payment_id, kind)
        self.wake.set()
        return True

    def expect_message(self) -> None:
        """A message is about to come: see ReaderLink."""
        self._expecting = True
        self._tell_ready()

    def all_written(self) -> None:
        """The air is free: what is sent now goes out at the next connection event."""
        if self.channel.link is framing.Link.OPEN:
            self._tell_ready()

    def heed(self, events: list[framing.Event]) -> None:
        """Turn what the channel says into what the relay hears."""
        for event in events:
            match event:
                case framing.Connected(resumed):
                    if resumed and self.resume_until is not None:
                        self.report(Notice(NoticeKind.READER_RESUMED))
                    self.resume_until, self.failures = None, 0
                case framing.MessageReceived(MessageType.READER_HELLO, payload) if self.reader_id:
                    self._ready = ReaderReady(self.reader_id, payload)
                    if self._expecting:
                        self._tell_ready()  # the message that comes acknowledges it
                    else:
                        self._acknowledge_now()
                case framing.MessageReceived(kind, payload):
                    self.report(ReaderSaid(kind, payload))
                case framing.Delivered(message_id):
                    if (message := self._on_the_way.pop(message_id, None)) is not None:
                        self.report(ReaderTook(*message))
                case framing.KeepAlive(status):
                    self.reader_does(status)
                case framing.SessionLost() | framing.Cancelled():
                    self._lost()
                case framing.PeerFailed(code, _):
                    self.failures += 1
                    busy = code is ErrorCode.BUSY
                    self.tell_once(
                        NoticeKind.READER_BUSY if busy else NoticeKind.READER_FAILED, code.name.lower()
                    )
                    self._lost()

    def link_dropped(self, resume_until: float) -> None:
        """An open link went down; the reader waits until `resume_until`."""
        self.report(Notice(NoticeKind.READER_CONNECTION_LOST))
        self.report(ReaderAway())
        self.resume_until = resume_until
        self.silent_at = None
        self._told.clear()

    def give_up(self) -> None:
        """The reader has forgotten the session by now: begin another one."""
        self.channel = framing.Channel(framing.Role.CENTRAL, session=self._draw())
        self.resume_until = None
        self._lost()

    def tell_once(self, kind: NoticeKind, detail: str = "") -> None:
        """A notice, unless the person has had it since the link last went down."""
        if kind not in self._told:
            self._told.add(kind)
            self.report(Notice(kind, shown(detail, DETAIL_LIMIT)))

    def _acknowledge_now(self) -> None:
        """Nobody has approved yet. An acknowledgement later would be in the air when somebody does.

        A write takes two connection events, and the next one waits for it.
        """
        if (due := self.channel.deadline()) is not None:
            self.heed(self.channel.handle_timer(due))

    def _tell_ready(self) -> None:
        if self._ready is not None:
            ready, self._ready, self.greeted = self._ready, None, True
            self.report(ready)

    def _lost(self) -> None:
        self._on_the_way.clear()
        self._ready = None
        if self.greeted:
            self.greeted = False
            self.report(ReaderLost())
