"""The real reader: its session machine, copied before each event and compared after it.

Sealing happens at once, as in the real shell, where nothing falls in between. The clock stands still and any
alarm may be the next: a phone can delay what it likes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

from protocol.identifiers import Digest
from protocol.messages import MessageType, Outcome, Verdict
from protocol.sealing import seal_card, seal_pin
from reader_peripheral import effects as fx
from reader_peripheral import screens
from reader_peripheral.alarms import Alarm
from reader_peripheral.owed_outcomes import OwedOutcome, OwedOutcomes
from reader_peripheral.screens import Bill, Screen
from reader_peripheral.session import MOST_REFUSALS, Session
from reader_peripheral.settings import Limits
from reader_peripheral.transitions import State
from tests.explorer import town
from tests.explorer.crypto_once import inside, sealed
from tests.explorer.town import Plastic

LIMITS = Limits(swipes=1)
_LATER = 1.0
_NOW = 0.0


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a person did or saw at this reader."""

    what: str  # swiped, typed, mistyped, approved, not settled, leaked, misplaced, hidden
    offer: Digest
    bill: Bill | None = None
    card: str = ""


Happened = tuple[list[tuple[MessageType, bytes]], list[Fact]]


@dataclass(slots=True)
class ReaderInHand:
    """One reader between two events."""

    session: Session
    screen: Screen
    sessions: int = 0
    boots: int = 0
    past: frozenset[Digest] = frozenset()
    """Offers left without an outcome when the person swiped for another."""
    unread: Digest | None = None
    """The offer of which a person saw 'unknown' or was due to see 'approved', and has not read the end."""
    shown: Digest | None = None
    """The offer whose end is on the display."""

    @classmethod
    def new(cls) -> ReaderInHand:
        """Switched on for the first time."""
        session = _session(())
        return cls(session, _last_screen(session.opening(_NOW), screens.Idle()))

    def copied(self) -> ReaderInHand:
        """The same, to be spoilt."""
        session = copy.copy(self.session)
        if session._payment is not None:
            session._payment = replace(session._payment, sent=list(session._payment.sent))
        owed = session._owed
        session._owed = OwedOutcomes(owed.records)
        session._alarms = copy.copy(session._alarms)
        session._alarms._set = dict(session._alarms._set)
        # More than a phone can have: refusals without end, since each new session gives them anew.
        session._refusals_left, session._rejected = MOST_REFUSALS, None
        return replace(self, session=session)

    def identity(self) -> Hashable:
        """All that the reader's future depends on."""
        session, payment = self.session, self.session._payment
        in_hand = payment and (
            payment.digest,
            tuple(payment.sent),
            payment.card_envelope,
            payment.pin_request_digest,
            payment.pin_envelope,
            payment.refused,
            payment.unanswered,
        )
        alarms = tuple(
            sorted((alarm.value, event.value) for alarm, (_, event) in session._alarms._set.items())
        )
        seen = (
            type(self.screen),
            getattr(self.screen, "bill", None),
            getattr(self.screen, "last_four", None),
        )
        return (
            session.state,
            session._nonce,
            in_hand,
            session._owed.records,
            # Only what could be closed: a payment in hand ends with words of its own.
            payment is None and session._owed.find(session._shown or b"") is not None and session._shown,
            self.past & {record.offer for record in session._owed.records},
            self.unread,
            payment is None and self.shown == self.unread,
            alarms,
            seen,
            self.sessions,
            self.boots,
        )

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """Those that run."""
        return tuple(self.session._alarms._set)

    # -- what can happen; each gives what was sent and what people did or saw

    def new_session(self) -> Happened:
        self.sessions += 1
        return self._do(lambda: self.session.session_started(town.nonce(self.sessions), _NOW))

    def message(self, kind: MessageType, signed: bytes) -> Happened:
        outcome = Outcome.decode(inside(signed)) if kind is MessageType.OUTCOME else None
        before = self._without_outcome()
        happened = self._do(
            lambda: self.session.message(kind, signed, _NOW), outcome.offer if outcome else None
        )
        if outcome is not None and outcome.verdict is Verdict.APPROVED:
            taken = before - self._without_outcome() - self.past
            self.unread = outcome.offer if outcome.offer in taken else self.unread
        return happened

    def _without_outcome(self) -> frozenset[Digest]:
        return frozenset(record.offer for record in self.session.owed if record.outcome is None)

    def alarm(self, alarm: Alarm) -> Happened:
        running = self.session._alarms._set
        for each, (_, event) in list(running.items()):
            running[each] = (_NOW if each is alarm else _LATER, event)
        if alarm is Alarm.RESULT:
            self._read()
        return self._do(lambda: self.session.handle_timer(_NOW))

    def session_over(self) -> Happened:
        return self._do(lambda: self.session.session_over(_NOW))

    def phone_cancels(self) -> Happened:
        return self._do(lambda: self.session.phone_cancelled(_NOW))

    def person_cancels(self) -> Happened:
        return self._do(lambda: self.session.cancel_typed(_NOW))

    def person_has_read(self) -> Happened:
        if self.session.state is State.ENTERING_PIN:
            return [], []
        self._read()
        return self._do(lambda: self.session.enter_typed(_NOW))

    def _read(self) -> None:
        """What the display says has been there for its full time, or is closed."""
        if self.shown == self.unread:
            self.unread = None

    def power_cut(self) -> Happened:
        """Off and on again: what was owed is kept, all else is gone."""
        self.boots += 1
        session = _session(self.session.owed)
        self.session = session
        return self._do(lambda: session.opening(_NOW))

    def swipe(self, card: Plastic, bill: Bill | None = None) -> Happened:
        """`bill`: what the person takes it to be for, where that is not what the display says."""
        return self._do(lambda: self.session.card_read(_NOW), card=card, bill=bill)

    def type_pin(self, right: bool, bill: Bill | None = None) -> Happened:
        """The PIN of the card that the display names, or a wrong one."""
        if not isinstance(self.screen, screens.EnterPin):
            return [], []
        card = town.BY_LAST_FOUR[self.screen.last_four]
        for _ in range(4):
            self.session.digit_typed(_NOW)
        return self._do(lambda: self.session.enter_typed(_NOW), card=card, bill=bill, right=right)

    def _do(
        self,
        act: Callable[[], list[fx.Effects]],
        told: Digest | None = None,
        *,
        card: Plastic | None = None,
        bill: Bill | None = None,
        right: bool = True,
    ) -> Happened:
        sent: list[tuple[MessageType, bytes]] = []
        facts: list[Fact] = []
        payment = self.session._payment
        queue = act()
        while queue:
            effect = queue.pop(0)
            match effect:
                case fx.Send(message_type=kind, payload=payload) if kind is not MessageType.READER_HELLO:
                    sent.append((kind, payload))
                case fx.Show(screen=screen):
                    self.screen = screen
                    about = told if told is not None else payment and payment.digest
                    facts += self._seen(screen, about)
                case fx.SealCard(public_key=key, info=info):
                    assert card is not None
                    assert payment is not None
                    self.past = frozenset(record.offer for record in self.session.owed) - {payment.digest}
                    self.unread = None
                    facts.append(Fact("swiped", payment.digest, bill or _shown_bill(self.screen), card.name))
                    if key == town.CROOKS_PAYMENT_KEY.public_key:
                        facts.append(Fact("leaked", payment.digest, None, card.name))
                    queue += self.session.card_sealed(sealed(seal_card, key, card.plaintext(), info), _NOW)
                case fx.SealPin(public_key=key, info=info):
                    assert card is not None
                    assert payment is not None
                    word = "typed" if right else "mistyped"
                    facts.append(Fact(word, payment.digest, bill or _shown_bill(self.screen), card.name))
                    pin = card.pin_plaintext(None if right else town.WRONG_PIN)
                    queue += self.session.pin_sealed(sealed(seal_pin, key, pin, info), _NOW)
        return sent, facts

    def _seen(self, screen: Screen, about: Digest | None) -> list[Fact]:
        """`about`: the payment that is in hand, or whose outcome came; else it is one that was kept."""
        facts: list[Fact] = []
        self.shown = None
        match screen:
            case screens.Approved() | screens.NotSettled():
                kept = next((each.offer for each in self.session.owed if each.bill == screen.bill), None)
                if about is not None:  # or it is shown once more, since it has not been read
                    name = "approved" if isinstance(screen, screens.Approved) else "not settled"
                    facts.append(Fact(name, about))
                self.shown = about or kept
                if self.shown in self.past:
                    facts.append(Fact("misplaced", self.shown))
            case screens.Unknown():
                kept = next(each.offer for each in self.session.owed if each.bill == screen.bill)
                self.shown = self.unread = kept
            case screens.Idle() if self.unread is not None:
                facts.append(Fact("hidden", self.unread))
        return facts


def _session(owed: tuple[OwedOutcome, ...]) -> Session:
    return Session(town.ALICES_READER, town.ISSUER_ID, town.BANK.public_key, LIMITS, owed)


def _last_screen(effects: Iterable[fx.Effects], before: Screen) -> Screen:
    shown = [effect.screen for effect in effects if isinstance(effect, fx.Show)]
    return shown[-1] if shown else before


def _shown_bill(screen: Screen) -> Bill:
    bill = getattr(screen, "bill", None)
    assert isinstance(bill, Bill)
    return bill
