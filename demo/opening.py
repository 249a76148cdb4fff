"""An envelope between its arrival at the issuer and the issuer's verdict: what phone and issuer saw of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from protocol.messages import MessageType

TAIL: Final = 9
"""Bytes shown of an envelope: two lines of a box of half a terminal's width."""

_NEEDS_DIGITS: Final = frozenset({"card_accepted", "card_blocked", "card_expired", "pin_blocked"})

_CARD_VERDICTS: Final = {
    "card_accepted": "card ****{digits}, Hanako's own",
    "card_blocked": "card ****{digits}: BLOCKED",
    "card_expired": "card ****{digits}: EXPIRED",
    "pin_blocked": "card ****{digits}: no PIN tries left",
    "card_unknown": "a card that is not in table 32",
    "card_not_cardholders": "somebody else's card",
    "envelope_unopenable": "cannot be opened",
    "reseal_differs": "sealed again: DIFFERENT bytes",
}
_PIN_VERDICTS: Final = {
    "pin_right": "the PIN is right",
    "pin_wrong": "the PIN is WRONG",
    "pin_wrong_try_again": "the PIN is WRONG, one more try",
    "pin_blocked": "no PIN tries left",
    "envelope_unopenable": "cannot be opened",
    "reseal_differs": "sealed again: DIFFERENT bytes",
}


@dataclass(slots=True)
class Opening:
    """Built when the phone passes an envelope on; fed with the events of the issuer's log."""

    kind: MessageType
    data: bytes = field(repr=False)
    last_four: str | None = None
    judged_at: float | None = None
    _events: list[str] = field(default_factory=list)

    @property
    def _verdicts(self) -> dict[str, str]:
        return _CARD_VERDICTS if self.kind is MessageType.CARD_ENVELOPE else _PIN_VERDICTS

    @property
    def steps(self) -> str:
        """Of the patent."""
        return "208 S10-S15" if self.kind is MessageType.CARD_ENVELOPE else "S18-S21"

    def issuer_did(self, event: str, at: float) -> None:
        """One event of the issuer's log."""
        self._events.append(event)
        if event in self._verdicts:
            self.judged_at = at

    @property
    def judged(self) -> bool:
        """Whether the issuer has made up its mind."""
        return self.judged_at is not None

    @property
    def wants_digits(self) -> bool:
        """Whether the issuer will yet name the card's last four digits."""
        return self.kind is MessageType.CARD_ENVELOPE and bool(_NEEDS_DIGITS & set(self._events))

    def phone_saw(self) -> tuple[str, ...]:
        """Size, and some bytes of the sealed part: the header before it is the same in all."""
        middle = len(self.data) // 2
        return (
            f"{len(self.data):,} bytes that it cannot open",
            f"… {self.data[middle : middle + TAIL].hex(' ')} …",
            f"… {self.data[-TAIL:].hex(' ')}",
        )

    def issuer_saw(self) -> tuple[str, ...]:
        """The verdict, and the checks that came before it."""
        verdict = next(self._verdicts[event] for event in reversed(self._events) if event in self._verdicts)
        lines = [verdict.replace("{digits}", self.last_four or "????")]
        if {"card_arrived", "pin_arrived"} & set(self._events):
            lines.append("signature: this reader's")
        if {"card_opened", "pin_opened"} & set(self._events):
            lines.append("sealed again: the same bytes")
        return tuple(lines)
