"""Random walks through the reader's machine: phone and person do anything, and some things hold always."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol.identifiers import Nonce
from protocol.messages import CardEnvelope, MessageType, NotSettled
from protocol.signing import sign_message
from protocol.track_data import TrackFault
from reader_peripheral import effects as fx
from reader_peripheral import screens
from reader_peripheral.transitions import State
from tests.machines.reader_bench import (
    OLD_OFFER,
    SEALED_CARD,
    SEALED_PIN,
    STRANGER,
    Bench,
    key_offer,
    signed_offer,
)


class ReaderWalk(RuleBasedStateMachine):
    """Everything public is called at any time, and answered as the service answers."""

    @initialize(swipes=st.integers(1, 3))
    def begin(self, swipes: int) -> None:
        self.bench = Bench(swipes=swipes)
        self.sessions = 0
        self.armed = False
        self.pin_wanted = False
        self.digits = 0
        self.keys: set[bytes] = set()
        self.approved: set[bytes] = set()
        self.carry_out(self.bench.session.opening(self.bench.now))

    def carry_out(self, effects: list[fx.Effects]) -> None:
        """What service.py does with effects."""
        queue = list(effects)
        while queue:
            effect = queue.pop(0)
            self.bench.effects.append(effect)
            match effect:
                case fx.ArmSwiper():
                    self.armed = True
                case fx.DisarmSwiper():
                    self.armed = False
                case fx.WantPin():
                    self.pin_wanted, self.digits = True, 0
                case fx.EndPin():
                    self.pin_wanted, self.digits = False, 0
                case fx.KeepDigit():
                    self.digits += 1
                case fx.DropDigit():
                    self.digits = max(0, self.digits - 1)
                case fx.SealCard(public_key, info):
                    assert (public_key, info) not in self.keys, "one offer, one swipe"
                    self.keys.add((public_key, info))  # type: ignore[arg-type]
                    queue += self.bench.session.card_sealed(SEALED_CARD, self.bench.now)
                case fx.SealPin():
                    assert 4 <= self.digits <= 12
                    queue += self.bench.session.pin_sealed(SEALED_PIN, self.bench.now)
                case fx.Show(screens.Approved()):
                    assert self.approved, "only after the issuer said so"
                case _:
                    pass

    def bring(self, message_type: MessageType, signed: bytes) -> None:
        self.carry_out(self.bench.session.message(message_type, signed, self.bench.now))

    @rule()
    def new_session(self) -> None:
        self.sessions += 1
        nonce = Nonce(self.sessions.to_bytes(16, "big"))
        self.carry_out(self.bench.session.session_started(nonce, self.bench.now))

    @rule(order=st.sampled_from(["1 tea", "2 teas"]), old=st.booleans())
    def offer(self, order: str, old: bool) -> None:
        number = max(0, self.sessions - old)
        signed = signed_offer(nonce=Nonce(number.to_bytes(16, "big")), order=order)
        before = self.bench.state
        self.bring(MessageType.KEY_OFFER, signed)
        if before is State.GREETED and self.bench.state is State.AWAITING_SWIPE:
            self.bench.offer = signed

    @rule(kind=st.sampled_from([MessageType.KEY_OFFER, MessageType.PIN_REQUEST, MessageType.OUTCOME]))
    def rubbish(self, kind: MessageType) -> None:
        before = self.bench.state
        self.bring(kind, b"rubbish")
        self.bring(kind, sign_message(STRANGER, key_offer()))
        assert self.bench.state is before

    @rule()
    def pin_request(self) -> None:
        if MessageType.CARD_ENVELOPE in self.bench.sent_types():
            self.bring(MessageType.PIN_REQUEST, self.bench.pin_request())

    @rule()
    def approval(self) -> None:
        if self.bench.last_digest():
            signed = self.bench.approval()
            self.approved.add(signed)
            self.bring(MessageType.OUTCOME, signed)

    @rule(reason=st.sampled_from([NotSettled.WRONG_PIN, NotSettled.CARD_TIMEOUT]))
    def refusal(self, reason: NotSettled) -> None:
        self.bring(MessageType.OUTCOME, self.bench.refused(reason=reason, last_message=None))

    @rule()
    def swipe(self) -> None:
        self.carry_out(self.bench.session.card_read(self.bench.now))

    @rule(fault=st.sampled_from(TrackFault))
    def bad_swipe(self, fault: TrackFault) -> None:
        self.carry_out(self.bench.session.swipe_failed(fault, self.bench.now))

    @rule(count=st.integers(1, 13))
    def digits_typed(self, count: int) -> None:
        for _ in range(count):
            self.carry_out(self.bench.session.digit_typed(self.bench.now))

    @rule(key=st.sampled_from(["enter_typed", "clear_typed", "cancel_typed"]))
    def other_key(self, key: str) -> None:
        self.carry_out(getattr(self.bench.session, key)(self.bench.now))

    @rule(
        what=st.sampled_from(
            ["link_lost", "link_resumed", "session_over", "phone_cancelled", "reader_failed"]
        )
    )
    def link(self, what: str) -> None:
        self.carry_out(getattr(self.bench.session, what)(self.bench.now))

    @rule(seconds=st.sampled_from([0.1, 5.0, 11.0, 31.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.now += seconds
        self.carry_out(self.bench.session.handle_timer(self.bench.now))

    @invariant()
    def a_swipe_is_wanted_exactly_while_an_offer_waits_for_it(self) -> None:
        assert self.armed is (self.bench.state is State.AWAITING_SWIPE)

    @invariant()
    def a_pin_is_wanted_exactly_while_it_is_asked_for(self) -> None:
        assert self.pin_wanted is (self.bench.state is State.ENTERING_PIN)

    @invariant()
    def stars_are_digits(self) -> None:
        if self.bench.state is State.ENTERING_PIN:
            screen = self.bench.screen
            assert isinstance(screen, screens.EnterPin)
            assert screen.stars == self.digits <= 12

    @invariant()
    def sealing_is_never_left_open(self) -> None:
        assert self.bench.state not in (State.SEALING_CARD, State.SEALING_PIN)

    @invariant()
    def no_state_that_waits_is_without_a_deadline(self) -> None:
        waiting = {
            State.AWAITING_SWIPE,
            State.AWAITING_PIN_REQUEST,
            State.ENTERING_PIN,
            State.AWAITING_OUTCOME,
            State.REFUSED,
            State.SHOWING_RESULT,
        }
        if self.bench.state in waiting:
            deadline = self.bench.session.deadline()
            assert deadline is not None
            assert deadline > self.bench.now

    @invariant()
    def at_rest_nothing_of_an_offer_is_kept(self) -> None:
        if self.bench.state in (State.IDLE, State.GREETED, State.SHOWING_RESULT, State.OUTCOME_UNKNOWN):
            assert self.bench.memory()["_payment"] is None

    @invariant()
    def what_is_owed_is_kept(self) -> None:
        kept = self.bench.all_of(fx.KeepOwed)
        assert self.bench.session.owed == (kept[-1].records if kept else ())
        assert len(self.bench.session.owed) <= 9
        assert OLD_OFFER not in [record.offer for record in self.bench.session.owed]

    @invariant()
    def unknown_is_shown_only_after_an_envelope(self) -> None:
        shown = self.bench.all_of(fx.Show)
        if shown and isinstance(self.bench.screen, screens.Unknown):
            assert CardEnvelope.TYPE in self.bench.sent_types()


TestReaderWalk = ReaderWalk.TestCase
TestReaderWalk.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
