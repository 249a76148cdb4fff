"""How good the radio is: connection interval, packets an event, loss. Pure; equal seeds, equal weather."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from protocol.errors import InputError

LINK_LAYER_PAYLOAD: Final = 251
"""Bytes of L2CAP in one LE data packet, with data length extension (Core 5.4, 6.B.4.5.10)."""
SUPERVISION_TIMEOUT: Final = 0.42
"""Seconds: BlueZ's default."""
_EVENT_SLACK: Final = 1e-3
"""Of an interval: timers and floats are this exact."""


@dataclass(frozen=True, slots=True)
class RadioConditions:
    """The air between two radios. The default is no delay and no loss.

    `connection_interval` is in seconds; data moves only at connection events, at most `packets_per_event`
    packets in each direction. `loss` is the chance that a packet is not heard: the link layer sends it
    again at the next event, so loss is delay and, after `supervision_timeout` seconds without success, a
    lost link. `lost_notifications` is the chance that a notification vanishes above the link layer, as in
    an overrun D-Bus queue: nobody sends it again.
    """

    connection_interval: float = 0.0
    packets_per_event: int = 4
    loss: float = 0.0
    lost_notifications: float = 0.0
    supervision_timeout: float = SUPERVISION_TIMEOUT
    seed: int = 0

    def __post_init__(self) -> None:
        if self.connection_interval and not 0.0075 <= self.connection_interval <= 4.0:
            raise ValueError("a connection interval is 7.5 ms to 4 s (Core 5.4, 4.E.7.8.12); 0 is no delay")
        if self.packets_per_event < 1 or self.supervision_timeout <= 0:
            raise ValueError("packets_per_event and supervision_timeout are above zero")
        if not 0 <= self.loss <= 1 or not 0 <= self.lost_notifications <= 1:
            raise ValueError("loss is a chance from 0 to 1")
        if self.loss and not self.connection_interval:
            raise ValueError("loss is a delay until the next event: give a connection interval")

    @classmethod
    def asked_for(cls, interval_ms: float, loss: float) -> RadioConditions:
        """What a person asked a command for: milliseconds and a fraction. Raises InputError (invalid_radio).

        The supervision timeout grows with a long interval, as devices choose it: events must fit into it.
        """
        if interval_ms and not 7.5 <= interval_ms <= 4000:
            raise InputError("invalid_radio", "--radio-interval is 7.5 to 4000 milliseconds, or 0.")
        if not 0 <= loss < 1:
            raise InputError("invalid_radio", "--radio-loss is a fraction from 0 to below 1, such as 0.2.")
        if loss and not interval_ms:
            raise InputError(
                "invalid_radio",
                "What is lost is sent again an interval later: give --radio-interval with --radio-loss.",
            )
        interval = interval_ms / 1000
        return cls(interval, loss=loss, supervision_timeout=max(SUPERVISION_TIMEOUT, 10 * interval))


class Air:
    """One direction of one link: says when a packet handed over at `now` is heard, in order."""

    def __init__(self, conditions: RadioConditions, chance: random.Random, established: float) -> None:
        self._conditions = conditions
        self._chance = chance
        self._established = established
        self._event = 0  # the connection event that the next packet may use
        self._used = 0  # packets that went out in it

    def arrival(self, size: int, now: float) -> float | None:
        """When an L2CAP PDU of `size` bytes is there; None when the link times out before."""
        interval = self._conditions.connection_interval
        if not interval:
            return now
        for _ in range(max(1, -(-size // LINK_LAYER_PAYLOAD))):
            self._wait_until(now)
            first = self._event
            while self._chance.random() < self._conditions.loss:
                self._next_event()  # a packet that is not heard also ends the event
                if (self._event - first) * interval > self._conditions.supervision_timeout:
                    return None
            if self._used == self._conditions.packets_per_event:
                self._next_event()
            self._used += 1
        return self._established + self._event * interval

    def notification_vanishes(self) -> bool:
        """Whether the next notification is lost above the link layer."""
        return self._chance.random() < self._conditions.lost_notifications

    def _wait_until(self, now: float) -> None:
        interval = self._conditions.connection_interval
        # An answer to what was heard at an event is given at that event's time, or a rounding error before
        # it: it waits for the next one all the same.
        soonest = int((now - self._established) / interval + _EVENT_SLACK) + 1
        if soonest > self._event:
            self._event, self._used = soonest, 0

    def _next_event(self) -> None:
        self._event, self._used = self._event + 1, 0
