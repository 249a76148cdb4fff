"""The cardholder is you: approve, choose a card or type a stripe, type the PIN."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from demo.cast import CARDS, PlayCard
from demo.keyboard import Keyboard
from demo.people import Press
from handset_client.issuer_frames import PaymentRequest
from protocol.money import format_money
from reader_peripheral.ports import Key
from reader_peripheral.session import LONGEST_PIN

Say = Callable[[str], None]
"""Prints text without ending the line."""


class RealPerson:
    """demo.people.Person at this terminal. `hold` keeps the telling back while a question stands."""

    def __init__(
        self,
        keyboard: Keyboard,
        say: Say,
        hold: Callable[[], AbstractAsyncContextManager[None]],
        did: Callable[[str, str], None],
    ) -> None:
        self._keyboard = keyboard
        self._say = say
        self._hold = hold
        self._did = did
        self._cards = list(CARDS.values())

    @asynccontextmanager
    async def _question(self, text: str, *, echoed: bool = True) -> AsyncIterator[None]:
        """A question that ends in an answer, or in a remark when time is up."""
        async with self._hold():
            self._say("\n" + text)
            try:
                yield
            except BaseException:
                self._say("\n(too late)\n")
                raise
            if not (echoed and self._keyboard.echoes):
                self._say("\n")

    async def decide(self, request: PaymentRequest, seconds_left: float) -> bool | None:
        """On the phone."""
        async with self._question(
            f"YOUR PHONE: {request.merchant_name} asks {format_money(request.amount)}"
            f' for "{request.order}".\nApprove? y or n, within {seconds_left:.0f} s: '
        ):
            while True:
                answer = await self._keyboard.line()
                approves = {"y": True, "yes": True, "n": False, "no": False, None: False}.get(
                    answer if answer is None else answer.strip().lower()
                )
                if approves is not None:
                    break
                self._say("Please type y or n: ")
        self._did("taps Approve" if approves else "taps Decline", "S33" if approves else "S32")
        return approves

    async def swipe(self) -> str | None:
        """At the reader."""
        menu = "\n".join(
            f"  {number}  {card.yours}, ****{card.last_four}, PIN {card.pin}"
            for number, card in enumerate(self._cards, 1)
        )
        async with self._question(
            "YOUR CARD READER: swipe a card. Test cards and their PINs:\n"
            f"{menu}\n  c  press Cancel\nA number, or what a stripe reader types (%B…?;…?): "
        ):
            chosen: PlayCard | None = None
            while True:
                answer = await self._keyboard.line()
                text = "c" if answer is None else answer.strip()
                if text.isdigit() and 1 <= int(text) <= len(self._cards):
                    chosen = self._cards[int(text) - 1]
                if chosen is not None or text.lower() == "c" or text.startswith(("%", ";")):
                    break
                self._say(f"Type 1 to {len(self._cards)}, c, or a stripe that starts with % or ;: ")
        if text.lower() == "c":
            self._did("presses Cancel", "")
            return None
        self._did(f"swipes {chosen.label}" if chosen else "swipes a card of your own making", "S35")
        return chosen.stripe if chosen else text

    async def type_pin(self, press: Press) -> None:
        """At the keypad, key by key, until the reader wants no PIN any more and cancels this."""
        typed = 0
        while True:
            async with self._question(
                "YOUR CARD READER: type the PIN, then Enter (Backspace: Clear, c: Cancel): " + "*" * typed,
                echoed=False,
            ):
                with self._keyboard.without_echo():
                    last, typed = await self._type_digits(press, typed)
            self._did("types the PIN and Enter" if last is Key.ENTER else "presses Cancel", "S40")
            press(last)

    async def _type_digits(self, press: Press, typed: int) -> tuple[Key, int]:
        """Keys until Enter or Cancel; the last one, and how many digits now stand on the reader's display."""
        while True:
            key = await self._keyboard.key()
            if key is None or key in "cC\x1b":
                return Key.CANCEL, typed
            if key in "\r\n":
                return Key.ENTER, typed
            if key in "\x7f\b" and typed:
                typed -= 1
                self._say("\b \b")
                press(Key.CLEAR)
            elif key in "0123456789" and typed < LONGEST_PIN:
                typed += 1
                self._say("*")
                press(Key(int(key)))
