"""The times at which the reader's machine wants to be woken, and by which event. Pure."""

from __future__ import annotations

from enum import Enum

from reader_peripheral.transitions import Event


class Alarm(Enum):
    """What is waited for. At most one of each kind runs."""

    STEP = "step"  # a card, a PIN or an answer
    RESUME = "resume"  # the phone's return
    RESULT = "result"  # the person has had time to read the display


class Alarms:
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self._set: dict[Alarm, tuple[float, Event]] = {}

    def set(self, alarm: Alarm, at: float, event: Event) -> None:
        """Run one alarm, replacing one of its kind."""
        self._set[alarm] = (at, event)

    def clear(self, *alarms: Alarm) -> None:
        """Stop some, if they run."""
        for alarm in alarms:
            self._set.pop(alarm, None)

    def next(self) -> float | None:
        """When the first goes off."""
        return min((at for at, _ in self._set.values()), default=None)

    def pop_due(self, now: float) -> Event | None:
        """The event of the earliest alarm that is due by `now`, which stops running; None when none is."""
        due = [(at, alarm.value, alarm) for alarm, (at, _) in self._set.items() if at <= now]
        return self._set.pop(min(due)[2])[1] if due else None
