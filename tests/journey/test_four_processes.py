"""A payment by the four real programs as four processes, set up and used by a user's own commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.journey.town import PRICE, running, set_up, town


def test_a_payment_is_completed(tmp_path: Path) -> None:
    with town(tmp_path) as here:
        cardholder, merchant = here.balances()
        receipt = here.pay()
        assert (receipt.outcome, receipt.status) == ("completed", 0)
        assert here.phone.seen("Paid JPY 1,200 to Cafe Relay with card ending 1111")
        assert here.balances() == (cardholder - PRICE, merchant + PRICE)


def test_a_payment_is_completed_on_a_slow_and_lossy_radio(tmp_path: Path) -> None:
    plan = set_up(tmp_path, {})
    with running(replace(plan, weather=("--radio-interval", "30", "--radio-loss", "0.2"))) as here:
        cardholder, merchant = here.balances()
        assert here.pay().outcome == "completed"
        assert here.balances() == (cardholder - PRICE, merchant + PRICE)


def test_a_declined_payment_moves_no_money(tmp_path: Path) -> None:
    with town(tmp_path) as here:
        before = here.balances()
        charge = here.charge()
        here.phone.expect("Type a")
        here.phone.type("d")
        receipt = here.receipt(charge)
        assert (receipt.outcome, receipt.reason, receipt.status) == ("not_settled", "declined", 1)
        here.phone.expect("you declined")
        assert not here.reader.seen("Swipe your card")
        assert here.balances() == before


def test_a_wrong_pin_ends_the_payment_and_the_next_one_works(tmp_path: Path) -> None:
    with town(tmp_path) as here:
        before = here.balances()
        charge = here.charge()
        here.approve()
        here.swipe()
        here.type_pin("9999")
        receipt = here.receipt(charge)
        assert (receipt.outcome, receipt.reason, receipt.status) == ("not_settled", "wrong_pin", 1)
        here.phone.expect("the PIN was wrong")
        here.reader.expect("NOT PAID\\s.*\\s+The PIN was wrong")
        assert here.balances() == before
        assert here.pay(order="the same, with care").outcome == "completed"
