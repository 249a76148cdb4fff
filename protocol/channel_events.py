"""Which end a channel is, what it tells its owner, and where its link can stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from protocol.frames import CancelReason, ErrorCode
from protocol.gatt import Status
from protocol.messages import MessageType
from protocol.transition_table import Move, TransitionTable


class Role(Enum):
    """Which end this is. The central speaks first and names the session."""

    CENTRAL = "central"
    PERIPHERAL = "peripheral"


@dataclass(frozen=True, slots=True)
class Connected:
    """HELLO went both ways. Not `resumed`: a new session, in which nothing has been said yet."""

    resumed: bool


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A whole message, for the first and only time."""

    type: MessageType
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The peer holds the message that `send` gave this id."""

    message_id: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The peer will not go on with the payment."""

    reason: CancelReason


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The peer is there and in this status."""

    status: Status


@dataclass(frozen=True, slots=True)
class PeerFailed:
    """The session is over: drop the link. `told` says that the peer gave it up, not we."""

    code: ErrorCode
    told: bool


@dataclass(frozen=True, slots=True)
class GreetingFailed:
    """Whoever connected to this peripheral said no HELLO: drop the link. The session of before is kept."""

    code: ErrorCode


@dataclass(frozen=True, slots=True)
class SessionLost:
    """Messages of the session before will not arrive; a new session follows by itself."""


Event = (
    Connected
    | MessageReceived
    | Delivered
    | Cancelled
    | KeepAlive
    | PeerFailed
    | GreetingFailed
    | SessionLost
)


class Link(Enum):
    """Where the link stands."""

    DOWN = "down"
    GREETING = "greeting"
    OPEN = "open"
    FAILED = "failed"


class LinkEvent(Enum):
    UP = "up"
    HELLO = "hello"
    FAULT = "fault"
    LOST = "lost"


class _NoEffect(Enum):
    """The link's moves have no effects beyond the state."""


_L, _E = Link, LinkEvent
_MOVES: Final[dict[tuple[Link, LinkEvent], Move[Link, _NoEffect]]] = {
    (_L.DOWN, _E.UP): Move(_L.GREETING),
    (_L.GREETING, _E.HELLO): Move(_L.OPEN),
    (_L.GREETING, _E.FAULT): Move(_L.FAILED),
    (_L.OPEN, _E.HELLO): Move(_L.OPEN),
    (_L.OPEN, _E.FAULT): Move(_L.FAILED),
    (_L.GREETING, _E.LOST): Move(_L.DOWN),
    (_L.OPEN, _E.LOST): Move(_L.DOWN),
    (_L.FAILED, _E.LOST): Move(_L.DOWN),
}
LINK_TABLE: Final = TransitionTable("channel link", Link.DOWN, _MOVES, terminal=frozenset())
