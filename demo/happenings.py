"""What the taps saw, as values. A narrator prints them; nothing here knows how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class Party(StrEnum):
    """Who can send, receive or do something."""

    MERCHANT = "merchant"
    ISSUER = "issuer"
    PHONE = "phone"
    READER = "reader"
    PERSON = "Hanako"
    RADIO = "radio"


class Event(StrEnum):
    """The `event` of a line of --json."""

    STORY = "story"
    SETUP = "setup"
    PAYMENT = "payment"
    MESSAGE = "message"
    SCREEN = "screen"
    PERSON = "person"
    ISSUER = "issuer"
    OPENED = "opened"
    LINK = "link"
    ATTACK = "attack"
    DEFENCE = "defence"
    RECEIPT = "receipt"
    LEARNED = "learned"
    LEDGER = "ledger"
    RADIO = "radio"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. `at` is seconds since the payment began (None before it).

    `route` says who did it, or who sent it through whom to whom. `steps` names the patent's steps. `facts` is
    what --json adds; `text` is the line for a person.
    """

    event: Event
    text: str
    at: float | None = None
    route: tuple[Party, ...] = ()
    steps: str = ""
    facts: Mapping[str, Json] = field(default_factory=dict)

    def document(self) -> dict[str, Json]:
        """The object of one line of --json."""
        document: dict[str, Json] = {"event": self.event.value}
        if self.at is not None:
            document["seconds"] = round(self.at, 4)
        if self.route:
            document["route"] = [party.value for party in self.route]
        if self.steps:
            document["patent"] = self.steps
        document["text"] = self.text
        document.update(self.facts)
        return document


class Narrator(Protocol):
    """Where happenings go."""

    def tell(self, happening: Happening) -> None:
        """Tell this, in the order of the calls. Never blocks the parties."""

    async def caught_up(self) -> None:
        """Wait until everything told so far has been printed."""

    async def close(self) -> None:
        """Print what is left."""


def hex_text(data: bytes, head: int = 8, tail: int = 5) -> str:
    """A few bytes of `data` as a person can compare them: the first and the last, in pairs of digits."""
    if len(data) <= head + tail:
        return data.hex(" ")
    return f"{data[:head].hex(' ')} … {data[-tail:].hex(' ')}"
