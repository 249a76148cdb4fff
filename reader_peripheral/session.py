"""The reader's session machine: pure. Bytes, keys and times come in as arguments, effects go out as values.

It holds offers, hashes and counts, never card data, PIN digits or anything that opens an envelope.
transitions.py says what follows what; this module checks what the phone brings and fills the effects in.
"""

from __future__ import annotations

from collections.abc import Iterable

from protocol.errors import PeerError
from protocol.gatt import Status
from protocol.identifiers import Digest, IssuerId, Nonce, PublicKey, reader_id
from protocol.messages import (
    PROTOCOL_VERSION,
    Message,
    MessageType,
    Outcome,
    PinRequest,
    ReaderHello,
    Refusal,
    RefusalReason,
)
from protocol.signing import Signer, digest
from protocol.track_data import TrackFault
from reader_peripheral import effects as fx
from reader_peripheral import screens
from reader_peripheral.alarms import Alarm, Alarms
from reader_peripheral.issuer_words import IssuerWords
from reader_peripheral.owed_outcomes import OwedOutcome, OwedOutcomes
from reader_peripheral.payment_in_hand import Payment
from reader_peripheral.settings import Limits
from reader_peripheral.transitions import TABLE, Effect, Event, State

SHORTEST_PIN = 4
LONGEST_PIN = 12  # ISO 9564-1
# Refused offers that are answered in one session; the link's queue keeps room for the payment's own messages.
MOST_REFUSALS = 2

_REFUSED_BY = {
    Event.SWIPE_BAD_LAST: RefusalReason.UNREADABLE_CARD,
    Event.OFFER_TIME_UP: RefusalReason.NO_SWIPE,
    Event.PIN_TIME_UP: RefusalReason.NO_PIN,
    Event.USER_CANCELLED: RefusalReason.USER_CANCELLED,
    Event.READER_FAILED: RefusalReason.READER_FAULT,
}


class Session:
    """One reader's machine, for all its payments, one after the other.

    `key` signs as this reader; `issuer_id` and `issuer_key` are the pinned issuer's. Every method takes `now`
    (monotonic seconds) and returns effects to be carried out in order. What a phone or a person does at the
    wrong moment has no effect; a wrong call from inside the reader raises IllegalTransition.
    """

    def __init__(
        self,
        key: Signer,
        issuer_id: IssuerId,
        issuer_key: PublicKey,
        limits: Limits,
        owed: Iterable[OwedOutcome] = (),
    ) -> None:
        self._key = key
        self._reader_id = reader_id(key.public_key)
        self._issuer = IssuerWords(issuer_id, issuer_key, self._reader_id)
        self._limits = limits
        self._state = TABLE.initial
        self._nonce: Nonce | None = None
        self._payment: Payment | None = None
        self._owed = OwedOutcomes(owed)
        self._kept = self._owed.records
        self._result: OwedOutcome | None = None
        self._shown: Digest | None = None  # the offer of the payment that the display tells of
        self._status = Status.IDLE
        self._refusals_left = MOST_REFUSALS
        self._rejected: Digest | None = None
        self._sealed: bytes = b""
        self._alarms = Alarms()

    @property
    def state(self) -> State:
        """Where the payment stands."""
        return self._state

    @property
    def owed(self) -> tuple[OwedOutcome, ...]:
        """Payments whose outcome has not come or not been read, in hand last: what must survive a restart."""
        in_hand = (self._payment.owed(),) if self._payment and self._payment.sent else ()
        return (*self._owed.records, *in_hand)

    def opening(self, now: float) -> list[fx.Effects]:
        """What to show when the reader is switched on: perhaps what had not been read when it went off."""
        return self._ready(now)

    def session_started(self, nonce: Nonce, now: float) -> list[fx.Effects]:
        """A phone opened a new session. `nonce`: 16 fresh random bytes, good for one offer."""
        self._nonce = nonce
        self._refusals_left = MOST_REFUSALS
        return self._step(Event.SESSION_STARTED, now)

    def link_lost(self, now: float) -> list[fx.Effects]:
        """The phone is gone; the payment is kept for the resume window."""
        return self._step(Event.LINK_LOST, now)

    def link_resumed(self, now: float) -> list[fx.Effects]:
        """The phone is back in the same session."""
        return self._step(Event.LINK_RESUMED, now)

    def session_over(self, now: float) -> list[fx.Effects]:
        """The link cannot go on with this session, whatever the phone does."""
        return self._step_if_listed(Event.SESSION_OVER, now)

    def phone_cancelled(self, now: float) -> list[fx.Effects]:
        """The phone asks to end the payment: only before the card is sent."""
        return self._step_if_listed(Event.PHONE_CANCELLED, now)

    def message(self, message_type: MessageType, signed: bytes, now: float) -> list[fx.Effects]:
        """A whole message from the phone: checked here, believed only if the pinned issuer signed it."""
        match message_type:
            case MessageType.KEY_OFFER:
                return self._offer(signed, now)
            case MessageType.PIN_REQUEST:
                return self._pin_request(signed, now)
            case MessageType.OUTCOME:
                return self._outcome(signed, now)
            case _:
                return [fx.Note(f"dropped a message of type {message_type.name}: not for a reader")]

    def _offer(self, signed: bytes, now: float) -> list[fx.Effects]:
        reference = digest(signed)
        if self._owed.awaits(reference) or (self._payment and self._payment.digest == reference):
            # A phone that repeats an offer must not get a signed refusal of it to end that payment with.
            return [fx.Note("dropped an offer that was taken before")]
        try:
            offer = self._issuer.open_offer(signed, self._nonce, paying=self._payment is not None)
        except PeerError as problem:
            self._rejected = reference
            return [fx.Note(f"refused an offer: {problem}"), *self._step(Event.OFFER_REJECTED, now)]
        self._payment = Payment(offer, reference, swipes_left=self._limits.swipes)
        return self._step(Event.OFFER_ACCEPTED, now)

    def _pin_request(self, signed: bytes, now: float) -> list[fx.Effects]:
        payment = self._payment
        if payment is None or not TABLE.allows(self._state, Event.PIN_REQUESTED):
            return [fx.Note(f"dropped a PIN request: {self._state.value}")]
        try:
            request = self._issuer.open(signed, PinRequest)
        except PeerError as problem:
            return [fx.Note(f"refused a PIN request: {problem}")]
        if not payment.take_pin_request(request, digest(signed)):
            return [fx.Note("refused a PIN request: it is not bound to what this reader sent")]
        return self._step(Event.PIN_REQUESTED, now)

    def _outcome(self, signed: bytes, now: float) -> list[fx.Effects]:
        try:
            outcome = self._issuer.open(signed, Outcome)
        except PeerError as problem:
            return [fx.Note(f"refused an outcome: {problem}")]
        record = self._owed.find(outcome.offer)
        event = Event.PAST_OUTCOME if record is not None and record.past else Event.EARLIER_OUTCOME
        if self._payment is not None and outcome.offer == self._payment.digest:
            record, event = self._payment.owed(), Event.OUTCOME
        if record is None or record.outcome is not None:
            return [fx.Note("dropped an outcome: no payment of this reader waits for it")]
        if not record.accepts(outcome):
            return [fx.Note("refused an outcome: it does not answer what this reader sent")]
        self._result = self._owed.take(record, outcome)
        effects = self._step(event, now)
        self._result = None
        return effects

    def card_read(self, now: float) -> list[fx.Effects]:
        """A card was swiped and reads well. No SealCard among the effects: it was not wanted, wipe it."""
        return self._step_if_listed(Event.CARD_READ, now)

    def swipe_failed(self, fault: TrackFault, now: float) -> list[fx.Effects]:
        """A swipe could not be used."""
        if self._state is not State.AWAITING_SWIPE or self._payment is None:
            return []
        more = self._payment.count_bad_swipe(fault)
        return self._step(Event.SWIPE_BAD if more else Event.SWIPE_BAD_LAST, now)

    def card_sealed(self, sealed: bytes, now: float) -> list[fx.Effects]:
        """The answer to SealCard."""
        self._sealed = sealed
        return self._step(Event.CARD_SEALED, now)

    def pin_sealed(self, sealed: bytes, now: float) -> list[fx.Effects]:
        """The answer to SealPin."""
        self._sealed = sealed
        return self._step(Event.PIN_SEALED, now)

    def reader_failed(self, now: float) -> list[fx.Effects]:
        """This reader could not seal, or not show what a person must see."""
        return self._step_if_listed(Event.READER_FAILED, now)

    def digit_typed(self, now: float) -> list[fx.Effects]:
        """A digit key, no matter which. It counts when KeepDigit is among the effects."""
        full = self._payment is not None and self._payment.stars >= LONGEST_PIN
        return self._step_if_listed(Event.DIGIT_TOO_MANY if full else Event.DIGIT, now)

    def clear_typed(self, now: float) -> list[fx.Effects]:
        """The Clear key: the last digit goes."""
        return self._step_if_listed(Event.DIGIT_CLEARED, now)

    def enter_typed(self, now: float) -> list[fx.Effects]:
        """The Enter key: the PIN is complete, or the result has been read."""
        if self._state is not State.ENTERING_PIN or self._payment is None:
            return self._step_if_listed(Event.USER_CONFIRMED, now)
        if self._payment.hint is screens.PinHint.TOO_LONG:
            return self._step(Event.DIGIT_TOO_MANY, now)  # a cut PIN is a wrong PIN: Clear comes first
        short = self._payment.stars < SHORTEST_PIN
        return self._step(Event.PIN_TOO_SHORT if short else Event.PIN_COMPLETE, now)

    def cancel_typed(self, now: float) -> list[fx.Effects]:
        """The Cancel key."""
        return self._step_if_listed(Event.USER_CANCELLED, now)

    def deadline(self) -> float | None:
        """When `handle_timer` wants to be called next."""
        return self._alarms.next()

    def handle_timer(self, now: float) -> list[fx.Effects]:
        """Let time pass to `now`. Early calls do nothing."""
        effects: list[fx.Effects] = []
        while event := self._alarms.pop_due(now):
            effects += self._step(event, now)
        return effects

    def _step_if_listed(self, event: Event, now: float) -> list[fx.Effects]:
        """For what comes from people and phones, who may do anything at any time."""
        return self._step(event, now) if TABLE.allows(self._state, event) else []

    def _step(self, event: Event, now: float) -> list[fx.Effects]:
        move = TABLE.step(self._state, event)
        effects: list[fx.Effects] = []
        for effect in move.effects:
            effects += self._fill_in(effect, event, now)
        self._state = move.to
        if self.owed != self._kept:
            self._kept = self.owed
            # First of all: what was sent must be remembered even if the power goes while it is being sent.
            effects.insert(0, fx.KeepOwed(self._kept))
        return effects

    def _in_hand(self) -> Payment:
        """The payment that the table promises in this state."""
        if self._payment is None:
            raise AssertionError("the table asked for a payment where there is none")
        return self._payment

    def _fill_in(self, effect: Effect, event: Event, now: float) -> list[fx.Effects]:
        """The values behind one effect's name."""
        match effect:
            case Effect.GREET:
                return self._greet()
            case Effect.REFUSE_OFFER:
                return self._refuse_offer()
            case Effect.SEND_REFUSAL:
                payment = self._in_hand()
                payment.refused, payment.unanswered = _REFUSED_BY[event], False
                return self._send(Refusal(payment.digest, payment.refused), now)
            case Effect.SEAL_CARD:
                self._alarms.clear(Alarm.STEP)
                # Not by the offer, which any phone can bring: who swipes pays anew.
                self._owed.pay_anew()
                return [self._in_hand().seal_card(self._key.public_key)]
            case Effect.SEAL_PIN:
                self._alarms.clear(Alarm.STEP)
                return [self._in_hand().seal_pin(self._key.public_key)]
            case Effect.SEND_CARD:
                payment = self._in_hand()
                sent = self._send(payment.card_message(self._sealed), now)
                payment.card_envelope, self._sealed, payment.unanswered = payment.sent[-1], b"", True
                return sent
            case Effect.SEND_PIN:
                payment = self._in_hand()
                sent = self._send(payment.pin_message(self._sealed), now)
                payment.pin_envelope, self._sealed, payment.unanswered = payment.sent[-1], b"", True
                return sent
            case _ if effect in _PLAIN:
                return [_PLAIN[effect]]
            case _ if effect.value.startswith("show_"):
                return self._show(effect, event, now)
            case _:
                return self._keep(effect, now)

    def _keep(self, effect: Effect, now: float) -> list[fx.Effects]:
        """Effects that change what this machine remembers."""
        match effect:
            case Effect.TAKE_OFFER:
                self._nonce = None
                self._alarms.clear(Alarm.RESULT)
                patience = self._in_hand().offer.seconds_to_live
                self._alarms.set(Alarm.STEP, now + patience, Event.OFFER_TIME_UP)
            case Effect.TAKE_PIN_REQUEST:
                self._in_hand().begin_pin()
                self._alarms.set(Alarm.STEP, now + self._limits.pin_seconds, Event.PIN_TIME_UP)
                return [fx.WantPin()]
            case Effect.KEEP_DIGIT:
                self._in_hand().count_digit(+1)
                return [fx.KeepDigit()]
            case Effect.DROP_DIGIT:
                self._in_hand().count_digit(-1)
                return [fx.DropDigit()]
            case Effect.HINT_TOO_LONG:
                self._in_hand().hint = screens.PinHint.TOO_LONG
            case Effect.HINT_TOO_SHORT:
                self._in_hand().hint = screens.PinHint.TOO_SHORT
            case Effect.AWAIT_RETURN:
                self._alarms.set(Alarm.RESUME, now + self._limits.resume_seconds, Event.SESSION_OVER)
            case Effect.RETURNED:
                self._alarms.clear(Alarm.RESUME)
            case Effect.OWE_OUTCOME:
                if self._in_hand().sent:
                    self._owed.add(self._in_hand().owed())
            case Effect.CLOSE:
                if self._shown is not None:
                    self._owed.close(self._shown)
            case Effect.FORGET_SESSION:
                self._nonce = None
                self._alarms.clear(Alarm.RESUME)
                return [fx.ForgetSession()]
            case Effect.FORGET_PAYMENT:
                self._payment = None
                self._alarms.clear(Alarm.STEP, Alarm.RESUME)
            case _:
                raise AssertionError(f"nothing is written for the effect {effect.name}")
        return []

    def _show(self, effect: Effect, event: Event, now: float) -> list[fx.Effects]:
        """Effects that change the display and, with it, what the phone is told."""
        match effect:
            case Effect.SHOW_READY:
                return self._ready(now)
            case Effect.SHOW_RESULT:
                if self._result is None:
                    raise AssertionError("a result is shown after an outcome only")
                return self._tell(self._result, now)
            case Effect.SHOW_ENDED:
                self._let_read(now)
        self._shown = self._in_hand().digest
        return self._say(*self._in_hand().screen(effect, event))

    def _ready(self, now: float) -> list[fx.Effects]:
        """First what the person has not read: no phone can hide it behind an offer for good."""
        if self._owed.unread is not None:
            return self._tell(self._owed.unread, now)
        self._shown = None
        self._alarms.clear(Alarm.RESULT)
        return self._say(screens.Idle(), Status.IDLE)

    def _tell(self, record: OwedOutcome, now: float) -> list[fx.Effects]:
        """A result for its full time, whatever stood before it meanwhile; 'unknown' until it is closed."""
        self._shown = record.offer
        if record.outcome is None:
            self._alarms.clear(Alarm.RESULT)
        else:
            self._let_read(now)
        return self._say(*record.screen())

    def _let_read(self, now: float) -> None:
        self._alarms.set(Alarm.RESULT, now + self._limits.result_seconds, Event.RESULT_TIME_UP)

    def _say(self, screen: screens.Screen, status: Status) -> list[fx.Effects]:
        """A screen, and the status when it is another: told once a digit, it would count them."""
        if status is self._status:
            return [fx.Show(screen)]
        self._status = status
        return [fx.Show(screen), fx.TellStatus(status)]

    def _greet(self) -> list[fx.Effects]:
        if self._nonce is None:
            raise AssertionError("a session starts with a nonce")
        hello = ReaderHello(self._reader_id, self._nonce, (PROTOCOL_VERSION,))
        return [fx.Send(MessageType.READER_HELLO, hello.encode())]

    def _refuse_offer(self) -> list[fx.Effects]:
        """Refuse what was offered and nothing else: the payment in hand, or the nonce that waits, stays."""
        if self._rejected is None or self._refusals_left == 0:
            return [fx.Note("refused an offer without a word: this phone has sent too many")]
        self._refusals_left -= 1
        reason = RefusalReason.BUSY if self._payment else RefusalReason.OFFER_REJECTED
        return [fx.Send(MessageType.REFUSAL, self._key.sign(Refusal(self._rejected, reason).encode()))]

    def _send(self, message: Message, now: float) -> list[fx.Effects]:
        """Sign, remember the hash that an outcome must name, and wait for an answer."""
        signed = self._key.sign(message.encode())
        self._in_hand().sent.append(digest(signed))
        self._alarms.set(Alarm.STEP, now + self._limits.answer_seconds, Event.ANSWER_TIME_UP)
        return [fx.Send(MessageType(message.TYPE), signed)]


_PLAIN: dict[Effect, fx.Effects] = {
    Effect.ARM_SWIPER: fx.ArmSwiper(),
    Effect.DISARM_SWIPER: fx.DisarmSwiper(),
    Effect.END_PIN_ENTRY: fx.EndPin(),
}
