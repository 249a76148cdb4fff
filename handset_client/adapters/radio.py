"""Which radio: the platform's Bluetooth, or one in an ether that a reader serves on this machine."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from handset_client.adapters.bleak_link import PLATFORM, Backends
from protocol.errors import InputError

BLUETOOTH: Final = "bluetooth"
_VIRTUAL: Final = "virtual:"


def _platform() -> Backends:
    """The platform's Bluetooth as bleak picks it, but for a flaw of its client on Linux."""
    if sys.platform != "linux":
        return PLATFORM
    # Imported here: it needs D-Bus libraries that other platforms' bleak comes without.
    from handset_client.adapters.bleak_on_bluez import BlueZClient

    return Backends(client=BlueZClient)


@asynccontextmanager
async def open_radio(text: str) -> AsyncIterator[Backends]:
    """`bluetooth`, or `virtual:127.0.0.1:PORT`. Raises InputError (invalid_radio).

    The ether need not be served yet: joining it is tried again with every scan.
    """
    if text == BLUETOOTH:
        yield _platform()
        return
    if not text.startswith(_VIRTUAL):
        raise InputError(
            "invalid_radio",
            "Give --radio bluetooth, or --radio virtual:127.0.0.1:PORT with the port that the reader serves.",
        )
    try:
        # Bumble comes with the 'demo' extra; a phone on real Bluetooth has no use for it.
        from virtual_radio.bleak_backend import backends
        from virtual_radio.endpoint import parse_endpoint
        from virtual_radio.joining import JoinedRadio
    except ModuleNotFoundError:
        raise InputError(
            "no_virtual_radio", "The virtual radio is not installed. Run: pip install 'blind-relay[demo]'"
        ) from None
    # Bumble logs a traceback when the ether goes away; the screen says so in words.
    logging.getLogger("bumble").setLevel(logging.CRITICAL)
    radio = JoinedRadio(parse_endpoint(text.removeprefix(_VIRTUAL)), "handset")
    scanner, client = backends(radio)
    try:
        yield Backends(scanner, client)
    finally:
        await radio.close()
