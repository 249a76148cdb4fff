"""Takes a payment from step to step: reads the table, carries out the effects, feeds what they find back in.

A move is made under the payment's lock. What must be told is told after the commit that makes it true. An
ending whose commit fails stays pending and is tried again; and where the database turns out to be elsewhere
(a commit whose answer was lost), the database is right.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

from issuer_server.background import Background
from issuer_server.bus.port import Bus, moved_subject
from issuer_server.deadlines import Timers
from issuer_server.live_payments import LivePayment
from issuer_server.operations.observing import NOBODY, Observer
from issuer_server.payment import (
    DEADLINE_EVENTS,
    NOT_SETTLED_REASONS,
    PAYMENT_TABLE,
    Deadlines,
    Effect,
    PaymentEvent,
    PaymentState,
)
from issuer_server.payment_effects import PaymentEffects, StaleState
from issuer_server.storage.port import Storage

_log = logging.getLogger(__name__)

TRY_AGAIN_AFTER: Final = 1.0
"""Seconds until an ending that could not be committed is tried again."""


class PaymentSteps:
    """The one place that moves payments."""

    def __init__(
        self,
        effects: PaymentEffects,
        storage: Storage,
        bus: Bus,
        timers: Timers,
        deadlines: Deadlines,
        background: Background,
        observer: Observer = NOBODY,
    ) -> None:
        self._effects = effects.methods
        self._storage = storage
        self._bus = bus
        self._timers = timers
        self._deadlines = deadlines
        self._background = background
        self._observer = observer

    async def take(self, live: LivePayment, event: PaymentEvent) -> None:
        """Make the move for `event` and all that follows from it; the caller holds the lock.

        Raises IllegalTransition, with nothing changed, where the table has no such move.
        """
        following: PaymentEvent | None = event
        while following is not None:
            move = PAYMENT_TABLE.step(live.state, following)
            live.reason = NOT_SETTLED_REASONS.get(following, live.reason)
            if move.to is not live.state:
                live.state = move.to
                self.start_deadline(live)
                if not live.state.is_final:  # the end is told once it is committed, by TELL_MERCHANT
                    await self._bus.publish(moved_subject(live.id), b"")
            live.pending = deque(move.effects)
            self._observer.payment_moved(live.record, following, live.state)
            _log.info(
                "payment %s: %s, %s%s",
                live.id,
                following.name.lower(),
                live.state.value,
                f" ({live.reason.value})" if live.reason else "",
                extra={
                    "payment_id": live.id,
                    "event": following.name.lower(),
                    "state": live.state.value,
                    "reason": live.reason.value if live.reason else None,
                },
            )
            following = await self._carry_on(live)

    def start_deadline(self, live: LivePayment) -> None:
        """Start the clock of the state just entered; the one before it stops."""
        live.forget_deadline()
        event, seconds = DEADLINE_EVENTS.get(live.state), self._deadlines.of(live.state)
        if event is not None and seconds is not None:
            state, deadline = live.state, self._timers.now() + seconds
            live.deadline = deadline
            live.timer = self._timers.call_later(
                seconds, lambda: self._background.start(self._time_over(live, state, deadline))
            )

    async def _time_over(self, live: LivePayment, state: PaymentState, deadline: float) -> None:
        async with live.lock:
            # The lock may have been held by the very message that was waited for.
            if live.state is state and live.deadline == deadline:
                await self.take(live, DEADLINE_EVENTS[state])

    async def _carry_on(self, live: LivePayment) -> PaymentEvent | None:
        """Carry out what is pending; the event that the last effect found, or that its failure means."""
        while live.pending:
            effect = live.pending[0]
            try:
                with self._observer.effect(live.record, effect):
                    following = await self._effects[effect](live)
            except StaleState:
                return await self._reconcile(live)
            except Exception as error:  # noqa: BLE001 - every failure must end the payment, not the process
                _log.error(
                    "payment %s: %s failed: %s",
                    live.id,
                    effect.name.lower(),
                    type(error).__name__,
                    extra={"payment_id": live.id, "effect": effect.name.lower()},
                )
                if not live.state.is_final:
                    return PaymentEvent.FAULT
                if effect is Effect.STORE:
                    self._try_again_later(live)
                    return None
                following = None  # telling one party failed; the others must still hear
            live.pending.popleft()
            if following is not None:
                return following
        return None

    def _try_again_later(self, live: LivePayment) -> None:
        live.timer = self._timers.call_later(
            TRY_AGAIN_AFTER, lambda: self._background.start(self._finish(live))
        )

    async def _finish(self, live: LivePayment) -> None:
        async with live.lock:
            live.timer = None
            await self._carry_on(live)

    async def _reconcile(self, live: LivePayment) -> PaymentEvent | None:
        """The database is elsewhere: a commit's answer was lost, or somebody else ended the payment."""
        try:
            stored = await self._storage.payment(live.id)
        except Exception as error:  # noqa: BLE001 - as above
            _log.error("payment %s: cannot be read: %s", live.id, type(error).__name__)
            stored = None
        news = stored is not None and stored.state is not live.record.state
        if stored is not None:
            live.record = stored
        if live.record.state.is_final:
            live.state, live.reason = live.record.state, live.record.reason
            live.forget_deadline()
            live.secrets.drop()
            live.pending = deque((Effect.SEND_OUTCOME, Effect.TELL_PHONE, Effect.TELL_MERCHANT))
            return await self._carry_on(live)
        if not live.state.is_final:
            return PaymentEvent.FAULT
        if news:
            return await self._carry_on(live)  # the ending goes out from the state that is really there
        self._try_again_later(live)
        return None
