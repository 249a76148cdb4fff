"""Any mix of lost values, early timers, cuts and restarts: once and in order, or the loss is told."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.errors import LocalProtocolError
from protocol.framing import (
    Channel,
    Connected,
    Delivered,
    Event,
    Link,
    MessageReceived,
    PeerFailed,
    Role,
    SessionLost,
)
from protocol.messages import MessageType

ENDS = st.sampled_from([0, 1])
SIZES = st.one_of(st.integers(4, 60), st.sampled_from([300, 1300, 4096]))


class End:
    """One channel and the account of what it sent and what was told to it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.flying: list[bytes] = []
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self.by_id: dict[int, bytes] = {}
        self.may_be_lost: set[bytes] = set()
        self.greeted = False

    def give_up(self) -> None:
        """What this end sent so far may be lost: it was told so."""
        self.may_be_lost.update(self.sent)
        self.by_id.clear()


class Weather(RuleBasedStateMachine):
    """Index 0 is the central, 1 the peripheral."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.session = 1
        self.number = 0
        self.up = False
        self.ends = [End(Channel(Role.CENTRAL, session=1)), End(Channel(Role.PERIPHERAL))]

    @initialize(largest=st.integers(20, 510))
    def first_link(self, largest: int) -> None:
        self.connect(largest, largest)

    @precondition(lambda self: not self.up)
    @rule(central=st.integers(20, 510), peripheral=st.integers(20, 510))
    def connect(self, central: int, peripheral: int) -> None:
        self.up = True
        self.ends[1].channel.connected(self.now, peripheral)
        self.ends[0].channel.connected(self.now, central)
        self.drain()

    @precondition(lambda self: self.up)
    @rule()
    def cut(self) -> None:
        self.up = False
        for end in self.ends:
            end.channel.disconnected(self.now)
            end.flying.clear()

    @rule(which=ENDS, size=SIZES)
    def send(self, which: int, size: int) -> None:
        end = self.ends[which]
        self.number += 1
        # Different at every place, so that bytes put together wrongly are no message that was sent.
        body = self.number.to_bytes(4, "big") + random.Random(self.number).randbytes(size - 4)
        try:
            message_id = end.channel.send(MessageType.KEY_OFFER, body, self.now)
        except LocalProtocolError:
            return  # no session, or too many wait: told to the caller, nothing sent
        end.sent.append(body)
        end.by_id[message_id] = body
        self.drain()

    @precondition(lambda self: self.up)
    @rule(which=ENDS, count=st.integers(1, 40))
    def deliver(self, which: int, count: int) -> None:
        end, peer = self.ends[which], self.ends[1 - which]
        for _ in range(count):
            if not end.flying or not self.up:
                return
            self.take(1 - which, peer.channel.receive(end.flying.pop(0), self.now))

    @precondition(lambda self: self.up)
    @rule(which=ENDS, place=st.integers(0, 30), count=st.integers(1, 3))
    def lose(self, which: int, place: int, count: int) -> None:
        del self.ends[which].flying[place : place + count]

    @rule(which=ENDS)
    def timer(self, which: int) -> None:
        """A timer fires; values in the air are merely slow, so what it sends again is a duplicate."""
        deadline = self.ends[which].channel.deadline()
        if deadline is not None:
            self.now = max(self.now, deadline)
            self.take(which, self.ends[which].channel.handle_timer(self.now))

    @rule()
    def central_restarts(self) -> None:
        if self.up:
            self.cut()
        self.session += 1000
        self.ends[0].channel = Channel(Role.CENTRAL, session=self.session)
        self.ends[0].greeted = False
        self.ends[0].give_up()

    @rule()
    def peripheral_restarts(self) -> None:
        if self.up:
            self.cut()
        self.ends[1].channel = Channel(Role.PERIPHERAL)
        self.ends[1].greeted = False
        self.ends[1].give_up()

    def take(self, which: int, events: list[Event]) -> None:
        end, peer = self.ends[which], self.ends[1 - which]
        for event in events:
            match event:
                case MessageReceived(_, body):
                    assert body in peer.sent
                    assert body not in end.received, "delivered twice"
                    assert not end.received or body > end.received[-1], "out of order"
                    end.received.append(body)
                case Delivered(message_id):
                    assert end.by_id.pop(message_id) in peer.received, "acknowledged, yet not there"
                case Connected(resumed):
                    assert not resumed or end.greeted
                    end.greeted = True
                case SessionLost() | PeerFailed():
                    end.give_up()
        self.drain()
        if self.up and end.channel.link is Link.FAILED:
            self.finish_failure(which)

    def finish_failure(self, which: int) -> None:
        """As the adapters do: send what is left, the ERROR among it, then drop the link."""
        end, peer = self.ends[which], self.ends[1 - which]
        leftover, end.flying = end.flying, []
        for value in leftover:
            if peer.channel.link is not Link.FAILED and self.up:
                self.take(1 - which, peer.channel.receive(value, self.now))
        if self.up:
            self.cut()

    def drain(self) -> None:
        for end in self.ends:
            values = end.channel.values_to_send()
            assert all(len(value) <= end.channel.largest_value for value in values)
            end.flying += values

    @invariant()
    def nothing_is_lost_in_silence(self) -> None:
        for end, peer in (self.ends, self.ends[::-1]):
            assert len(end.flying) < 5000
            if not end.may_be_lost:
                assert peer.received == end.sent[: len(peer.received)]

    def teardown(self) -> None:
        """Fair weather at last: everything arrives that was not told to be lost."""
        for _ in range(60):
            if not self.up:
                self.connect(244, 244)
            for _ in range(400):
                if not self.up or not any(end.flying for end in self.ends):
                    break
                self.deliver(0, 50)
                if self.up:
                    self.deliver(1, 50)
            if self.up and all(end.channel.deadline() is None for end in self.ends):
                break
            due = [which for which in (0, 1) if self.ends[which].channel.deadline() is not None]
            if due:
                self.timer(min(due, key=lambda which: self.ends[which].channel.deadline() or 0.0))
        for end, peer in (self.ends, self.ends[::-1]):
            assert end.channel.idle
            missing = set(end.sent) - set(peer.received)
            assert missing <= end.may_be_lost, "lost, and nobody was told"


Weather.TestCase.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestWeather = Weather.TestCase


@given(
    seed=st.integers(0, 1 << 32),
    loss=st.sampled_from([0.0, 0.02, 0.2]),
    cuts=st.sampled_from([0.0, 0.01, 0.1]),
    timers=st.sampled_from([0.02, 0.2]),
    restarts=st.sampled_from([0.0, 0.0, 0.01]),
    largest=st.sampled_from([20, 100, 510]),
)
@settings(max_examples=300, deadline=None)
def test_a_long_walk_through_the_weather(
    seed: int, loss: float, cuts: float, timers: float, restarts: float, largest: int
) -> None:
    """The machine above tries short tricks; this goes far, with most values arriving."""
    chance, weather = random.Random(seed), Weather()
    weather.connect(largest, largest)
    for _ in range(400):
        which = chance.randrange(2)
        if chance.random() < loss:
            weather.lose(which, chance.randrange(3), chance.randrange(1, 3))
        if chance.random() < timers:
            weather.timer(which)
        if chance.random() < restarts:
            chance.choice([weather.central_restarts, weather.peripheral_restarts])()
        if weather.up and chance.random() < cuts:
            weather.cut()
        if not weather.up:
            weather.connect(largest, chance.choice([20, largest]))
        if chance.random() < 0.3:
            weather.send(which, chance.choice([4, 10, 40, 300, 1500]))
        for end in (0, 1):
            if weather.up:
                weather.deliver(end, chance.randrange(1, 6))
        weather.nothing_is_lost_in_silence()
    weather.teardown()
