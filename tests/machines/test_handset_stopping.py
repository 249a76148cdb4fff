"""The relay machine at the end of the program: what it says is true, also of what the issuer never heard."""

from collections.abc import Collection

import pytest

from handset_client.effects import (
    SWITCHED_OFF,
    Ask,
    Disregard,
    End,
    Ending,
    Finish,
    HowDeclined,
    RelayEffect,
    SendToIssuer,
    SendToReader,
)
from handset_client.issuer_frames import Approve, Decline, DeclineReason, ReaderUnavailable
from handset_client.withdrawals import MOST_WITHDRAWN
from protocol.identifiers import PaymentId
from protocol.messages import MessageType, NotSettled
from tests.machines.relay_driver import (
    HELLO,
    P1,
    P2,
    Driver,
    completed,
    not_settled,
    payment_id,
    request,
    to_reader,
)

NOT_KNOWN = (End.UNKNOWN, SWITCHED_OFF)
BY_STOPPING = (End.NOT_SETTLED, HowDeclined.BY_STOPPING)


def said(effects: list[RelayEffect]) -> list[tuple[PaymentId, End, str | None]]:
    endings = [effect.ending for effect in effects if isinstance(effect, Finish)]
    return [(ending.request.payment_id, ending.end, ending.reason) for ending in endings]


def stopped(driver: Driver, unheard: Collection[PaymentId] = ()) -> list[tuple[End, str | None]]:
    """What the person is told at the end where the issuer says no more."""
    driver.log += driver.relay.stop(driver.now)
    driver.log += driver.relay.last_words(unheard)
    return driver.endings()


def test_stopping_says_no_to_what_is_undecided() -> None:
    driver = Driver()
    driver.issuer(request(P1))
    driver.issuer(request(P2))
    effects = driver.relay.stop(driver.now)
    frames = [effect.frame for effect in effects if isinstance(effect, SendToIssuer)]
    assert frames == [Decline(P2, DeclineReason.DECLINED), Decline(P1, DeclineReason.DECLINED)]
    # The issuer may not hear it: nothing is said before that is known.
    assert said(effects) == []
    assert driver.relay.unanswered is None
    # The person pressed nothing, and is not told that they did.
    assert said(driver.relay.last_words(())) == [(P2, *BY_STOPPING), (P1, *BY_STOPPING)]


def test_what_the_issuer_did_not_hear_may_still_be_approved() -> None:
    driver = Driver()
    driver.issuer(request(P1))
    driver.issuer(request(P2))
    driver.relay.stop(driver.now)
    assert said(driver.relay.last_words({P2})) == [(P2, *NOT_KNOWN), (P1, *BY_STOPPING)]


def test_a_no_that_was_said_before_is_taken_back_where_the_issuer_did_not_hear_it() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.decline()
    assert driver.endings() == [(End.NOT_SETTLED, HowDeclined.BY_PERSON)]
    assert stopped(driver, {P1}) == [(End.NOT_SETTLED, HowDeclined.BY_PERSON), NOT_KNOWN]


def test_a_no_that_the_issuer_heard_stands() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.decline()
    driver.issuer(request(P2))
    driver.later(60)
    assert stopped(driver) == [
        (End.NOT_SETTLED, HowDeclined.BY_PERSON),
        (End.NOT_SETTLED, DeclineReason.NO_RESPONSE),
    ]


def test_an_approval_that_lies_here_is_not_known_to_be_called_off() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello()
    driver.approve()
    driver.log += driver.relay.stop(driver.now)
    assert driver.sent() == [Approve(P1, HELLO), Decline(P1, DeclineReason.DECLINED)]
    assert driver.relay.unanswered == request()
    assert said(driver.relay.last_words({P1})) == [(P1, *NOT_KNOWN)]


@pytest.mark.parametrize("unheard", [{P1}, set()])
def test_after_the_card_only_the_issuer_can_say(unheard: set[PaymentId]) -> None:
    driver = Driver()
    driver.until_offer()
    driver.reader(MessageType.CARD_ENVELOPE, b"card")
    assert stopped(driver, unheard) == [NOT_KNOWN]


def test_the_issuers_word_in_time_is_what_the_person_is_told() -> None:
    driver = Driver()
    driver.until_offer()
    driver.relay.stop(driver.now)
    assert driver.issuer(to_reader(MessageType.OUTCOME, b"outcome"))[-1] == SendToReader(
        P1, MessageType.OUTCOME, b"outcome"
    )
    assert said(driver.issuer(not_settled(NotSettled.DECLINED))) == [(P1, *BY_STOPPING)]
    assert driver.relay.unanswered is None
    assert driver.relay.last_words(()) == []


def test_stopping_after_the_pin_leaves_the_issuer_alone_and_the_person_in_no_false_belief() -> None:
    driver = Driver()
    driver.until_pin_sent()
    assert driver.relay.stop(driver.now) == []
    assert driver.relay.last_words({P1}) == [Finish(Ending(request(), End.UNKNOWN, SWITCHED_OFF))]


@pytest.mark.parametrize("how", [HowDeclined.BY_PERSON, HowDeclined.AND_BLOCKED])
def test_who_called_the_payment_off_is_told_so_also_where_the_answer_comes_at_the_end(
    how: HowDeclined,
) -> None:
    driver = Driver()
    driver.until_offer()
    driver.decline(how=how)
    driver.relay.stop(driver.now)
    assert said(driver.issuer(not_settled(NotSettled.DECLINED))) == [(P1, End.NOT_SETTLED, how)]


def test_who_pressed_nothing_is_not_told_that_they_declined_where_the_issuer_forgot() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello()
    driver.approve()
    driver.relay.stop(driver.now)
    driver.welcomed(fresh=True)
    assert said(driver.relay.last_words(())) == [(P1, *BY_STOPPING)]


def test_stopping_after_the_result_adds_nothing() -> None:
    driver = Driver()
    driver.until_pin_sent()
    driver.issuer(completed())
    assert driver.relay.stop(driver.now) == []
    assert driver.relay.last_words({P1}) == []


def test_who_is_leaving_takes_no_more_calls() -> None:
    driver = Driver()
    driver.until_offer()
    driver.relay.stop(driver.now)
    assert [type(effect) for effect in driver.issuer(request(P2))] == [Disregard]
    effects = driver.issuer(not_settled(NotSettled.DECLINED))
    assert not any(isinstance(effect, Ask) for effect in effects)


def test_a_payment_in_doubt_that_is_asked_anew_is_paid_like_any_other() -> None:
    driver = Driver(doubts=[Ending(request(), End.UNKNOWN, SWITCHED_OFF)])
    driver.until_pin_sent()
    driver.issuer(to_reader(MessageType.OUTCOME, b"outcome"))
    driver.took_outcome()
    driver.issuer(completed())
    assert driver.endings() == [(End.COMPLETED, None)]


@pytest.mark.parametrize(
    ("how", "word"),
    [
        (HowDeclined.BY_PERSON, Decline(P1, DeclineReason.DECLINED)),
        (HowDeclined.AND_BLOCKED, Decline(P1, DeclineReason.DECLINED, block_merchant=True)),
    ],
)
def test_who_said_no_is_not_asked_again(how: HowDeclined, word: Decline) -> None:
    """As where the phone comes back to another replica, which has not heard it."""
    driver = Driver()
    driver.issuer(request())
    driver.decline(how=how)
    driver.welcomed(fresh=True)
    assert driver.issuer(request()) == [SendToIssuer(word)]


def test_who_did_not_answer_in_time_is_not_asked_again() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.later(60)
    assert driver.issuer(request()) == [SendToIssuer(Decline(P1, DeclineReason.NO_RESPONSE))]


def test_a_payment_without_a_reader_is_not_asked_again() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.approve()
    driver.later(20)
    driver.welcomed(fresh=True)
    assert driver.endings() == [(End.NOT_SETTLED, NotSettled.READER_UNAVAILABLE)]
    assert driver.issuer(request()) == [SendToIssuer(ReaderUnavailable(P1))]


def test_few_withdrawals_are_kept() -> None:
    driver = Driver()
    many = [payment_id(number) for number in range(MOST_WITHDRAWN + 1)]
    for each in many:
        driver.issuer(request(each))
        driver.decline(each)
    driver.relay.stop(driver.now)
    assert [who for who, *_ in said(driver.relay.last_words(many))] == many[1:]
