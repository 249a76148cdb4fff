"""The relay machine: calls that wait, outcomes kept for readers, restarts and stopping."""

from collections.abc import Callable

import pytest

from handset_client.effects import (
    Ask,
    ConnectReader,
    Disregard,
    Forget,
    Keep,
    KeptOutcome,
    Notice,
    NoticeKind,
    RelayEffect,
    ReleaseReader,
    Step,
    Tell,
)
from handset_client.issuer_frames import (
    Approve,
    Decline,
    DeclineReason,
    OutcomeWanted,
    PaymentOver,
    ReaderUnavailable,
)
from handset_client.waiting_calls import QUEUE_LIMIT
from protocol.messages import MessageType, NotSettled
from tests.machines.relay_driver import (
    HELLO,
    OTHER_READER,
    P1,
    P2,
    PATIENCE,
    READER,
    Driver,
    completed,
    not_settled,
    payment_id,
    request,
    to_reader,
)


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


def paid_but_not_delivered() -> Driver:
    driver = Driver()
    driver.until_pin_sent()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome 1", left=0))
    driver.issuer(completed())
    return driver


def test_a_new_call_does_not_wait_for_a_reader_whose_link_is_down() -> None:
    driver = paid_but_not_delivered()
    driver.away()
    assert Ask(request(P2), 60.0) in driver.issuer(request(P2))


@pytest.mark.parametrize("leave", [Driver.away, Driver.lost])
def test_a_call_that_waits_goes_first_once_the_reader_leaves(
    leave: Callable[[Driver], list[RelayEffect]],
) -> None:
    driver = paid_but_not_delivered()
    assert not any(isinstance(effect, Ask) for effect in driver.issuer(request(P2)))
    assert Ask(request(P2), 60.0) in leave(driver)
    driver.hello()
    assert driver.to_the_reader()[-1] == (MessageType.OUTCOME, b"outcome 1")


def test_after_a_restart_of_the_phone_the_unsaid_outcome_is_asked_for_and_brought() -> None:
    driver = Driver([KeptOutcome(P1, READER)])
    driver.welcomed(fresh=True)
    assert driver.sent() == [OutcomeWanted(P1), ReaderUnavailable(P1)]
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


def test_outcomes_for_other_readers_stay_where_they_are() -> None:
    driver = Driver([KeptOutcome(P2, OTHER_READER, b"not yours")])
    driver.issuer(request(P1))
    driver.hello(READER)
    assert driver.to_the_reader() == []


def test_calling_off_before_the_offer_is_acknowledged_at_once() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello()
    driver.approve()
    driver.decline()
    assert driver.steps()[-1] is Step.CALLED_OFF


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
