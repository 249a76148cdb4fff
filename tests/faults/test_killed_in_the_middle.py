"""Each of the four processes killed at each point of a payment and restarted: nothing is lost or hangs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from enum import Enum

import pytest

from tests.journey.programs import Program
from tests.journey.town import PRICE, Plan, Receipt, Town, running, set_up


class Point(Enum):
    """Where in the payment the process dies; the value is the name in the test's id."""

    RINGING = "phone-rings"
    CARD_WANTED = "card-wanted"
    PIN_WANTED = "pin-wanted"
    PIN_SENT = "pin-sent"
    SETTLING = "settling"
    SETTLED = "settled"


POINTS = pytest.mark.parametrize(
    "point",
    [Point.RINGING, Point.CARD_WANTED, Point.PIN_WANTED, Point.PIN_SENT],
    ids=lambda point: point.value,
)


class SharedTown:
    """One town for many tests, since starting one takes seconds; a failed test leaves none to the next."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stack = ExitStack()
        self._town: Town | None = None
        self.balances = (0, 0)

    def take(self) -> Town:
        """The town, with everything running and nothing under way."""
        if self._town is None:
            self._town = self._stack.enter_context(running(self._plan))
            self.balances = self._town.balances()
        self._town.skip()
        return self._town

    def leave(self) -> None:
        """Stop the town; fails where a program does not stop."""
        self._town = None
        self._stack.close()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedTown]:
    """The programs, of which none is left hanging at the end."""
    place = SharedTown(set_up(tmp_path_factory.mktemp("town"), {}))
    yield place
    place.leave()


@pytest.fixture(autouse=True)
def kept_only_when_sound(town: SharedTown, request: pytest.FixtureRequest) -> Iterator[None]:
    """After a failure the output of all programs is shown with it, and the next test starts new ones."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        town.leave()


def charge_until(here: Town, point: Point) -> Program:
    """A payment asked for and brought to the point."""
    charge = here.charge()
    if point is Point.RINGING:
        here.phone.expect("Type a")
        return charge
    here.approve()
    if point is Point.CARD_WANTED:
        here.reader.expect("Swipe your card")
        return charge
    here.swipe()
    if point is Point.PIN_WANTED:
        here.reader.expect("Enter PIN")
        return charge
    here.type_pin()
    if point is Point.SETTLING:
        here.issuer.expect('"event": "pin_arrived"')
    elif point is Point.SETTLED:
        here.issuer.expect('"event": "settled"')
    return charge


def check(town: SharedTown, here: Town, receipt: Receipt) -> None:
    """What every end must fulfil: the books, the merchant's list, and that the next payment works."""
    paid = PRICE if receipt.outcome == "completed" else 0
    [payment] = [each for each in here.payments() if each["id"] == receipt.payment_id]
    assert payment["status"] == receipt.outcome
    assert here.pay(order="the next one").outcome == "completed"
    cardholder, merchant = town.balances
    town.balances = here.balances()
    assert town.balances == (cardholder - paid - PRICE, merchant + paid + PRICE)


@pytest.mark.parametrize("point", Point, ids=lambda point: point.value)
def test_the_issuer_is_killed(town: SharedTown, point: Point) -> None:
    here = town.take()
    charge = charge_until(here, point)
    here.issuer.kill()
    here.start_issuer()
    receipt = here.receipt(charge)
    if receipt.outcome == "completed":
        assert point in (Point.PIN_SENT, Point.SETTLING, Point.SETTLED)
        here.reader.expect("APPROVED")
    else:
        assert point is not Point.SETTLED  # it was committed before it was said
        assert receipt.reason == "issuer_restarted"
        if point is not Point.RINGING:
            here.reader.expect("NOT PAID")
    check(town, here, receipt)


@POINTS
def test_the_reader_is_killed(town: SharedTown, point: Point) -> None:
    here = town.take()
    charge = charge_until(here, point)
    if point is Point.RINGING:
        here.phone.expect("Your card reader is connected")
    here.reader.kill()
    if point is Point.RINGING:
        here.phone.expect("Connection to the card reader lost")
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
    check(town, here, receipt)


@POINTS
def test_the_phone_is_killed(town: SharedTown, point: Point) -> None:
    here = town.take()
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
    check(town, here, receipt)


@POINTS
def test_the_merchant_is_killed_and_asks_again(town: SharedTown, point: Point) -> None:
    here = town.take()
    charge_until(here, point).kill()
    again = here.charge()
    if point is Point.RINGING:
        here.phone.type("a")
        here.swipe()
    if point is Point.CARD_WANTED:
        here.reader.type(here.card.stripe)
    if point is Point.PIN_WANTED:
        here.reader.type(here.card.pin)
    elif point is not Point.PIN_SENT:
        here.type_pin()
    receipt = here.receipt(again)
    assert receipt.outcome == "completed"
    assert receipt.taken_up_again
    check(town, here, receipt)
