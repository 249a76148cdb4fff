"""Each of the four processes killed at each point of a payment and restarted: nothing is lost or hangs."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

from tests.journey.programs import Program
from tests.journey.town import PRICE, Plan, Receipt, Town, running, set_up


class Point(Enum):
    """Where in the payment the process dies; the value is the name in the test's id."""

    RINGING = "phone-rings"
    CARD_WANTED = "card-wanted"
    PIN_WANTED = "pin-wanted"
    PIN_SENT = "pin-sent"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """One set-up for all tests of a worker; each starts from a copy."""
    return set_up(tmp_path_factory.mktemp("town"), {})


@pytest.fixture
def here(plan: Plan, tmp_path: Path) -> Iterator[Town]:
    """The four programs, of which none is left hanging at the end."""
    with running(plan, copied_to=tmp_path) as place:
        yield place


def go_to(here: Town, point: Point) -> None:
    """Bring the payment that has just been asked for up to the point."""
    if point is Point.RINGING:
        here.phone.expect("Type a")
        return
    here.approve()
    if point is Point.CARD_WANTED:
        here.reader.expect("Swipe your card")
        return
    here.swipe()
    if point is Point.PIN_WANTED:
        here.reader.expect("Enter PIN")
        return
    here.type_pin()


def charge_until(here: Town, point: Point) -> Program:
    """A payment asked for and brought to the point."""
    charge = here.charge()
    go_to(here, point)
    return charge


def check(here: Town, before: tuple[int, int], receipt: Receipt) -> None:
    """What every end must fulfil: the books, the merchant's list, and that the next payment works."""
    paid = PRICE if receipt.outcome == "completed" else 0
    assert here.balances() == (before[0] - paid, before[1] + paid)
    [payment] = here.payments()
    assert (payment["id"], payment["status"]) == (receipt.payment_id, receipt.outcome)
    assert here.pay(order="the next one").outcome == "completed"


@pytest.mark.parametrize("point", Point, ids=lambda point: point.value)
def test_the_issuer_is_killed(here: Town, point: Point) -> None:
    before = here.balances()
    charge = charge_until(here, point)
    here.issuer.kill()
    here.start_issuer()
    receipt = here.receipt(charge)
    if receipt.outcome == "completed":
        assert point is Point.PIN_SENT
        here.reader.expect("APPROVED")
    else:
        assert receipt.reason == "issuer_restarted"
        if point is not Point.RINGING:
            here.reader.expect("NOT SETTLED")
    here.phone.expect("Waiting to be called")
    check(here, before, receipt)


@pytest.mark.parametrize("point", Point, ids=lambda point: point.value)
def test_the_reader_is_killed(here: Town, point: Point) -> None:
    before = here.balances()
    charge = charge_until(here, point)
    here.reader.kill()
    here.start_reader()
    if point is Point.RINGING:
        here.phone.type("a")
        here.swipe()
        here.type_pin()
    receipt = here.receipt(charge)
    if point is Point.RINGING:
        assert receipt.outcome == "completed"
    elif point is Point.PIN_SENT:
        assert receipt.reason in (None, "reader_unavailable")
    else:
        assert receipt.reason == "reader_unavailable"
    check(here, before, receipt)


@pytest.mark.parametrize("point", Point, ids=lambda point: point.value)
def test_the_phone_is_killed(here: Town, point: Point) -> None:
    before = here.balances()
    charge = charge_until(here, point)
    here.phone.kill()
    here.start_phone()
    if point is Point.RINGING:
        here.approve()
        here.swipe()
        here.type_pin()
    receipt = here.receipt(charge)
    if point is Point.RINGING:
        assert receipt.outcome == "completed"
    elif point is Point.PIN_SENT:
        assert receipt.reason in (None, "handset_fault")
    else:
        assert receipt.reason == "handset_fault"
    check(here, before, receipt)


@pytest.mark.parametrize("point", Point, ids=lambda point: point.value)
def test_the_merchant_is_killed_and_asks_again(here: Town, point: Point) -> None:
    before = here.balances()
    charge_until(here, point).kill()
    again = here.charge()
    if point is Point.RINGING:
        here.phone.type("a")
    if point in (Point.RINGING, Point.CARD_WANTED):
        here.swipe() if point is Point.RINGING else here.reader.type(here.card.stripe)
        here.type_pin()
    elif point is Point.PIN_WANTED:
        here.reader.type(here.card.pin)
    receipt = here.receipt(again)
    assert receipt.outcome == "completed"
    assert receipt.taken_up_again
    check(here, before, receipt)
