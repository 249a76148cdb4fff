"""The relay's table: every state and event is listed or refused, and no state waits for ever."""

import pytest

from handset_client.relay_call import RINGS, STEPS
from handset_client.relay_table import RELAY, Effect, Event, State
from protocol.errors import IllegalTransition
from protocol.transition_table import to_mermaid

EVERY_CELL = [(state, event) for state in State for event in Event]
AFTER_THE_OFFER = (
    State.OFFERED,
    State.CARD_SENT,
    State.PIN_ASKED,
    State.PIN_SENT,
    State.CALLED_OFF,
    State.READER_GONE,
    State.PIN_SENT_READER_GONE,
    State.OUTCOME_WANTED,
)


@pytest.mark.parametrize(("state", "event"), EVERY_CELL, ids=lambda value: value.name)
def test_every_state_and_event_is_listed_or_refused_by_name(state: State, event: Event) -> None:
    if RELAY.allows(state, event):
        assert RELAY.step(state, event).to in State
        return
    with pytest.raises(IllegalTransition) as refused:
        RELAY.step(state, event)
    assert (refused.value.role, refused.value.state, refused.value.event) == ("handset relay", state, event)


@pytest.mark.parametrize("state", [state for state in State if state not in RELAY.terminal])
def test_no_state_waits_for_ever(state: State) -> None:
    assert any(RELAY.allows(state, event) for event in RINGS.values())


@pytest.mark.parametrize("state", [state for state in State if state not in RELAY.terminal])
def test_the_end_can_be_reached_by_clocks_alone(state: State) -> None:
    seen, ends = {state}, [state]
    while ends:
        here = ends.pop()
        for event in RINGS.values():
            if RELAY.allows(here, event) and (there := RELAY.step(here, event).to) not in seen:
                seen.add(there)
                ends.append(there)
    assert State.ENDED in seen


@pytest.mark.parametrize("state", [state for state in State if state not in RELAY.terminal])
def test_a_result_is_taken_in_every_live_state(state: State) -> None:
    assert RELAY.allows(state, Event.RESULT)
    assert RELAY.allows(state, Event.PAYMENT_OVER)


@pytest.mark.parametrize("state", [state for state in State if state not in RELAY.terminal])
def test_an_issuer_that_forgot_us_is_no_surprise_in_any_live_state(state: State) -> None:
    assert RELAY.allows(state, Event.ISSUER_FORGOT)


@pytest.mark.parametrize("state", AFTER_THE_OFFER)
def test_an_outcome_is_on_disk_before_it_goes_to_the_reader(state: State) -> None:
    effects = RELAY.step(state, Event.OUTCOME).effects
    assert effects.index(Effect.KEEP_OUTCOME) < effects.index(Effect.DELIVER_OUTCOME)


@pytest.mark.parametrize("state", AFTER_THE_OFFER)
def test_an_issuer_that_knows_no_such_payment_leaves_an_offered_one_in_doubt(state: State) -> None:
    move = RELAY.step(state, Event.PAYMENT_UNKNOWN)
    assert (move.to, move.effects) == (State.ENDED, (Effect.SHOW_UNKNOWN, Effect.LEAVE_READER))


@pytest.mark.parametrize("state", [state for state in State if state not in RELAY.terminal])
def test_an_issuer_that_knows_no_such_payment_is_no_surprise_in_any_live_state(state: State) -> None:
    assert RELAY.allows(state, Event.PAYMENT_UNKNOWN)


def test_the_offer_is_noted_on_disk_before_it_goes_to_the_reader() -> None:
    effects = RELAY.step(State.APPROVAL_SENT, Event.KEY_OFFER).effects
    assert effects.index(Effect.REMEMBER_OFFER) < effects.index(Effect.FORWARD_TO_READER)


def test_only_a_person_makes_the_phone_approve() -> None:
    approving = {
        (state, event) for (state, event), move in RELAY.moves.items() if Effect.SEND_APPROVE in move.effects
    }
    assert approving == {
        (State.ASKED_READER_READY, Event.APPROVE),
        (State.APPROVED, Event.READER_READY),
    }
    assert [key for key, move in RELAY.moves.items() if move.to is State.APPROVED] == [
        (State.ASKED, Event.APPROVE),
        (State.APPROVED, Event.READER_LOST),
    ]


def test_a_declined_payment_cannot_be_approved_any_more() -> None:
    for state in State:
        if RELAY.allows(state, Event.DECLINE):
            after = RELAY.step(state, Event.DECLINE).to
            assert not RELAY.allows(after, Event.APPROVE)


def test_the_pin_is_the_point_of_no_return() -> None:
    assert not RELAY.allows(State.PIN_SENT, Event.DECLINE)
    assert Effect.SEND_READER_UNAVAILABLE not in RELAY.step(State.PIN_SENT, Event.READER_LOST).effects


def test_every_progress_line_has_its_step() -> None:
    for move in RELAY.moves.values():
        if Effect.SHOW_PROGRESS in move.effects:
            assert move.to in STEPS


def test_the_table_can_be_drawn() -> None:
    assert "ASKED --> APPROVED: approve" in to_mermaid(RELAY)
