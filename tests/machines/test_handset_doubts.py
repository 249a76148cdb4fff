"""The relay machine: payments that ended in doubt, and what becomes known of them."""

import pytest

from handset_client.doubts import MOST_DOUBTS, Doubts
from handset_client.effects import (
    Amend,
    Disregard,
    End,
    Ending,
    Finish,
    KeptOutcome,
    Record,
    ReleaseReader,
    SendToIssuer,
)
from handset_client.issuer_frames import OutcomeWanted, PaymentOver, ReaderUnavailable
from protocol.messages import MessageType, NotSettled
from tests.machines.relay_driver import (
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

DOUBT = Ending(request(), End.UNKNOWN)
PAID = Amend(Ending(request(), End.COMPLETED, None, "1234"))


def test_a_late_result_of_the_same_session_corrects_what_was_said() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.later(1000)
    assert driver.endings() == [(End.UNKNOWN, None)]
    assert driver.issuer(completed()) == [PAID]
    assert [type(effect) for effect in driver.issuer(completed())] == [Disregard]


@pytest.mark.parametrize("end", [End.UNKNOWN, End.SEE_READER])
def test_after_a_restart_of_the_phone_the_issuer_is_asked_and_the_person_told(end: End) -> None:
    driver = Driver(doubts=[Ending(request(), end)])
    driver.welcomed(fresh=True)
    assert driver.sent() == [OutcomeWanted(P1)]
    assert driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0)) == []
    assert driver.issuer(not_settled(NotSettled.ISSUER_RESTARTED)) == [
        Amend(Ending(request(), End.NOT_SETTLED, NotSettled.ISSUER_RESTARTED))
    ]
    driver.welcomed(fresh=True)
    assert driver.sent() == [OutcomeWanted(P1)]


def test_a_payment_over_says_it_as_well() -> None:
    driver = Driver(doubts=[DOUBT])
    driver.welcomed(fresh=True)
    assert driver.issuer(PaymentOver(P1, NotSettled.APPROVAL_TIMEOUT)) == [
        Amend(Ending(request(), End.NOT_SETTLED, NotSettled.APPROVAL_TIMEOUT))
    ]
    again = Driver(doubts=[DOUBT])
    assert again.issuer(PaymentOver(P1, "completed")) == [Amend(Ending(request(), End.COMPLETED))]


def test_a_resumed_session_brings_its_answers_by_itself() -> None:
    driver = Driver(doubts=[DOUBT])
    driver.welcomed(fresh=False)
    assert driver.sent() == []


def test_a_reader_that_is_owed_the_outcome_gets_it_and_the_person_hears_of_the_payment() -> None:
    driver = Driver([KeptOutcome(P1, READER)], [DOUBT])
    driver.welcomed(fresh=True)
    assert driver.sent() == [OutcomeWanted(P1), ReaderUnavailable(P1)]
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    assert driver.issuer(completed()) == [PAID]
    driver.hello()
    assert driver.to_the_reader() == [(MessageType.OUTCOME, b"outcome")]


def test_a_payment_on_show_is_left_alone() -> None:
    driver = Driver(doubts=[DOUBT])
    driver.welcomed(fresh=True)
    driver.issuer(request(P2))
    assert driver.issuer(completed(P1)) == [PAID]
    driver.hello()
    driver.approve(P2)
    driver.issuer(to_reader(MessageType.KEY_OFFER, b"offer", P2))
    assert driver.to_the_reader() == [(MessageType.KEY_OFFER, b"offer")]


def test_what_the_issuer_does_not_know_stays_in_doubt() -> None:
    driver = Driver(doubts=[DOUBT])
    driver.welcomed(fresh=True)
    assert driver.issuer(PaymentOver(P1, "unknown_payment")) == []
    assert [type(effect) for effect in driver.issuer(completed())] == [Disregard]


def test_after_an_offer_a_payment_that_the_issuer_does_not_know_is_in_doubt() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.welcomed(fresh=True)
    assert driver.sent()[-1] == OutcomeWanted(P1)
    effects = driver.issuer(PaymentOver(P1, "unknown_payment"))
    assert driver.endings() == [(End.UNKNOWN, None)]
    assert ReleaseReader() in effects
    assert driver.relay.deadline() is None


def test_before_an_offer_a_payment_that_the_issuer_does_not_know_is_not_paid() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello()
    driver.approve()
    driver.issuer(PaymentOver(P1, "unknown_payment"))
    assert driver.endings() == [(End.NOT_SETTLED, "unknown_payment")]


@pytest.mark.parametrize("first", [completed(), not_settled(NotSettled.WRONG_PIN)])
def test_what_is_known_is_not_taken_back(first: object) -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    driver.issuer(first)
    driver.took_outcome()
    for late in (completed(), not_settled(NotSettled.CARD_TIMEOUT)):
        assert [type(effect) for effect in driver.issuer(late)] == [Disregard]


def test_an_outcome_without_a_result_is_asked_after() -> None:
    """After its own deadline the issuer tells the merchant alone (S9): asked, it tells the phone."""
    driver = Driver()
    driver.until_pin_sent()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome", left=0))
    driver.took_outcome()
    driver.later(PATIENCE.last_word)
    assert driver.endings() == [(End.SEE_READER, None)]
    assert driver.sent()[-1] == OutcomeWanted(P1)
    assert driver.issuer(completed()) == [PAID]


def test_an_approval_that_comes_late_holds_nobody_up() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello()
    driver.approve()
    driver.later(PATIENCE.issuer)
    assert driver.endings() == [(End.UNKNOWN, None)]
    assert driver.sent()[-1] == OutcomeWanted(P1)
    late = driver.issuer(to_reader(MessageType.KEY_OFFER, b"offer"))
    assert late == [SendToIssuer(ReaderUnavailable(P1))]
    assert driver.issuer(not_settled(NotSettled.READER_UNAVAILABLE)) == [
        Amend(Ending(request(), End.NOT_SETTLED, NotSettled.READER_UNAVAILABLE))
    ]


def test_a_program_that_is_killed_leaves_the_payment_in_doubt() -> None:
    driver = Driver()
    driver.until_offer()
    assert Record(DOUBT) in driver.log
    assert not any(isinstance(effect, Finish) for effect in driver.log)


def test_doubts_do_not_grow_for_ever() -> None:
    doubts = Doubts(Ending(request(payment_id(number)), End.UNKNOWN) for number in range(MOST_DOUBTS + 3))
    assert doubts.open() == [payment_id(number) for number in range(3, MOST_DOUBTS + 3)]
    doubts.note(Ending(request(payment_id(200)), End.COMPLETED))
    assert payment_id(200) not in doubts
