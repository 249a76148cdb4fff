"""The resumable conversation with the issuer, without a socket.

Every frame carries ``seq`` (1, 2, … for each direction). What was not acknowledged is sent again
after reconnecting, and a frame that arrives twice is delivered once. The issuer names the session;
when it no longer knows ours, both sides count from zero again and what was under way is over.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Final

from handset_client.issuer_frames import Json
from protocol.errors import LocalProtocolError, MessageError
from protocol.identifiers import PaymentId
from protocol.text import shown

VERSION: Final = 1
SESSION_LIMIT: Final = 200
UNACKNOWLEDGED_LIMIT: Final = 256
"""Frames. A phone has one payment at a time; more than this means that something spins."""

A_NO: Final = frozenset({"decline", "reader_unavailable"})
"""The frames by which a phone ends a payment."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The issuer took us in. `fresh` says that it did not know our session (or we had none)."""

    fresh: bool
    phone: str
    lost: int
    """How many of our frames died with the old session."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One frame of the issuer, new and in order."""

    frame: Json


@dataclass(frozen=True, slots=True)
class OutOfStep:
    """A frame is missing: the socket must be closed and the session resumed."""

    expected: int
    got: int


SessionEvent = Welcomed | Delivered | OutOfStep


class IssuerSession:
    """Numbers, acknowledges and repeats frames. Feed it what the socket gives, send what it returns.

    Usage: on a new socket send :meth:`hello`; give every frame received to :meth:`receive`; after
    each call send what :meth:`frames_to_send` drains. :meth:`send` may be called with no socket.
    """

    def __init__(self) -> None:
        self._session = ""
        self._received = 0
        self._sent = 0
        self._unacknowledged: collections.deque[tuple[int, Json]] = collections.deque()
        self._outgoing: collections.deque[Json] = collections.deque()
        self._welcomed = False

    @property
    def welcomed(self) -> bool:
        """Whether the socket in use has passed its hello."""
        return self._welcomed

    @property
    def all_acknowledged(self) -> bool:
        """Whether the issuer has every frame of ours."""
        return not self._unacknowledged

    @property
    def unheard(self) -> frozenset[PaymentId]:
        """The payments about which the issuer has not acknowledged all that was queued."""
        about = (frame.get("payment_id") for _, frame in self._unacknowledged)
        return frozenset(PaymentId(each) for each in about if isinstance(each, str))

    def hello(self) -> Json:
        """The first frame of a new socket. Forgets what was queued for the old one."""
        self._welcomed = False
        self._outgoing.clear()
        return {"type": "hello", "version": VERSION, "session": self._session, "received": self._received}

    def send(self, frame: Json) -> None:
        """Queue a frame of ours; it is kept until the issuer says that it has it."""
        if len(self._unacknowledged) >= UNACKNOWLEDGED_LIMIT:
            raise LocalProtocolError(f"{UNACKNOWLEDGED_LIMIT} frames wait for the issuer: something spins")
        self._sent += 1
        numbered = {**frame, "seq": self._sent}
        self._unacknowledged.append((self._sent, numbered))
        if self._welcomed:
            self._outgoing.append(numbered)

    def receive(self, frame: Json) -> list[SessionEvent]:
        """Take one decoded frame. Raises MessageError where the issuer breaks the numbering's rules."""
        kind = frame.get("type")
        if not self._welcomed:
            if kind != "welcome":
                raise MessageError("type", "the first frame must be welcome")
            return [self._welcome(frame)]
        match kind:
            case "welcome":
                raise MessageError("type", "welcome comes once")
            case "ack":
                self._acknowledge(_count(frame, "received"))
                return []
        seq = _count(frame, "seq")
        if seq <= self._received:
            # It did not hear our acknowledgement: say it again, deliver nothing.
            self._queue_ack()
            return []
        if seq != self._received + 1:
            return [OutOfStep(self._received + 1, seq)]
        self._received = seq
        self._queue_ack()
        return [Delivered(frame)]

    def frames_to_send(self) -> list[Json]:
        """Drain what must go out now, in order."""
        frames = list(self._outgoing)
        self._outgoing.clear()
        return frames

    def disconnected(self) -> None:
        """The socket is gone. What was not acknowledged stays for the next one."""
        self._welcomed = False
        self._outgoing.clear()

    def _welcome(self, frame: Json) -> Welcomed:
        session, phone = frame.get("session"), frame.get("phone")
        if not isinstance(session, str) or not 0 < len(session) <= SESSION_LIMIT:
            raise MessageError("session", "not a session name")
        if not isinstance(phone, str):
            raise MessageError("phone", "not text")
        received = _count(frame, "received")
        fresh, lost = session != self._session, 0
        if fresh:
            # What we queued before any session existed was meant for this one. Of an old session all died
            # but a no: the payment may live on at another replica, and a merchant be blocked with it.
            queued = [numbered for _, numbered in self._unacknowledged]
            waiting = [old for old in queued if not self._session or old.get("type") in A_NO]
            lost = len(queued) - len(waiting)
            self._session, self._received, self._sent = session, 0, 0
            self._unacknowledged.clear()
            self._welcomed = True
            for old in waiting:
                self.send({key: value for key, value in old.items() if key != "seq"})
        else:
            self._acknowledge(received)
            self._welcomed = True
            self._outgoing.extend(numbered for _, numbered in self._unacknowledged)
        return Welcomed(fresh, shown(phone, 20), lost)

    def _acknowledge(self, received: int) -> None:
        if received > self._sent:
            raise MessageError("received", "more than was sent")
        while self._unacknowledged and self._unacknowledged[0][0] <= received:
            self._unacknowledged.popleft()

    def _queue_ack(self) -> None:
        self._outgoing.append({"type": "ack", "received": self._received})


def _count(frame: Json, field: str) -> int:
    value = frame.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise MessageError(field, "not a count")
    return value
