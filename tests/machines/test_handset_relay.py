"""The relay machine, driven by values: what goes to whom in good and bad payments, and when."""

import pytest

from handset_client.effects import (
    Ask,
    ConnectReader,
    Disregard,
    End,
    Finish,
    Forget,
    HowDeclined,
    Keep,
    KeptOutcome,
    ReleaseReader,
    SendToIssuer,
    Step,
)
from handset_client.issuer_frames import (
    Approve,
    Decline,
    DeclineReason,
    FromReader,
    OutcomeWanted,
    PaymentOver,
    ReaderUnavailable,
)
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
    request,
    to_reader,
)


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


def test_approving_while_the_link_is_down_waits_for_a_new_hello() -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello(hello=b"old")
    assert driver.away()[:2] == [ReleaseReader(), ConnectReader()]
    driver.approve()
    assert driver.sent() == []
    driver.hello(hello=b"new")
    assert driver.sent() == [Approve(P1, b"new")]


def test_a_link_that_drops_after_the_approval_is_resumed() -> None:
    driver = Driver()
    driver.until_offer()
    assert driver.away() == []


def test_s32_s46_declining() -> None:
    driver = Driver()
    driver.issuer(request())
    effects = driver.decline()
    assert driver.sent() == [Decline(P1, DeclineReason.DECLINED)]
    assert driver.endings() == [(End.NOT_SETTLED, "declined")]
    assert ReleaseReader() in effects


@pytest.mark.parametrize(
    ("how", "block"),
    [
        (HowDeclined.BY_PERSON, False),
        (HowDeclined.AND_BLOCKED, True),
        (HowDeclined.BY_RULE, False),
    ],
)
def test_how_it_was_declined_is_told_to_the_person_and_a_block_to_the_issuer(
    how: HowDeclined, block: bool
) -> None:
    driver = Driver()
    driver.issuer(request())
    driver.decline(how=how)
    assert driver.sent() == [Decline(P1, DeclineReason.DECLINED, block_merchant=block)]
    assert driver.endings() == [(End.NOT_SETTLED, how)]


def test_blocking_in_one_payment_blocks_nobody_in_the_next() -> None:
    driver = Driver()
    driver.issuer(request(P1))
    driver.issuer(request(P2))
    driver.decline(P1, HowDeclined.AND_BLOCKED)
    driver.later(60)
    assert driver.sent()[-1] == Decline(P2, DeclineReason.NO_RESPONSE)
    third = Driver()
    third.issuer(request(P1))
    third.decline(P2, HowDeclined.AND_BLOCKED)
    assert SendToIssuer(Decline(P1, DeclineReason.DECLINED)) in third.relay.stop(third.now)


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


@pytest.mark.parametrize(
    ("reason", "reader"),
    [
        (NotSettled.READER_UNKNOWN, READER),
        (NotSettled.READER_NOT_CARDHOLDERS, READER),
        (NotSettled.CANCELLED_BY_MERCHANT, None),
    ],
)
def test_the_person_hears_which_reader_was_the_wrong_one(reason: NotSettled, reader: object) -> None:
    driver = Driver()
    driver.issuer(request())
    driver.hello(OTHER_READER)
    driver.lost()
    driver.hello(READER)
    driver.approve()
    [ended] = [effect for effect in driver.issuer(not_settled(reason)) if isinstance(effect, Finish)]
    assert (ended.ending.reason, ended.ending.reader_id) == (reason, reader)
