"""The four parties in the guest, installed and set up by the commands that a user would type."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from tests.bluez.bluetooth import PHONE_ADAPTER, READER_ADAPTER, Bluetooth
from tests.bluez.guest import Guest, GuestProgram
from tests.journey.town import PHONE, PRICE, Card, Receipt
from tests.journey.transcript import ProgramError

_ISSUER: Final = "http://127.0.0.1:8480"


class BenchTown:
    """Issuer, reader on hci0 and phone on hci1, running; each as a user of its own, who is not root."""

    def __init__(self, guest: Guest, bluetooth: Bluetooth) -> None:
        self.guest = guest
        self.bluetooth = bluetooth
        began = time.monotonic()
        guest.run("issuer-server", "init", user="issuer")
        seeded: Any = json.loads(guest.run("issuer-server", "seed", "--json", user="issuer"))
        merchant, owner = seeded["merchant"], seeded["cardholders"][0]
        self._owner, self._merchant = owner["id"], merchant["id"]
        good = next(card for card in owner["cards"] if card["label"] == "good")
        self.card = Card(good["stripe"], good["pin"])
        self.issuer = self.start_issuer()
        # What waits for nothing of each other runs side by side: starting takes the emulated processor long.
        set_up = (
            guest.start("enrol reader", "reader-peripheral", "enrol", user="reader"),
            guest.start("enrol phone", "handset-client", "enrol", user="phone"),
            guest.start("login", "merchant-terminal", "login", "--issuer", _ISSUER, user="shop"),
        )
        for program, typed in zip(
            set_up, (owner["reader_code"], owner["handset_code"], merchant["api_key"]), strict=True
        ):
            program.type(typed)
            program.end_of_input()
        for program in set_up:
            if program.finish():
                raise ProgramError(f"{program.name} failed:\n{program.output}")
        self.reader, self.phone = self._reader(), self._phone()
        self.reader.expect("advertising as")
        self.phone.expect("Waiting to be called")
        self.seconds = time.monotonic() - began
        """How long all that took, by this machine's clock."""

    def start_issuer(self) -> GuestProgram:
        """Run the issuer; it answers when this returns."""
        self.issuer = self.guest.start("issuer", "issuer-server", "run", user="issuer")
        self.issuer.expect("listens on")
        return self.issuer

    def start_reader(self, *arguments: str) -> GuestProgram:
        """Run the reader on its Bluetooth adapter, in a terminal; it advertises when this returns."""
        self.reader = self._reader(*arguments)
        self.reader.expect("advertising as")
        return self.reader

    def start_phone(self, *arguments: str) -> GuestProgram:
        """Run the phone on its Bluetooth adapter, in a terminal; the issuer knows it when this returns."""
        self.phone = self._phone(*arguments)
        self.phone.expect("Waiting to be called")
        return self.phone

    def _reader(self, *arguments: str) -> GuestProgram:
        return self.guest.start(
            *("reader", "reader-peripheral", "run", "--verbose", "--adapter", READER_ADAPTER, *arguments),
            user="reader",
            terminal=True,
        )

    def _phone(self, *arguments: str) -> GuestProgram:
        return self.guest.start(
            *("phone", "handset-client", "run", "--terminal", "--verbose", "--adapter", PHONE_ADAPTER),
            *arguments,
            user="phone",
            terminal=True,
        )

    def charge(self, order: str = "2 coffees", price: int = PRICE) -> GuestProgram:
        """The merchant's command, waiting for the end."""
        return self.guest.start(
            *("merchant", "merchant-terminal", "charge", "--phone", PHONE),
            *("--amount", str(price), "--currency", "JPY", "--order", order, "--json"),
            user="shop",
        )

    def receipt(self, charge: GuestProgram) -> Receipt:
        """How a charge ended, once it has."""
        status = charge.finish()
        document: Any = json.loads(charge.output.splitlines()[-1])
        payment = document["payment"]
        return Receipt(
            document["outcome"], payment["id"], payment["reason"], document["taken_up_again"], status
        )

    def balances(self) -> tuple[int, int]:
        """What cardholder and merchant own in yen."""
        rows: Any = json.loads(self.guest.run("issuer-server", "balance", "--json", user="issuer"))
        yen = {row["owner"]: row["minor"] for row in rows if row["currency"] == "JPY"}
        return yen[self._owner], yen.get(self._merchant, 0)

    # What the person does, each once the program asks for it

    def approve(self) -> None:
        """Press Approve on the phone."""
        self._answer("a")

    def decline(self) -> None:
        """Press Decline on the phone."""
        self._answer("d")

    def _answer(self, key: str) -> None:
        # First what is shown once a payment: the countdown prints the keys again and again.
        self.phone.expect("For  +")
        self.phone.expect(r"\[A\]pprove")
        # A new request takes no key for half a second.
        self.phone.expect(r"\[A\]pprove")
        self.phone.press(key)

    def swipe(self) -> None:
        """Swipe the card, as a wedge reader types it into the reader's terminal."""
        self.reader.expect("Swipe your card")
        self.reader.type(self.card.stripe)

    def type_pin(self, pin: str | None = None) -> None:
        """Type the PIN into the reader's terminal."""
        self.reader.expect("Enter PIN")
        self.reader.type(pin or self.card.pin)

    def pay(self, order: str = "2 coffees", price: int = PRICE) -> Receipt:
        """A whole payment as it should be."""
        charge = self.charge(order, price)
        self.approve()
        self.swipe()
        self.type_pin()
        return self.receipt(charge)
