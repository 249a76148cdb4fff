"""The relay machine, driven by values: what goes to whom in good and bad payments, and when."""

from collections.abc import Iterable

import pytest

from handset_client.effects import (
    Ask,
    ConnectReader,
    Disregard,
    End,
    Ending,
    Finish,
    Forget,
    Keep,
    KeptOutcome,
    Notice,
    NoticeKind,
    RelayEffect,
    ReleaseReader,
    SendToIssuer,
    SendToReader,
    Step,
    Tell,
)
from handset_client.effects import Progress as ProgressLine
from handset_client.issuer_frames import (
    Approve,
    Decline,
    DeclineReason,
    FromReader,
    Outcome,
    OutcomeWanted,
    PaymentOver,
    PaymentRequest,
    ReaderUnavailable,
    Result,
    ToReader,
)
from handset_client.relay import QUEUE_LIMIT, Relay
from handset_client.relay_call import Patience
from protocol.identifiers import PaymentId, ReaderId, mint
from protocol.messages import MessageType, NotSettled
from protocol.money import Money, currency

PATIENCE = Patience(reader=20, delivery=30, last_word=10, issuer=90, margin=15)
READER = ReaderId(b"\x01" * 8)
OTHER_READER = ReaderId(b"\x02" * 8)
HELLO = b"hello of the reader"


def payment_id(number: int) -> PaymentId:
    return PaymentId(mint("pay", bytes([number]) * 16))


P1, P2 = payment_id(1), payment_id(2)


def request(who: PaymentId = P1, within: float = 60.0) -> PaymentRequest:
    return PaymentRequest(who, "Tanaka Coffee", Money(1200, currency("JPY")), "2 coffees", within)


def to_reader(kind: MessageType, data: bytes, who: PaymentId = P1, left: float = 60) -> ToReader:
    return ToReader(who, kind, data, left)


def completed(who: PaymentId = P1) -> Result:
    return Result(who, Outcome.COMPLETED, None, "1234")


def not_settled(reason: str, who: PaymentId = P1) -> Result:
    return Result(who, Outcome.NOT_SETTLED, reason, None)


class Driver:
    """Runs a relay with a clock of its own, and sorts the effects by whom they are for."""

    def __init__(self, kept: Iterable[KeptOutcome] = ()) -> None:
        self.relay = Relay(PATIENCE, kept)
        self.now = 1000.0
        self.log: list[RelayEffect] = []

    def _note(self, effects: list[RelayEffect]) -> list[RelayEffect]:
        self.log += effects
        return effects

    def issuer(self, frame: object) -> list[RelayEffect]:
        return self._note(self.relay.issuer_said(frame, self.now))  # type: ignore[arg-type]

    def approve(self, who: PaymentId = P1) -> list[RelayEffect]:
        return self._note(self.relay.person_approved(who, self.now))

    def decline(self, who: PaymentId = P1) -> list[RelayEffect]:
        return self._note(self.relay.person_declined(who, self.now))

    def hello(self, reader: ReaderId = READER, hello: bytes = HELLO) -> list[RelayEffect]:
        return self._note(self.relay.reader_ready(reader, hello, self.now))

    def reader(self, kind: MessageType, data: bytes) -> list[RelayEffect]:
        return self._note(self.relay.reader_said(kind, data, self.now))

    def lost(self) -> list[RelayEffect]:
        return self._note(self.relay.reader_lost(self.now))

    def took_outcome(self, who: PaymentId = P1) -> list[RelayEffect]:
        return self._note(self.relay.reader_took(who, MessageType.OUTCOME, self.now))

    def welcomed(self, fresh: bool) -> list[RelayEffect]:
        return self._note(self.relay.issuer_welcomed(fresh, self.now))

    def later(self, seconds: float) -> list[RelayEffect]:
        """Let time pass, ringing every bell on the way."""
        until, rung = self.now + seconds, []
        while (deadline := self.relay.deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            effects = self.relay.handle_timer(self.now)
            assert effects, "a deadline passed and nothing happened"
            rung += self._note(effects)
        self.now = until
        return rung

    def sent(self) -> list[object]:
        return [effect.frame for effect in self.log if isinstance(effect, SendToIssuer)]

    def to_the_reader(self) -> list[tuple[MessageType, bytes]]:
        return [(effect.kind, effect.data) for effect in self.log if isinstance(effect, SendToReader)]

    def endings(self) -> list[tuple[End, str | None]]:
        return [(e.ending.end, e.ending.reason) for e in self.log if isinstance(e, Finish)]

    def steps(self) -> list[Step]:
        return [e.what.step for e in self.log if isinstance(e, Tell) and isinstance(e.what, ProgressLine)]

    def until_offer(self) -> None:
        self.welcomed(fresh=True)
        self.issuer(request())
        self.hello()
        self.approve()
        self.issuer(to_reader(MessageType.KEY_OFFER, b"offer"))

    def until_pin_sent(self) -> None:
        self.until_offer()
        self.reader(MessageType.CARD_ENVELOPE, b"card")
        self.issuer(to_reader(MessageType.PIN_REQUEST, b"pin?"))
        self.reader(MessageType.PIN_ENVELOPE, b"pin")


def test_s31_the_request_is_shown_and_the_reader_looked_for_at_once() -> None:
    driver = Driver()
    effects = driver.issuer(request())
    assert Ask(request(), 60.0) in effects
    assert ConnectReader() in effects
    assert driver.sent() == []


def test_a_whole_payment_passes_every_byte_on_unread() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    driver.issuer(completed())
    end = driver.took_outcome()
    assert driver.sent() == [
        Approve(P1, HELLO),
        FromReader(P1, MessageType.CARD_ENVELOPE, b"card"),
        FromReader(P1, MessageType.PIN_ENVELOPE, b"pin"),
    ]
    assert driver.to_the_reader() == [
        (MessageType.KEY_OFFER, b"offer"),
        (MessageType.PIN_REQUEST, b"pin?"),
        (MessageType.OUTCOME, b"outcome"),
    ]
    assert driver.endings() == [(End.COMPLETED, None)]
    assert Forget(P1) in end
    assert ReleaseReader() in end
    assert driver.relay.deadline() is None


def test_s33_approval_waits_for_the_readers_hello() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.approve()
    assert driver.sent() == []
    assert driver.steps()[-1] is Step.APPROVED_LOOKING_FOR_READER
    driver.hello()
    assert driver.sent() == [Approve(P1, HELLO)]


def test_a_second_hello_replaces_the_first() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello(hello=b"old")
    driver.lost()
    driver.hello(hello=b"new")
    driver.approve()
    assert driver.sent() == [Approve(P1, b"new")]


def test_a_lost_readers_hello_is_not_sent() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello(hello=b"old")
    assert ConnectReader() in driver.lost()
    driver.approve()
    assert driver.sent() == []


def test_s32_s46_declining() -> None:
    driver = Driver()
    driver.issuer(request())
    effects = driver.decline()
    assert driver.sent() == [Decline(P1, DeclineReason.DECLINED)]
    assert driver.endings() == [(End.NOT_SETTLED, "declined")]
    assert ReleaseReader() in effects


def test_s46_doing_nothing_for_the_set_time() -> None:
    driver = Driver()
    driver.issuer(request(within=30))
    assert driver.later(29.9) == []
    driver.later(0.2)
    assert driver.sent() == [Decline(P1, DeclineReason.NO_RESPONSE)]
    assert driver.endings() == [(End.NOT_SETTLED, "no_response")]


def test_pressing_approve_twice_approves_once() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello()
    driver.approve()
    assert [type(effect) for effect in driver.approve()] == [Disregard]
    assert driver.sent() == [Approve(P1, HELLO)]


def test_an_answer_to_another_payment_changes_nothing() -> None:
    driver = Driver()
    driver.issuer(request())
    assert [type(effect) for effect in driver.approve(P2)] == [Disregard]
    assert driver.sent() == []


def test_no_reader_in_time_is_told_to_the_issuer() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.approve()
    driver.later(PATIENCE.reader)
    assert driver.sent() == [ReaderUnavailable(P1)]
    assert driver.steps()[-1] is Step.READER_MISSING
    driver.issuer(not_settled(NotSettled.READER_UNAVAILABLE))
    assert driver.endings() == [(End.NOT_SETTLED, "reader_unavailable")]


def test_no_reader_and_no_answer_from_the_issuer_still_ends() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.approve()
    driver.later(PATIENCE.reader + PATIENCE.issuer)
    assert driver.endings() == [(End.NOT_SETTLED, "reader_unavailable")]
    assert driver.relay.deadline() is None


def test_the_countdown_after_approval_blames_the_reader_not_the_person() -> None:
    driver = Driver()
    driver.issuer(request(within=10))
    driver.later(5)
    driver.approve()
    driver.later(5)
    assert driver.sent() == [ReaderUnavailable(P1)]


@pytest.mark.parametrize(
    "last_kind", [MessageType.KEY_OFFER, MessageType.CARD_ENVELOPE, MessageType.PIN_REQUEST]
)
def test_a_reader_lost_in_the_middle_is_told_and_its_outcome_brought_later(last_kind: MessageType) -> None:
    driver = Driver()
    driver.until_offer()
    if last_kind is not MessageType.KEY_OFFER:
        driver.reader(MessageType.CARD_ENVELOPE, b"card")
    if last_kind is MessageType.PIN_REQUEST:
        driver.issuer(to_reader(MessageType.PIN_REQUEST, b"pin?"))
    driver.lost()
    assert driver.sent()[-1] == ReaderUnavailable(P1)
    effects = driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    assert Keep(KeptOutcome(P1, READER, b"outcome")) in effects
    assert ConnectReader() in effects
    driver.issuer(not_settled(NotSettled.READER_UNAVAILABLE))
    assert driver.to_the_reader()[-1][0] is not MessageType.OUTCOME
    driver.hello(hello=b"again")
    assert driver.to_the_reader()[-1] == (MessageType.OUTCOME, b"outcome")
    driver.took_outcome()
    assert driver.relay.deadline() is None


def test_a_reader_lost_after_the_pin_does_not_call_the_payment_off() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.lost()
    assert ReaderUnavailable(P1) not in driver.sent()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    driver.issuer(completed())
    driver.hello()
    driver.took_outcome()
    assert driver.endings() == [(End.COMPLETED, None)]


def test_a_wrong_pin_asked_of_a_lost_reader_ends_as_reader_unavailable() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.lost()
    driver.issuer(to_reader(MessageType.PIN_REQUEST, b"again?"))
    assert driver.sent()[-1] == ReaderUnavailable(P1)


def test_an_outcome_is_not_given_to_another_reader() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.lost()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    driver.hello(reader=OTHER_READER)
    assert (MessageType.OUTCOME, b"outcome") not in driver.to_the_reader()


def test_the_pin_may_be_asked_again() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.issuer(to_reader(MessageType.PIN_REQUEST, b"wrong, again"))
    driver.reader(MessageType.PIN_ENVELOPE, b"second pin")
    assert driver.sent()[-1] == FromReader(P1, MessageType.PIN_ENVELOPE, b"second pin")


def test_s9_the_merchants_cancel_ends_the_asking() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.issuer(not_settled(NotSettled.CANCELLED_BY_MERCHANT))
    assert driver.endings() == [(End.NOT_SETTLED, "cancelled_by_merchant")]
    assert driver.sent() == []


def test_a_refusal_is_forwarded_and_the_outcome_brought() -> None:
    driver = Driver()
    driver.until_offer()
    driver.reader(MessageType.REFUSAL, b"no")
    assert driver.sent()[-1] == FromReader(P1, MessageType.REFUSAL, b"no")
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    driver.took_outcome()
    driver.issuer(not_settled(NotSettled.REFUSED_USER_CANCELLED))
    assert driver.endings() == [(End.NOT_SETTLED, "refused_user_cancelled")]


def test_the_person_may_change_their_mind_until_the_pin_is_sent() -> None:
    driver = Driver()
    driver.until_offer()
    driver.decline()
    assert driver.sent()[-1] == Decline(P1, DeclineReason.DECLINED)
    driver.reader(MessageType.CARD_ENVELOPE, b"crossed")
    assert driver.sent()[-1] == Decline(P1, DeclineReason.DECLINED)
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    assert driver.to_the_reader()[-1] == (MessageType.OUTCOME, b"outcome")


def test_a_deadline_of_the_issuers_that_tells_only_the_merchant_is_asked_about() -> None:
    driver = Driver()
    driver.until_offer()
    driver.later(60 + PATIENCE.margin + PATIENCE.issuer)
    assert OutcomeWanted(P1) in driver.sent()


def test_an_answer_that_the_payment_is_over_fetches_the_readers_outcome() -> None:
    driver = Driver()
    driver.until_offer()
    driver.reader(MessageType.REFUSAL, b"too late")
    driver.issuer(PaymentOver(P1, NotSettled.CARD_TIMEOUT))
    assert driver.endings() == [(End.NOT_SETTLED, "card_timeout")]
    assert driver.sent()[-1] == OutcomeWanted(P1)
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    driver.took_outcome()
    assert driver.relay.deadline() is None


def test_a_late_word_that_it_was_completed_is_believed() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.issuer(PaymentOver(P1, "completed"))
    assert driver.endings() == [(End.COMPLETED, None)]


def test_nobody_ever_answers_and_the_person_is_told_not_to_pay_again() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.later(1000)
    assert driver.endings() == [(End.UNKNOWN, None)]
    assert driver.sent()[-1] == OutcomeWanted(P1)
    assert driver.relay.deadline() is None


def test_the_outcome_without_a_result_sends_the_person_to_the_reader() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    driver.took_outcome()
    driver.later(PATIENCE.last_word)
    assert driver.endings() == [(End.SEE_READER, None)]


def test_an_issuer_that_restarted_before_the_offer_ends_the_payment() -> None:
    driver = Driver()
    driver.welcomed(fresh=True)
    driver.issuer(request())
    driver.hello()
    driver.approve()
    driver.welcomed(fresh=True)
    assert driver.endings() == [(End.NOT_SETTLED, "issuer_restarted")]


def test_an_issuer_that_restarted_after_the_offer_is_asked_and_the_reader_told() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.welcomed(fresh=True)
    assert driver.sent()[-1] == OutcomeWanted(P1)
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    assert driver.to_the_reader()[-1] == (MessageType.OUTCOME, b"outcome")
    driver.took_outcome()
    driver.later(PATIENCE.last_word)
    assert driver.endings() == [(End.SEE_READER, None)]


def test_a_resumed_socket_changes_nothing() -> None:
    driver = Driver()
    driver.until_pin_sent()
    assert driver.welcomed(fresh=False) == []


def test_a_second_call_waits_and_its_countdown_runs_on() -> None:
    driver = Driver()
    driver.issuer(request(P1, 60))
    driver.issuer(request(P2, 40))
    driver.later(10)
    driver.decline(P1)
    asked = [effect for effect in driver.log if isinstance(effect, Ask)]
    assert [(ask.request.payment_id, ask.seconds_left) for ask in asked] == [(P1, 60.0), (P2, 30.0)]


def test_a_waiting_call_runs_out_as_no_response() -> None:
    driver = Driver()
    driver.issuer(request(P1, 60))
    driver.issuer(request(P2, 20))
    driver.later(20)
    assert driver.sent() == [Decline(P2, DeclineReason.NO_RESPONSE)]
    driver.approve(P1)
    driver.hello()
    assert driver.sent()[-1] == Approve(P1, HELLO)


def test_a_waiting_call_may_be_withdrawn() -> None:
    driver = Driver()
    driver.issuer(request(P1))
    driver.issuer(request(P2))
    driver.issuer(not_settled(NotSettled.CANCELLED_BY_MERCHANT, P2))
    driver.decline(P1)
    assert driver.relay.deadline() is None


def test_payments_are_not_mixed() -> None:
    driver = Driver()
    driver.until_offer()
    driver.issuer(request(P2))
    before = len(driver.to_the_reader())
    driver.issuer(to_reader(MessageType.PIN_REQUEST, b"for the other", P2))
    driver.approve(P2)
    assert len(driver.to_the_reader()) == before
    assert all(frame.payment_id == P1 for frame in driver.sent())  # type: ignore[attr-defined]


def test_the_same_call_twice_is_one_call() -> None:
    driver = Driver()
    driver.issuer(request())
    assert [type(effect) for effect in driver.issuer(request())] == [Disregard]


def test_a_flood_of_calls_is_declined() -> None:
    driver = Driver()
    for number in range(1, QUEUE_LIMIT + 3):
        driver.issuer(request(payment_id(number)))
    assert driver.sent() == [Decline(payment_id(QUEUE_LIMIT + 2), DeclineReason.NO_RESPONSE)]


def test_an_outcome_that_found_no_reader_is_kept_and_brought_at_the_next_payment() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.lost()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome 1", left=0))
    driver.issuer(completed())
    effects = driver.later(PATIENCE.delivery)
    assert ReleaseReader() in effects
    assert Tell(Notice(NoticeKind.OUTCOME_KEPT)) in effects
    assert not any(isinstance(effect, Forget) for effect in driver.log)
    driver.issuer(request(P2))
    driver.hello(hello=b"second")
    assert driver.to_the_reader()[-1] == (MessageType.OUTCOME, b"outcome 1")
    assert Forget(P1) in driver.took_outcome(P1)
    driver.approve(P2)
    assert driver.sent()[-1] == Approve(P2, b"second")


def test_a_new_call_does_not_wait_for_an_absent_readers_outcome() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.lost()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome 1", left=0))
    driver.issuer(completed())
    effects = driver.issuer(request(P2))
    assert any(isinstance(effect, Ask) for effect in effects)


def test_after_a_restart_of_the_phone_the_unsaid_outcome_is_asked_for_and_brought() -> None:
    driver = Driver([KeptOutcome(P1, READER)])
    driver.welcomed(fresh=True)
    assert driver.sent() == [ReaderUnavailable(P1), OutcomeWanted(P1)]
    effects = driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    assert Keep(KeptOutcome(P1, READER, b"outcome")) in effects
    assert ConnectReader() in effects
    driver.hello()
    assert driver.to_the_reader() == [(MessageType.OUTCOME, b"outcome")]
    assert Forget(P1) in driver.took_outcome()
    assert driver.endings() == []
    assert driver.relay.deadline() is None


def test_after_a_restart_of_the_phone_a_kept_outcome_is_brought_once_and_not_for_ever() -> None:
    driver = Driver([KeptOutcome(P1, READER, b"outcome")])
    assert ConnectReader() in driver.welcomed(fresh=True)
    assert ReleaseReader() in driver.later(PATIENCE.delivery)
    assert driver.relay.deadline() is None


def test_an_errand_gives_way_to_a_call() -> None:
    driver = Driver([KeptOutcome(P1, READER, b"outcome")])
    driver.welcomed(fresh=True)
    assert Ask(request(P2), 60.0) in driver.issuer(request(P2))


def test_an_errand_after_a_payment_gives_way_to_a_call_as_well() -> None:
    driver = Driver([KeptOutcome(P2, READER)])
    driver.until_pin_sent()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    driver.took_outcome()
    driver.issuer(completed())
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome 2", P2, left=0))
    third = request(payment_id(3))
    assert Ask(third, 60.0) in driver.issuer(third)


def test_an_errand_that_met_another_reader_gives_way_to_a_call() -> None:
    driver = Driver([KeptOutcome(P1, READER, b"outcome")])
    driver.welcomed(fresh=True)
    driver.hello(OTHER_READER)
    assert Ask(request(P2), 60.0) in driver.issuer(request(P2))


def test_an_outcome_the_issuer_will_never_say_is_forgotten() -> None:
    driver = Driver([KeptOutcome(P1, READER)])
    driver.welcomed(fresh=True)
    assert driver.issuer(PaymentOver(P1, "unknown_payment")) == [Forget(P1)]


def test_after_a_restart_of_the_phone_the_person_hears_how_it_ended() -> None:
    driver = Driver([KeptOutcome(P1, READER)])
    driver.welcomed(fresh=True)
    assert driver.issuer(completed()) == [Tell(Notice(NoticeKind.EARLIER_PAID))]
    over = PaymentOver(P1, NotSettled.HANDSET_FAULT)
    assert driver.issuer(over) == [Tell(Notice(NoticeKind.EARLIER_NOT_PAID, "handset_fault"))]


def test_outcomes_for_other_readers_stay_where_they_are() -> None:
    driver = Driver([KeptOutcome(P2, OTHER_READER, b"not yours")])
    driver.issuer(request(P1))
    driver.hello(READER)
    assert driver.to_the_reader() == []


def test_stopping_says_no_to_what_is_undecided() -> None:
    driver = Driver()
    driver.issuer(request(P1))
    driver.issuer(request(P2))
    effects = driver.relay.stop(driver.now)
    frames = [effect.frame for effect in effects if isinstance(effect, SendToIssuer)]
    assert frames == [Decline(P2, DeclineReason.DECLINED), Decline(P1, DeclineReason.DECLINED)]


def test_stopping_after_the_pin_leaves_the_issuer_alone_and_the_person_in_no_false_belief() -> None:
    driver = Driver()
    driver.until_pin_sent()
    assert driver.relay.stop(driver.now) == [Finish(Ending(request(), End.UNKNOWN))]


def test_stopping_after_the_result_adds_nothing() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.issuer(completed())
    assert driver.relay.stop(driver.now) == []


def test_messages_out_of_place_change_nothing() -> None:
    driver = Driver()
    driver.issuer(request())
    for effects in (
        driver.issuer(to_reader(MessageType.KEY_OFFER, b"early")),
        driver.issuer(to_reader(MessageType.OUTCOME, b"early")),
        driver.reader(MessageType.CARD_ENVELOPE, b"early"),
        driver.reader(MessageType.READER_HELLO, b"again"),
        driver.issuer(to_reader(MessageType.KEY_OFFER, b"stranger", P2)),
    ):
        assert [type(effect) for effect in effects] == [Disregard]
    assert driver.to_the_reader() == []
    assert driver.sent() == []


def test_a_reader_that_turns_up_for_nothing_is_let_go() -> None:
    assert Driver().hello() == [ReleaseReader()]
