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


def _ask(prompt: str) -> bytes:
    if sys.stdin.isatty():
        text = getpass.getpass(prompt)
    else:
        text = sys.stdin.readline()
        if not text:
            raise InputError(
                "input_ended", "Standard input ended: it must hold two lines, the card number and the PIN."
            )
    return text.strip().replace(" ", "").encode("utf-8")
