"""Payments over real bluetoothd: bless on hci0, bleak on hci1, everything as a user installs it."""

from __future__ import annotations

import time

import pytest

from tests.bluez.bluetooth import PHONE_ADAPTER, Bluetooth
from tests.bluez.machine import Machine
from tests.bluez.town import BenchTown
from tests.journey.town import PRICE
from virtual_radio.pdu_count import count, report


def test_a_payment_is_completed_and_measured(
    machine: Machine, bluetooth: Bluetooth, town: BenchTown, capsys: pytest.CaptureFixture[str]
) -> None:
    cardholder, merchant = town.balances()
    with bluetooth.recording(PHONE_ADAPTER) as air:
        began = time.monotonic()
        charge = town.charge()
        town.approve()
        approved = time.monotonic()
        town.swipe()
        town.type_pin()
        town.phone.expect("Paid JPY 1,200 to Cafe Relay with card ending 1111")
        paid = time.monotonic()
        town.reader.expect("APPROVED")
        receipt = town.receipt(charge)
    assert (receipt.outcome, receipt.status) == ("completed", 0)
    assert town.balances() == (cardholder - PRICE, merchant + PRICE)
    totals = count(air.h4)
    assert totals
    with capsys.disabled():
        boot = f"{machine.boot_seconds:.0f} s ({machine.guest.boot_seconds:.0f} s by the guest's clock)"
        print(f"\nbooted in {boot}")
        print(f"installed in {machine.install_seconds:.0f} s, set up in {town.seconds:.0f} s")
        print(f"payment: {paid - began:.1f} s, {paid - approved:.1f} s of them after the approval")
        print(
            f"bluetoothd {bluetooth.version()}; sent and received by the phone's adapter:\n{report(totals)}"
        )


def test_a_wrong_pin_moves_no_money(town: BenchTown) -> None:
    before = town.balances()
    charge = town.charge()
    town.approve()
    town.swipe()
    town.type_pin("9999")
    receipt = town.receipt(charge)
    assert (receipt.outcome, receipt.reason) == ("not_settled", "wrong_pin")
    town.reader.expect("The PIN was wrong")
    assert town.balances() == before


def test_a_declined_payment_never_reaches_the_reader(town: BenchTown) -> None:
    before = town.balances()
    charge = town.charge()
    town.decline()
    receipt = town.receipt(charge)
    assert (receipt.outcome, receipt.reason) == ("not_settled", "declined")
    town.phone.expect("you declined")
    assert town.balances() == before
