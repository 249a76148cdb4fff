"""The four programs as four processes, set up and used by the commands that a user would type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.journey.programs import Program, Programs, free_port, programs

PHONE = "+81 90 1234 5678"
PRICE = 1200


@dataclass(frozen=True, slots=True)
class Card:
    """What a person has in hand and in mind."""

    stripe: str
    pin: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `merchant-terminal charge --json` printed."""

    outcome: str
    payment_id: str
    reason: str | None
    taken_up_again: bool
    status: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A town that was set up in `folder`: who is in it, and where its programs meet."""

    folder: Path
    issuer_url: str
    radio: str
    merchant_id: str
    cardholder_id: str
    card: Card
    weather: tuple[str, ...] = ()
    """Options of the reader's command that make its radio worse."""


def set_up(folder: Path, deadlines: Mapping[str, float]) -> Plan:
    """Init and seed the issuer, enrol reader and phone, log the merchant in; nothing runs afterwards."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with programs(folder) as them:
        them.run("issuer-server", "init", "--port", str(port))
        with (folder / "issuer-data" / "issuer.toml").open("a") as settings:
            settings.write("stop_grace = 0.0\n[deadlines]\n")
            settings.writelines(f"{name} = {seconds}\n" for name, seconds in deadlines.items())
        seeded: Any = json.loads(them.run("issuer-server", "seed", "--json"))
        merchant, owner = seeded["merchant"], seeded["cardholders"][0]
        issuer = them.start("issuer", "issuer-server", "run")
        issuer.expect("listens on")
        assert "Enrolled" in them.run("reader-peripheral", "enrol", typed=owner["reader_code"])
        assert "Enrolled" in them.run("handset-client", "enrol", typed=owner["handset_code"])
        them.run("merchant-terminal", "login", "--issuer", url, typed=merchant["api_key"])
        assert issuer.stop() == 0
    good = next(card for card in owner["cards"] if card["label"] == "good")
    return Plan(
        folder,
        url,
        f"127.0.0.1:{free_port()}",
        merchant["id"],
        owner["id"],
        Card(good["stripe"], good["pin"]),
    )


class Town:
    """The programs of a plan. `issuer`, `reader` and `phone` are the ones that run now."""

    def __init__(self, them: Programs, plan: Plan) -> None:
        self._programs = them
        self._plan = plan
        self.card = plan.card
        self.issuer = self.start_issuer()
        self.reader = self.start_reader()
        self.phone = self.start_phone()

    def skip(self) -> None:
        """Nothing said so far answers a later `expect`."""
        for program in (self.issuer, self.reader, self.phone):
            program.skip()

    def start_issuer(self) -> Program:
        """Run the issuer; it answers when this returns."""
        self.issuer = self._programs.start("issuer", "issuer-server", "run")
        self.issuer.expect("listens on")
        return self.issuer

    def start_reader(self) -> Program:
        """Run the reader, which serves the virtual radio."""
        self.reader = self._programs.start(
            "reader",
            *("reader-peripheral", "run", "--radio", f"virtual-serve:{self._plan.radio}"),
            *self._plan.weather,
        )
        self.reader.expect("advertising as")
        return self.reader

    def start_phone(self) -> Program:
        """Run the phone; the issuer knows that it is there when this returns."""
        self.phone = self._programs.start(
            "phone", "handset-client", "run", "--terminal", "--radio", f"virtual:{self._plan.radio}"
        )
        self.phone.expect("Waiting to be called")
        return self.phone

    def charge(self, order: str = "2 coffees", price: int = PRICE) -> Program:
        """The merchant's command, waiting for the end."""
        return self._programs.start(
            "merchant",
            "merchant-terminal",
            "charge",
            *("--phone", PHONE, "--amount", str(price), "--currency", "JPY", "--order", order, "--json"),
        )

    def receipt(self, charge: Program) -> Receipt:
        """How a charge ended, once it has."""
        status = charge.finish()
        document: Any = json.loads(charge.output.splitlines()[-1])
        payment = document["payment"]
        return Receipt(
            document["outcome"], payment["id"], payment["reason"], document["taken_up_again"], status
        )

    def payments(self) -> list[Any]:
        """The merchant's list, newest first."""
        document: Any = json.loads(self._programs.run("merchant-terminal", "list", "--json"))
        payments: list[Any] = document["payments"]
        return payments

    def balances(self) -> tuple[int, int]:
        """What cardholder and merchant own in yen; the command fails where the books do not balance."""
        rows: Any = json.loads(self._programs.run("issuer-server", "balance", "--json"))
        yen = {row["owner"]: row["minor"] for row in rows if row["currency"] == "JPY"}
        return yen[self._plan.cardholder_id], yen.get(self._plan.merchant_id, 0)

    # What the person does, each once the program asks for it

    def approve(self) -> None:
        """Approve on the phone."""
        self.phone.expect("Type a")
        self.phone.type("a")

    def swipe(self) -> None:
        """Swipe the card."""
        self.reader.expect("Swipe your card")
        self.reader.type(self.card.stripe)

    def type_pin(self, pin: str | None = None) -> None:
        """Type the PIN."""
        self.reader.expect("Enter PIN")
        self.reader.type(pin or self.card.pin)

    def pay(self, order: str = "2 coffees", price: int = PRICE) -> Receipt:
        """A whole payment as it should be."""
        charge = self.charge(order, price)
        self.approve()
        self.swipe()
        self.type_pin()
        receipt = self.receipt(charge)
        if receipt.outcome == "completed":
            self.reader.expect("APPROVED")
            self.phone.expect("Paid ")
        return receipt

    def close(self) -> None:
        """Ask what lives to stop: nothing may hang. The issuer goes last, as the others say goodbye to it."""
        for program in (self.phone, self.reader, self.issuer):
            if program.running:
                program.stop()


@contextmanager
def town(folder: Path, **deadlines: float) -> Iterator[Town]:
    """Everything set up and running; everything stopped at the end, by force where a test failed."""
    with running(set_up(folder, deadlines)) as place:
        yield place


@contextmanager
def running(plan: Plan) -> Iterator[Town]:
    """The programs of a town that is set up already."""
    with programs(plan.folder) as them:
        place = Town(them, plan)
        yield place
        place.close()
