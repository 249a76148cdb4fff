"""The issuer's machine to the last value: its waits, and what an ending does, in order."""

from __future__ import annotations

import pytest

from issuer_server.payment import (
    ENDINGS,
    Deadlines,
    PaymentState,
    _ending_effects,
)
from issuer_server.payment import Effect as F
from protocol.messages import NotSettled


def ending(reason: NotSettled, *, told: bool) -> tuple[F, ...]:
    """What it does where it strikes in every one of its states; the same in all of them."""
    [found] = [each for each in ENDINGS if each.reason is reason and each.phone_is_told is told]
    [effects] = {_ending_effects(found, state) for state in found.states}
    return effects


@pytest.mark.parametrize("name", ["call", "approval", "card", "pin"])
def test_a_wait_is_above_nothing_and_at_most_ten_minutes(name: str) -> None:
    for seconds in (0.001, 1.0, 600.0):
        assert getattr(Deadlines(**{name: seconds}), name) == seconds
    for seconds in (-1.0, 0.0, 600.001):
        with pytest.raises(ValueError, match=f"deadline '{name}' must be above 0 and at most 600 seconds"):
            Deadlines(**{name: seconds})


def test_each_state_has_its_own_wait() -> None:
    waits = Deadlines(call=1, approval=2, card=3, pin=4)
    expected = {
        PaymentState.REQUESTED: 1,
        PaymentState.CALLING: 2,
        PaymentState.KEY_OFFERED: 3,
        PaymentState.PIN_REQUESTED: 4,
    }
    assert {state: waits.of(state) for state in PaymentState} == dict.fromkeys(PaymentState) | expected
    assert Deadlines() == Deadlines(call=10, approval=60, card=60, pin=60)


def test_whom_an_ending_tells_and_in_what_order() -> None:
    quiet = (F.DROP_KEYS, F.STORE, F.TELL_MERCHANT)
    told = (F.DROP_KEYS, F.STORE, F.TELL_PHONE, F.TELL_MERCHANT)
    everybody = (F.DROP_KEYS, F.STORE, F.SEND_OUTCOME, F.TELL_PHONE, F.TELL_MERCHANT)
    assert ending(NotSettled.APPROVAL_TIMEOUT, told=False) == quiet
    assert ending(NotSettled.CARD_TIMEOUT, told=False) == quiet
    assert ending(NotSettled.READER_UNKNOWN, told=True) == told
    assert ending(NotSettled.PIN_TIMEOUT, told=True) == everybody
    assert ending(NotSettled.WRONG_PIN, told=True) == everybody
