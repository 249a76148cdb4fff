"""Two real channels joined by two queues, with a clock that the test moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from protocol.framing import Channel, Connected, Event, Link, MessageReceived, Role
from protocol.messages import MessageType

OFFER, HELLO = MessageType.KEY_OFFER, MessageType.READER_HELLO


@dataclass
class Side:
    """One channel, what it has sent and the peer has not taken yet, and what it has told."""

    channel: Channel
    flying: deque[bytes] = field(default_factory=deque)
    events: list[Event] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)

    def drain(self) -> None:
        for value in self.channel.values_to_send():
            self.flying.append(value)
            self.values.append(value)

    def received(self) -> list[bytes]:
        return [event.payload for event in self.events if isinstance(event, MessageReceived)]

    def told(self) -> list[Event]:
        """The events since the last call."""
        events, self.events = self.events, []
        return events


class Pair:
    """A central and a peripheral. Values are lost only where a test says so."""

    def __init__(self, *, session: int = 7) -> None:
        self.now = 1000.0
        self.central = Side(Channel(Role.CENTRAL, session=session))
        self.peripheral = Side(Channel(Role.PERIPHERAL))

    def side(self, role: Role) -> Side:
        return self.central if role is Role.CENTRAL else self.peripheral

    def other(self, side: Side) -> Side:
        return self.peripheral if side is self.central else self.central

    def connect(self, largest: int = 244, peripheral_largest: int | None = None) -> None:
        self.peripheral.channel.connected(self.now, peripheral_largest or largest)
        self.central.channel.connected(self.now, largest)
        self.drain()

    def cut(self) -> None:
        for side in (self.central, self.peripheral):
            side.channel.disconnected(self.now)
            side.flying.clear()

    def drain(self) -> None:
        self.central.drain()
        self.peripheral.drain()

    def deliver_one(self, side: Side, *, lost: bool = False) -> bool:
        """Move one value that `side` has sent; False when there is none."""
        self.drain()
        if not side.flying:
            return False
        value = side.flying.popleft()
        if not lost:
            target = self.other(side)
            target.events += target.channel.receive(value, self.now)
        self.drain()
        return True

    def settle(self) -> None:
        """Deliver until nothing is in the air; the clock stands."""
        while self.deliver_one(self.central) or self.deliver_one(self.peripheral):
            pass

    def wait(self, side: Side) -> None:
        """Let the side's timer fire; nothing is delivered."""
        deadline = side.channel.deadline()
        assert deadline is not None
        self.now = max(self.now, deadline)
        side.events += side.channel.handle_timer(self.now)
        self.drain()

    def finish(self, steps: int = 200) -> None:
        """Deliver and let timers fire until both ends are idle."""
        for _ in range(steps):
            self.settle()
            due = [s for s in (self.central, self.peripheral) if s.channel.deadline() is not None]
            if not due or Link.FAILED in (self.central.channel.link, self.peripheral.channel.link):
                return
            self.wait(min(due, key=lambda side: side.channel.deadline() or 0.0))
        raise AssertionError("the channels do not come to rest")

    def open(self, largest: int = 244) -> Pair:
        """Connected, greeted, nothing told yet."""
        self.connect(largest)
        self.settle()
        assert self.central.told() == self.peripheral.told() == [Connected(resumed=False)]
        self.central.values.clear()
        self.peripheral.values.clear()
        return self


@pytest.fixture
def pair() -> Pair:
    return Pair().open()


@pytest.fixture
def new_pair() -> Callable[[], Pair]:
    return Pair


def message(size: int) -> bytes:
    """Bytes that differ from place to place, so that a slip shows."""
    return bytes((position * 7 + position // 251) % 256 for position in range(size))


@pytest.fixture(name="message")
def message_fixture() -> Callable[[int], bytes]:
    return message
