"""The real reader: its session machine, copied before each event and compared after it.

Sealing happens at once, as in the real shell, where nothing falls in between. The clock stands still and any
alarm may be the next: a phone can delay what it likes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

from protocol.identifiers import Digest
from protocol.messages import MessageType, Outcome
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

    what: str  # swiped, typed, mistyped, approved, not settled, leaked
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

    @classmethod
    def new(cls) -> ReaderInHand:
        """Switched on for the first time."""
        session = _session(())
        return cls(session, _last_screen(session.opening(), screens.Idle()))

    def copied(self) -> ReaderInHand:
        """The same, to be spoilt."""
        session = copy.copy(self.session)
        if session._payment is not None:
            session._payment = replace(session._payment, sent=list(session._payment.sent))
        owed = session._owed
        session._owed = OwedOutcomes(owed.records)
        session._owed.past = owed.past
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
            session._owed.past & {record.offer for record in session._owed.records},
            self.past & {record.offer for record in session._owed.records},
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
        told = Outcome.decode(inside(signed)).offer if kind is MessageType.OUTCOME else None
        return self._do(lambda: self.session.message(kind, signed, _NOW), told)

    def alarm(self, alarm: Alarm) -> Happened:
        running = self.session._alarms._set
        for each, (_, event) in list(running.items()):
            running[each] = (_NOW if each is alarm else _LATER, event)
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
        return self._do(lambda: self.session.enter_typed(_NOW))

    def power_cut(self) -> Happened:
        """Off and on again: what was owed is kept, all else is gone."""
        self.boots += 1
        session = _session(self.session.owed)
        self.session = session
        return self._do(session.opening)

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
                    if isinstance(screen, screens.Approved | screens.NotSettled):
                        about = told if told is not None else payment and payment.digest
                        assert about is not None
                        name = "approved" if isinstance(screen, screens.Approved) else "not settled"
                        facts.append(Fact(name, about))
                        if about in self.past:
                            facts.append(Fact("misplaced", about))
                case fx.SealCard(public_key=key, info=info):
                    assert card is not None
                    assert payment is not None
                    self.past = frozenset(record.offer for record in self.session.owed) - {payment.digest}
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


def _session(owed: tuple[OwedOutcome, ...]) -> Session:
    return Session(town.ALICES_READER, town.ISSUER_ID, town.BANK.public_key, LIMITS, owed)


def _last_screen(effects: Iterable[fx.Effects], before: Screen) -> Screen:
    shown = [effect.screen for effect in effects if isinstance(effect, fx.Show)]
    return shown[-1] if shown else before


def _shown_bill(screen: Screen) -> Bill:
    bill = getattr(screen, "bill", None)
    assert isinstance(bill, Bill)
    return bill
