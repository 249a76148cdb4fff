"""The real issuer, one payment and one event at a time: its table, steps, effects, desk and envelopes.

Nothing in them waits here (tables and bus answer at once), so a coroutine runs to its end in one `send`. A
payment's memory is copied before each event and compared after it.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections import deque
from collections.abc import Coroutine, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from issuer_server.background import Background
from issuer_server.handset_desk import HandsetDesk
from issuer_server.key_custody.file_keys import IssuerKeys
from issuer_server.live_payments import LivePayment, LivePayments, PaymentSecrets
from issuer_server.outcomes import outcome_of
from issuer_server.parts import IssuerParts
from issuer_server.payment import DEADLINE_EVENTS, PAYMENT_TABLE, Deadlines, PaymentEvent, PaymentState
from issuer_server.payment_effects import PaymentEffects
from issuer_server.payment_steps import PaymentSteps
from issuer_server.storage.records import CardRecord, ReaderRecord
from protocol.identifiers import CardId, ReaderId
from protocol.messages import NotSettled
from protocol.signing import sign_message
from protocol.track_data import CardData
from tests.explorer import town
from tests.explorer.payments_table import Tables

T = TypeVar("T")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nobody."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("the issuer waited for something")


class _Now(Background):
    """No tasks: what must be whole is done on the spot, and no timer of ours ever calls."""

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        raise AssertionError("nothing starts by itself here")


class _NoTimer:
    def cancel(self) -> None:
        pass


class _StoppedClock:
    """Time passes by the explorer's hand only."""

    def now(self) -> float:
        return 0.0

    def call_later(self, seconds: float, callback: object) -> _NoTimer:
        return _NoTimer()


class _Wire:
    """The bus: every phone is there, and everything that is said to one is heard."""

    def __init__(self) -> None:
        self.to_reader: list[tuple[str, bytes]] = []

    async def request(self, subject: str, payload: bytes) -> bytes:
        kind, _, who = subject.partition(".")
        if kind == "call":
            return next(h for c, h in town.HANDSETS.items() if c == who).encode()
        frame = json.loads(payload)
        if frame["type"] == "to_reader":
            self.to_reader.append((frame["kind"], base64.urlsafe_b64decode(frame["data"] + "==")))
        return b""

    async def publish(self, subject: str, payload: bytes) -> None:
        pass


class IssuerInHand:
    """What is the same for all payments. `tables` are set before each event."""

    def __init__(
        self, readers: dict[ReaderId, ReaderRecord], *, pin_attempts: int, ties_cards: bool = True
    ) -> None:
        self.tables = Tables(readers, ties_cards=ties_cards)
        self.tables.index = {town.CARD_KEYS.pan_index(card.pan.encode()): card.id for card in town.PLASTIC}
        self.wire = _Wire()
        self._seed = b""
        parts = IssuerParts(
            issuer_id=town.ISSUER_ID,
            keys=IssuerKeys(town.BANK, town.CARD_KEYS),
            storage=self.tables,  # type: ignore[arg-type]
            bus=self.wire,  # type: ignore[arg-type]
            timers=_StoppedClock(),
            deadlines=Deadlines(),
            pin_attempts=pin_attempts,
            clock=lambda: town.NOON,
            entropy=lambda size: hashlib.shake_256(self._seed).digest(size),
        )
        payments, background = LivePayments(), _Now()
        self._steps = PaymentSteps(
            PaymentEffects(parts, payments),
            parts.storage,
            parts.bus,
            parts.timers,
            parts.deadlines,
            background,
        )
        self._desk = HandsetDesk(parts, payments, self._steps, background)

    def event(self, live: LivePayment, cards: tuple[CardRecord, ...], what: tuple[Any, ...]) -> None:
        """Let something happen to a payment; what came of it is in `live`, `tables` and `wire`."""
        self.tables.payments = {live.id: live.record}
        self.tables.cards = {card.id: card for card in cards}
        self.tables.paying = live.record.cardholder_id
        self.tables.settled, self.tables.tries_used, self.wire.to_reader = [], [], []
        match what:
            case ("ask",):
                at_once(self._desk.call(live))
            case ("say", dict(frame)):
                self._seed = json.dumps(frame).encode()
                word = {
                    "handset_id": town.HANDSETS[live.record.cardholder_id],
                    "frame": {**frame, "payment_id": live.id},
                }
                at_once(self._desk.heard(live, json.dumps(word).encode()))
            case ("time",):
                self._take(live, DEADLINE_EVENTS.get(live.state))
            case ("cancel",):
                self._take(live, PaymentEvent.CANCELLED_BY_MERCHANT)
            case ("restart",):
                self._restart(live)
            case _:
                raise AssertionError(what)
        if live.state.is_final and (outcome := outcome_of(live.record)) is not None:
            # The phone may ask for it at any time and gets the same bytes.
            self.wire.to_reader.append(("outcome", sign_message(town.BANK, outcome)))

    def _take(self, live: LivePayment, event: PaymentEvent | None) -> None:
        if event is not None and PAYMENT_TABLE.allows(live.state, event):
            at_once(self._steps.take(live, event))

    @staticmethod
    def _restart(live: LivePayment) -> None:
        """The memory is gone; the start's sweep ends what the database has in flight."""
        if not live.record.state.is_final:
            live.state, live.reason = PaymentState.NOT_SETTLED, NotSettled.ISSUER_RESTARTED
            live.record = replace(live.record, state=live.state, reason=live.reason)
            live.secrets.drop()


def copied(live: LivePayment) -> LivePayment:
    """A payment's memory, to be spoilt."""
    secrets = live.secrets
    key = None
    if secrets.key is not None:
        key = copy.copy(secrets.key)
        key._opened = set(secrets.key._opened)
    plaintext = None if secrets.card_plaintext is None else bytearray(secrets.card_plaintext)
    fresh = PaymentSecrets(
        key,
        secrets.card_envelope,
        secrets.pin_envelope,
        plaintext,
        None if secrets.card is None or plaintext is None else CardData.parse(plaintext),
        None if secrets.pin is None else bytearray(secrets.pin),
    )
    return replace(live, secrets=fresh, pending=deque(live.pending))


def identity(live: LivePayment) -> Hashable:
    """All that the payment's future depends on."""
    secrets = live.secrets
    assert not live.pending
    assert not live.lock.locked()
    assert live.record.state is (live.state if live.state.is_final else live.record.state)
    return (
        live.record,
        live.state,
        live.reason,
        live.reader,
        live.signed_offer,
        live.card_envelope_digest,
        live.pin_request_digest,
        live.pin_envelope_digest,
        live.last_message_digest,
        None if live.card is None else live.card.id,
        live.pin_tries_left,
        live.pin_attempts,
        None if secrets.key is None else frozenset(secrets.key._opened),
    )


def cards_at_first() -> tuple[CardRecord, ...]:
    """All cards with all their tries."""
    return tuple(town.card_record(card, 3) for card in town.PLASTIC)


def owner_of(card_id: CardId) -> Any:
    """Whose card it is, whatever the tables say."""
    return town.BY_ID[card_id].owner
