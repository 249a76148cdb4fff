"""On real BlueZ: each program killed in the middle, the radio lost and found; and the next payment works."""

from __future__ import annotations

import signal

from tests.bluez.bluetooth import READER_ADAPTER, Bluetooth
from tests.bluez.guest import GuestProgram, eventually
from tests.bluez.town import BenchTown
from tests.journey.town import PRICE


def charge_until_card_wanted(town: BenchTown) -> GuestProgram:
    """A payment that waits for the card."""
    charge = town.charge()
    town.approve()
    town.reader.expect("Swipe your card")
    return charge


def check_next_payment(town: BenchTown) -> None:
    """It works, and the books show it."""
    before = town.balances()
    assert town.pay("the next one").outcome == "completed"
    town.reader.expect("APPROVED")
    assert town.balances() == (before[0] - PRICE, before[1] + PRICE)


def test_the_reader_is_killed(bluetooth: Bluetooth, town: BenchTown) -> None:
    before = town.balances()
    charge = charge_until_card_wanted(town)
    town.reader.kill()
    assert bluetooth.adapter(READER_ADAPTER, "Alias") != bluetooth.plain_alias, "it left its name behind"
    town.start_reader()
    receipt = town.receipt(charge)
    assert (receipt.outcome, receipt.reason) == ("not_settled", "reader_unavailable")
    assert town.balances() == before
    check_next_payment(town)


def test_the_reader_is_killed_after_the_pin_and_gets_the_outcome_late(town: BenchTown) -> None:
    before = town.balances()
    charge = charge_until_card_wanted(town)
    town.reader.type(town.card.stripe)
    town.reader.expect("Enter PIN")
    town.issuer.signal(signal.SIGSTOP)
    town.reader.type(town.card.pin)
    town.phone.expect("PIN sealed and sent to your bank")
    town.reader.kill()
    town.start_reader()
    assert town.reader.seen("DO NOT PAY AGAIN"), "it is shown first, before any phone comes"
    town.issuer.signal(signal.SIGCONT)
    assert town.receipt(charge).outcome == "completed"
    town.reader.expect("APPROVED")
    assert town.balances() == (before[0] - PRICE, before[1] + PRICE)


def test_the_phone_is_killed(town: BenchTown) -> None:
    before = town.balances()
    charge = charge_until_card_wanted(town)
    town.phone.kill()
    town.start_phone()
    receipt = town.receipt(charge)
    assert (receipt.outcome, receipt.reason) == ("not_settled", "handset_fault")
    assert town.balances() == before
    check_next_payment(town)


def test_bluetoothd_is_killed_and_the_payment_goes_on(bluetooth: Bluetooth, town: BenchTown) -> None:
    charge = charge_until_card_wanted(town)
    bluetooth.kill_bluetoothd()
    town.reader.expect("bluetoothd has ended")
    town.phone.expect("Connection to the card reader lost")
    town.reader.expect("Bluetooth is back")
    town.phone.expect("going on where it stopped")
    town.reader.type(town.card.stripe)
    town.type_pin()
    assert town.receipt(charge).outcome == "completed"
    check_next_payment(town)


def test_out_of_range_and_back_the_payment_goes_on(bluetooth: Bluetooth, town: BenchTown) -> None:
    charge = charge_until_card_wanted(town)
    town.reader.type(town.card.stripe)
    town.reader.expect("Enter PIN")
    bluetooth.room.type("part")
    town.phone.expect("Connection to the card reader lost")
    bluetooth.room.type("meet")
    town.phone.expect("going on where it stopped")
    town.reader.type(town.card.pin)
    assert town.receipt(charge).outcome == "completed"


def test_the_adapter_is_unplugged_and_the_payment_goes_on(bluetooth: Bluetooth, town: BenchTown) -> None:
    charge = charge_until_card_wanted(town)
    bluetooth.room.type("unplug")
    town.reader.expect("the Bluetooth adapter is gone")
    town.phone.expect("Connection to the card reader lost")
    bluetooth.room.type("plug")
    town.reader.expect("Bluetooth is back")
    town.phone.expect("going on where it stopped")
    town.reader.type(town.card.stripe)
    town.type_pin()
    assert town.receipt(charge).outcome == "completed"


def test_a_stopped_reader_gives_the_adapter_its_name_back(bluetooth: Bluetooth, town: BenchTown) -> None:
    assert town.reader.stop() == 0
    eventually(
        lambda: bluetooth.adapter(READER_ADAPTER, "Alias") == bluetooth.plain_alias, "the adapter's own name"
    )
    town.start_reader()
