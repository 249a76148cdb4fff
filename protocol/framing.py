"""The Bluetooth channel: messages of up to 4096 bytes over values of 20 to 510, through gaps and lost links.

`Channel` is sans-I/O in the manner of aioquic's connection: bytes and the time go in, events and values to
send come out. It opens no socket, reads no clock and draws no random number. Both ends use the one class.

    channel.connected(now, gatt.largest_value(mtu))       # the link is up
    events = channel.receive(value, now)                  # a value was written or notified
    channel.send(MessageType.KEY_OFFER, signed, now)
    for value in channel.values_to_send(): ...            # after each of the calls above, in order
    channel.deadline()                                    # when to call handle_timer(now), if at all

One message is under way in each direction. It is acknowledged by the START of the next message the other way
or, where none follows within ACK_DELAY, by an ACK. A session outlives links: HELLO says what each side holds,
and the rest goes on from there. A message is delivered once, in order, or its loss is told by SessionLost or
PeerFailed. Whoever connects to a peripheral without a proper HELLO ends nothing: that is GreetingFailed.
"""

from __future__ import annotations

from typing import Final

from protocol.channel_events import (
    LINK_TABLE,
    Cancelled,
    Connected,
    Delivered,
    Event,
    GreetingFailed,
    KeepAlive,
    Link,
    LinkEvent,
    MessageReceived,
    PeerFailed,
    Role,
    SessionLost,
)
from protocol.errors import FramingError, LocalProtocolError
from protocol.fragments import Arrival, Duplicate, Inbox, Outbox, Whole
from protocol.frames import (
    LARGEST_MESSAGE,
    OVER_BLUETOOTH,
    VERSION,
    Ack,
    Alive,
    Cancel,
    CancelReason,
    Continue,
    ErrorCode,
    Failure,
    Frame,
    Hello,
    Nak,
    Resume,
    Start,
    ack_tag,
    parse,
)
from protocol.gatt import LARGEST_VALUE, SMALLEST_VALUE, Status
from protocol.messages import MessageType

__all__ = [
    "CancelReason",
    "Cancelled",
    "Channel",
    "Connected",
    "Delivered",
    "ErrorCode",
    "Event",
    "GreetingFailed",
    "KeepAlive",
    "Link",
    "MessageReceived",
    "PeerFailed",
    "Role",
    "SessionLost",
]

ACK_DELAY: Final = 0.2
"""Seconds that an acknowledgement waits for a message to travel with."""
RESEND_AFTER: Final = 2.0
"""Seconds without acknowledgement after which a message, or HELLO, is sent again."""
SECONDS_PER_VALUE: Final = 0.1
"""Added to RESEND_AFTER for every value: two connection intervals of 45 ms, the slowest phones choose."""
STALL_AFTER: Final = 2.0
"""Seconds of silence inside a message after which the receiver asks for the rest."""
GREETING_WITHIN: Final = 10.0
"""Seconds that a peripheral waits for HELLO: a central that connects and says nothing must not block it."""
MOST_TRIES: Final = 5
"""Repeats without progress after which the session is given up."""


class Channel:
    """One end of the channel.

    `session` is a random number from 1 to 2**32 - 1, drawn by the caller at the central; the peripheral takes
    the central's and needs none. `largest_value` caps what this end sends and says that it takes.
    """

    def __init__(self, role: Role, *, session: int = 0, largest_value: int = LARGEST_VALUE) -> None:
        if role is Role.CENTRAL and not 0 < session < 1 << 32:
            raise LocalProtocolError("a central names its session, from 1 to 2**32 - 1")
        self._role = role
        self._cap = self._largest = self._ours = _checked_value(largest_value)
        self._session = session if role is Role.CENTRAL else 0
        self._link = Link.DOWN
        self._known = False  # both sides have agreed on this session before
        self._outbox, self._inbox = Outbox(), Inbox()
        self._control: list[bytes] = []
        self._greet_at: float | None = None
        self._ack_at: float | None = None
        self._resend_at: float | None = None
        self._stall_at: float | None = None
        self._tries = self._stalls = 0

    @property
    def link(self) -> Link:
        """Where the link stands; messages flow when OPEN."""
        return self._link

    @property
    def session(self) -> int:
        """The session's number, 0 at a peripheral that has none."""
        return self._session

    @property
    def largest_value(self) -> int:
        """The longest value that `values_to_send` returns, as both sides agreed."""
        return self._largest

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be sent, acknowledged or completed, so that the link may be dropped."""
        waiting = self._control or self._outbox.current or self._inbox.partial or self._ack_at is not None
        return not waiting

    def connected(self, now: float, largest_value: int) -> None:
        """The link is up and takes values of `largest_value` bytes (`gatt.largest_value` of the MTU)."""
        self._link = LINK_TABLE.step(self._link, LinkEvent.UP).to
        self._ours = self._largest = min(_checked_value(largest_value), self._cap)
        self._tries = 0
        if self._role is Role.CENTRAL:
            self._say_hello(self._known)
            self._greet_at = now + RESEND_AFTER
        else:
            self._greet_at = now + GREETING_WITHIN

    def disconnected(self, now: float) -> None:
        """The link is gone. What is unacknowledged or half here stays for the next link of the session."""
        if self._link is Link.DOWN:
            return
        self._link = LINK_TABLE.step(self._link, LinkEvent.LOST).to
        self._control.clear()
        self._clear_timers()
        self._inbox.link_lost()

    def send(self, kind: MessageType, payload: bytes, now: float) -> int:
        """Queue a message; returns the id that `Delivered` will name. Works while the link is down, too.

        Raises LocalProtocolError for what cannot be sent: a type or size that the framing does not carry,
        more than eight messages waiting, or no session (a peripheral before HELLO, either end between
        PeerFailed and `disconnected`).
        """
        if kind not in OVER_BLUETOOTH or not 1 <= len(payload) <= LARGEST_MESSAGE:
            raise LocalProtocolError("not a message that Bluetooth carries")
        if not self._session or self._link is Link.FAILED:
            raise LocalProtocolError("there is no session to send in")
        begins = not self._outbox.current
        message_id = self._outbox.put(kind, payload)
        if begins:
            self._await_acknowledgement(now)
        return message_id

    def cancel(self, reason: CancelReason, now: float) -> None:
        """Tell the peer that this side will not go on. Like `keepalive`, lost when no link is open."""
        self._say_if_open(Cancel(reason).encode())

    def keepalive(self, status: Status, now: float) -> None:
        """Tell the peer that this side is there and what it is doing."""
        self._say_if_open(Alive(status).encode())

    def error(self, code: ErrorCode, now: float) -> None:
        """Give up the session and say why; send the values, then drop the link."""
        if self._link in (Link.GREETING, Link.OPEN):
            self._give_up(code, told=False)

    def values_to_send(self) -> list[bytes]:
        """The values to write or notify now, in order, at most `largest_value` bytes each; each only once."""
        values, self._control = self._control, []
        if self._link is Link.OPEN:
            if self._outbox.starts:
                self._ack_at = None  # the START carries it
            values += self._outbox.drain(self._largest, ack_tag(self._inbox.last_id))
        return values

    def receive(self, value: bytes, now: float) -> list[Event]:
        """Take one value from the peer. Raises nothing for what a peer sends: bad values end in PeerFailed.

        Values that arrive when the link is down or failed are late, and dropped.
        """
        if self._link in (Link.DOWN, Link.FAILED):
            return []
        try:
            return self._take(parse(value), now)
        except FramingError as error:
            return self._give_up(ErrorCode(error.code), told=False)

    def deadline(self) -> float | None:
        """When `handle_timer` is due, None when nothing is waited for."""
        times = (self._greet_at, self._ack_at, self._resend_at, self._stall_at)
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> list[Event]:
        """Do what is due at `now`. Calling early does nothing."""
        if _due(self._greet_at, now):
            if not self._central or not self._try_again():
                # A peripheral hangs up without a word: ERROR would end the session at a phone that was slow.
                return self._give_up(ErrorCode.TIMEOUT, told=not self._central)
            self._say_hello(self._known)
            self._greet_at = now + RESEND_AFTER
        if _due(self._ack_at, now):
            self._acknowledge()
        if _due(self._stall_at, now):
            self._stalls += 1
            if self._stalls > MOST_TRIES:
                return self._give_up(ErrorCode.TIMEOUT, told=False)
            self._arrived(self._inbox.ask_again(), now)
        if _due(self._resend_at, now):
            if not self._try_again():
                return self._give_up(ErrorCode.TIMEOUT, told=False)
            self._outbox.rewind()
            self._await_acknowledgement(now)
        return []

    # -- what came in

    def _take(self, frame: Frame, now: float) -> list[Event]:
        match frame:
            case Failure(code):
                return self._give_up(code, told=True)
            case Hello():
                return self._hello_at_central(frame, now) if self._central else self._hello(frame, now)
        if self._link is Link.GREETING:
            if self._central:
                return []  # sent before the peer read our HELLO; it starts again from what that says
            raise FramingError(ErrorCode.SEQUENCE, "HELLO comes first")
        match frame:
            case Start():
                events = self._delivered(self._outbox.acknowledge_tag(frame.ack), now)
                return events + self._arrived(self._inbox.start(frame), now)
            case Continue():
                return self._arrived(self._inbox.go_on(frame), now)
            case Resume():
                return self._arrived(self._inbox.resume(frame), now)
            case Ack(message_id):
                return self._delivered(message_id if self._outbox.acknowledge(message_id) else 0, now)
            case Nak(message_id, offset):
                return self._send_rest(message_id, offset, now)
            case Cancel(reason):
                return [Cancelled(reason)]
            case Alive(status):
                return [KeepAlive(status)]

    def _hello(self, frame: Hello, now: float) -> list[Event]:
        """HELLO at the peripheral: go on with the session it names, start it, or say that it is unknown."""
        events: list[Event] = []
        resumed = frame.session == self._session
        if not resumed and frame.known:
            self._control.append(Hello(VERSION, False, self._ours, frame.session, 0, 0).encode())
            return []
        if not resumed:
            if self._outbox.current or self._inbox.partial:
                events.append(SessionLost())
            self._begin_session(frame.session)
        first = self._link is Link.GREETING
        self._open(frame)
        self._say_hello(known=True)
        if first or not resumed:
            events.append(Connected(resumed))
        return events + self._delivered(self._outbox.agree(frame.held_id, frame.held), now, restart=True)

    def _hello_at_central(self, frame: Hello, now: float) -> list[Event]:
        """The peripheral's answer to HELLO."""
        if self._link is Link.OPEN or frame.session != self._session:
            return []  # the answer to a HELLO that was sent twice
        if not frame.known:
            if not self._known:
                raise FramingError(ErrorCode.SEQUENCE, "the peer refuses a new session")
            self._begin_session(_successor(self._session))
            self._say_hello(known=False)
            self._greet_at, self._tries = now + RESEND_AFTER, 0
            return [SessionLost()]
        resumed, self._known = self._known, True
        self._open(frame)
        delivered = self._delivered(self._outbox.agree(frame.held_id, frame.held), now, restart=True)
        return [Connected(resumed), *delivered]

    def _arrived(self, arrival: Arrival, now: float) -> list[Event]:
        """Answer what a fragment led to, and wait for the next one if there must be one."""
        events: list[Event] = []
        match arrival:
            case Whole(_, kind, payload):
                self._ack_at, self._stalls = now + ACK_DELAY, 0
                events.append(MessageReceived(kind, payload))
            case Duplicate():
                self._acknowledge()
            case Nak():
                self._control.append(arrival.encode())
            case None:
                self._stalls = 0
        self._stall_at = now + STALL_AFTER if self._inbox.partial else None
        return events

    def _delivered(self, message_id: int, now: float, *, restart: bool = False) -> list[Event]:
        """Report an acknowledged message and start the next one's clock; `restart` when the link is new."""
        if not message_id and not restart:
            return []
        self._tries = 0
        self._await_acknowledgement(now)
        return [Delivered(message_id)] if message_id else []

    def _send_rest(self, message_id: int, offset: int, now: float) -> list[Event]:
        if message_id != self._outbox.current:
            return []  # crossed with the acknowledgement
        if self._outbox.rewind(offset):
            self._tries = 0
        elif not self._try_again():
            return self._give_up(ErrorCode.TIMEOUT, told=False)
        self._await_acknowledgement(now)
        return []

    # -- sessions, timers, control frames

    @property
    def _central(self) -> bool:
        return self._role is Role.CENTRAL

    def _open(self, frame: Hello) -> None:
        self._link = LINK_TABLE.step(self._link, LinkEvent.HELLO).to
        self._largest = min(self._ours, frame.largest)
        self._greet_at, self._tries, self._stalls = None, 0, 0

    def _begin_session(self, session: int) -> None:
        self._session, self._known = session, False
        self._outbox, self._inbox = Outbox(), Inbox()
        self._control.clear()
        self._clear_timers()

    def _give_up(self, code: ErrorCode, *, told: bool) -> list[Event]:
        unproven = self._link is Link.GREETING and not self._central
        self._link = LINK_TABLE.step(self._link, LinkEvent.FAULT).to
        if unproven:
            self._clear_timers()
        else:
            self._begin_session(_successor(self._session) if self._central else 0)
        self._control = [] if told else [Failure(code).encode()]
        # Nothing showed that this was the session's phone: a stranger must not end what he only interrupts.
        return [GreetingFailed(code) if unproven else PeerFailed(code, told)]

    def _say_hello(self, known: bool) -> None:
        hello = Hello(VERSION, known, self._ours, self._session, *self._inbox.held())
        self._control.append(hello.encode())

    def _say_if_open(self, value: bytes) -> None:
        if self._link is Link.OPEN:
            self._control.append(value)

    def _acknowledge(self) -> None:
        self._ack_at = None
        self._control.append(Ack(self._inbox.last_id).encode())

    def _await_acknowledgement(self, now: float) -> None:
        self._resend_at = None
        if self._outbox.current and self._link is Link.OPEN:
            values = self._outbox.fragments_left(self._largest)
            self._resend_at = now + RESEND_AFTER + values * SECONDS_PER_VALUE

    def _try_again(self) -> bool:
        self._tries += 1
        return self._tries <= MOST_TRIES

    def _clear_timers(self) -> None:
        self._greet_at = self._ack_at = self._resend_at = self._stall_at = None
        self._tries = self._stalls = 0


def _due(time: float | None, now: float) -> bool:
    return time is not None and time <= now


def _successor(session: int) -> int:
    """The session after a lost one: another value, and still one that this central drew."""
    return session % 0xFFFFFFFF + 1


def _checked_value(largest: int) -> int:
    if largest < SMALLEST_VALUE:
        raise LocalProtocolError("a value holds at least 20 bytes")
    return min(largest, LARGEST_VALUE)
