"""Card numbers and PINs from a prompt without echo or a pipe, never from the command line."""

from __future__ import annotations

import getpass
import hmac
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from protocol.errors import InputError


@contextmanager
def card_and_pin() -> Iterator[tuple[bytearray, bytearray]]:
    """The card number and the PIN, wiped afterwards. From a pipe: two lines, the number first."""
    pan = bytearray()
    pin = bytearray()
    try:
        pan += _ask("Card number: ")
        pin += _ask("PIN: ")
        if sys.stdin.isatty() and not hmac.compare_digest(bytes(pin), _ask("PIN again: ")):
            raise InputError("pins_differ", "The two PINs differ: nothing was stored. Start again.")
        yield pan, pin
    finally:
        for buffer in (pan, pin):
            buffer[:] = bytes(len(buffer))


@contextmanager
def new_pin(made: bytearray) -> Iterator[bytearray]:
    """A PIN to set, wiped afterwards: `made` where there is one, else typed twice, or a line from a pipe."""
    pin = made
    try:
        if not pin:
            pin += _ask("New PIN: ")
            if sys.stdin.isatty() and not hmac.compare_digest(bytes(pin), _ask("New PIN again: ")):
                raise InputError("pins_differ", "The two PINs differ: nothing was changed. Start again.")
        yield pin
    finally:
        pin[:] = bytes(len(pin))


def _ask(prompt: str) -> bytes:
    if sys.stdin.isatty():
        text = getpass.getpass(prompt)
    else:
        text = sys.stdin.readline()
        if not text:
            raise InputError(
                "input_ended",
                "Standard input ended: it must hold the card number (where one is asked for) and the PIN,"
                " a line each.",
            )
    return text.strip().replace(" ", "").encode("utf-8")
