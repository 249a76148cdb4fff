"""How much world is explored, and what is weakened in it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from reader_peripheral.screens import Bill
from tests.explorer.town import FIRST, TEA, Asked, Plastic


@dataclass(frozen=True, slots=True)
class Bounds:
    """What there is of everything; within it every order of events is gone through.

    `asked`: payments the shop asks for, each at any time. `cards`: what Alice may swipe. `sessions`: how
    often a phone may begin anew with her reader. `power_cuts` at the reader, `restarts` at the issuer.
    `mistypes`: she may type a wrong PIN. `stops`: she, the shop and the phone may break off, not
    the deadlines alone.
    """

    asked: tuple[Asked, ...] = (TEA,)
    cards: tuple[Plastic, ...] = (FIRST,)
    sessions: int = 2
    power_cuts: int = 0
    restarts: int = 0
    pin_attempts: int = 1
    mistypes: bool = False
    stops: bool = True
    most_states: int = 10_000_000

    def __str__(self) -> str:
        return (
            f"payments: {', '.join(each.label for each in self.asked)}; cards swiped: {len(self.cards)};"
            f" sessions: {self.sessions}; power cuts: {self.power_cuts}; restarts: {self.restarts};"
            f" PIN attempts: {self.pin_attempts}; wrong PINs: {'yes' if self.mistypes else 'no'};"
            f" breaking off: {'yes' if self.stops else 'no'}"
        )


def _as_shown(bill: Bill) -> tuple[Bill, ...]:
    return (bill,)


@dataclass(frozen=True, slots=True)
class Weakness:
    """A defence taken out. `patched` takes it out of the real code for as long as a search runs."""

    name: str = "none"
    patched: Callable[[], AbstractContextManager[object]] = nullcontext
    believed: Callable[[Bill], tuple[Bill, ...]] = field(default=_as_shown)
    """What a person may take a display's bill to be: the phone says what the display does not."""
    ties_cards: bool = True
    beforehand: str = ""
    """What the reader of an attack must know that no event tells."""


NONE = Weakness()
