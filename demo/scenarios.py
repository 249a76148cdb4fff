"""The scenarios as data: who does what, and how the payment must end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from protocol.errors import InputError
from protocol.messages import NotSettled


class Answer(Enum):
    """What the person does when the phone rings."""

    APPROVE = auto()
    DECLINE = auto()
    NOTHING = auto()


class Phone(Enum):
    """What the phone does with what it carries."""

    HONEST = auto()
    TAMPERING = auto()
    REPLAYING = auto()


class Trouble(Enum):
    """What happens to the connections."""

    NONE = auto()
    READER_LOST_AFTER_SWIPE = auto()
    PHONE_OFFLINE_AFTER_CALL = auto()


class Card(Enum):
    """Which card is swiped."""

    OWN = auto()
    OWN_BLOCKED = auto()
    OTHER_BANKS = auto()


@dataclass(frozen=True, slots=True)
class Waits:
    """The issuer's deadlines (seconds at pace 1) where a scenario waits for one of them."""

    approval: float = 60.0
    card: float = 60.0
    pin: float = 60.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One story. `reason` None means that the payment completes."""

    name: str
    summary: str
    story: str
    reason: NotSettled | None = None
    answer: Answer = Answer.APPROVE
    card: Card = Card.OWN
    pin_right: bool = True
    purse: int = 20_000
    phone: Phone = Phone.HONEST
    trouble: Trouble = Trouble.NONE
    waits: Waits = Waits()

    @property
    def outcome(self) -> str:
        """How the last line must read."""
        return "completed" if self.reason is None else "not_settled"


DEFAULT: Final = "paid"

_ALL = (
    Scenario(
        DEFAULT,
        "a payment as it should be",
        "Hanako buys two coffees. She approves on her phone, swipes her card at her own reader and types her"
        " PIN there. The phone carries every byte and can read none of what the reader seals.",
    ),
    Scenario(
        "declined",
        "the person declines on the phone",
        "Hanako's phone rings for coffees that she did not order. She declines.",
        NotSettled.DECLINED,
        answer=Answer.DECLINE,
    ),
    Scenario(
        "approval-timeout",
        "nobody answers, and the phone loses the network",
        "Hanako's phone rings in her bag, then her train enters a tunnel. Only the issuer's own clock can"
        " end this.",
        NotSettled.APPROVAL_TIMEOUT,
        answer=Answer.NOTHING,
        trouble=Trouble.PHONE_OFFLINE_AFTER_CALL,
        waits=Waits(approval=5.0),
    ),
    Scenario(
        "wrong-pin",
        "the PIN typed is wrong",
        "Hanako mistypes her PIN. One wrong PIN ends the payment and uses up one of the card's three tries.",
        NotSettled.WRONG_PIN,
        pin_right=False,
    ),
    Scenario(
        "unknown-card",
        "a card that the issuer does not know",
        "Hanako swipes a card of another bank. Her issuer opens the envelope and finds no such card.",
        NotSettled.UNKNOWN_CARD,
        card=Card.OTHER_BANKS,
    ),
    Scenario(
        "blocked-card",
        "a card that was reported lost",
        "Hanako reported her card lost, found it again and forgot to call. The issuer still refuses it.",
        NotSettled.BLOCKED_CARD,
        card=Card.OWN_BLOCKED,
    ),
    Scenario(
        "insufficient-funds",
        "not enough money on the account",
        "Hanako approves and swipes, but she has 900 yen left. The ledger holds the whole price or nothing,"
        " and her issuer asks for no PIN.",
        NotSettled.INSUFFICIENT_FUNDS,
        purse=900,
    ),
    Scenario(
        "tampering-phone",
        "the phone alters what it carries",
        "Malware owns Hanako's phone. It alters every message that passes, one after the other, and ends by"
        " keeping the PIN envelope back. It can stop the payment. It can do nothing else.",
        NotSettled.PIN_TIMEOUT,
        phone=Phone.TAMPERING,
        waits=Waits(pin=6.0),
    ),
    Scenario(
        "replaying-phone",
        "the phone replays an earlier payment's messages",
        "Hanako pays once, and her phone records everything. Then it tries to pay again without her: it"
        " approves by itself and replays what it recorded.",
        NotSettled.CARD_TIMEOUT,
        phone=Phone.REPLAYING,
        waits=Waits(card=6.0),
    ),
    Scenario(
        "reader-lost-and-back",
        "Bluetooth drops in the middle of a message",
        "Hanako swipes, and the radio link drops while the sealed card is in the air. The phone reconnects"
        " and goes on where it stopped. She swipes once and pays once.",
        trouble=Trouble.READER_LOST_AFTER_SWIPE,
    ),
)

INTERACTIVE: Final = Scenario(
    "interactive",
    "you pay",
    "You are Hanako. The shop asks for the price of two coffees. You approve on the phone, swipe a card at"
    " your reader and type its PIN. The machines are as real as in every other scenario.",
)
"""Ends as the person makes it end; not in the list."""

SCENARIOS: Final[Mapping[str, Scenario]] = {scenario.name: scenario for scenario in _ALL}


def find_scenario(name: str) -> Scenario:
    """The scenario of that name; InputError lists them all."""
    if name not in SCENARIOS:
        raise InputError(
            "unknown_scenario", f"There is no scenario of that name. Choose one of: {', '.join(SCENARIOS)}."
        )
    return SCENARIOS[name]
