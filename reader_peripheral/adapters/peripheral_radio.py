"""What the bless link needs of a radio and bless 0.3.0 does not tell: who writes, who comes, who goes.

Two radios fill it in: bluez_radio.py on a real adapter, simulated_radio.py on Bumble's virtual controllers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from protocol.errors import BlindRelayError

ConnectionCallback = Callable[[str, bool], None]


class RadioError(BlindRelayError):
    """The radio cannot be used; the text tells a person what to do."""


@dataclass(frozen=True, slots=True)
class Writer:
    """The central behind the write being handled, and its ATT MTU where the radio knows it."""

    central: str
    mtu: int | None


class WriteRefused(IntEnum):
    """Why a write is not taken, as ATT error codes (Core 5.4, 3.F.3.4.1.1)."""

    NOT_PERMITTED = 0x03
    READER_FAILED = 0x0E
    BUSY = 0x11  # insufficient resources: another phone is served


class PeripheralRadio(Protocol):
    """A radio with a bless server on it."""

    @property
    def notification_gap(self) -> float:
        """Seconds between two notifications, so that the stack below loses none."""

    async def open(self, name: str, on_connection: ConnectionCallback) -> Any:
        """A bless server that advertises as `name` once started; raises RadioError.

        `on_connection(central, connected)` tells of centrals that come, where the radio knows of them before
        they write, and in any case of a served one that goes. It advertises when none is served.
        """

    def writer(self) -> Writer | None:
        """Who is writing; asked inside bless's write callback only. None where it cannot be told."""

    def serve(self, central: str) -> None:
        """This central said HELLO: from now on advertise no more, and tell when it is gone.

        Nothing to do where `on_connection` tells of every central that connects.
        """

    def refusal(self, why: WriteRefused) -> Exception:
        """What to raise in the write callback, so that the central sees its write refused."""

    async def disconnect(self, central: str) -> None:
        """Hang up on a central; nothing happens when it is gone already."""

    async def lost(self) -> None:
        """Waits until the radio is gone for good, as long as there is one; raises RadioError then."""

    async def close(self) -> None:
        """Take down the server's radio and leave the adapter as it was."""
