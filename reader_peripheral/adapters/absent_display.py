"""The display of a service that has none: a journal would keep what it prints."""

from __future__ import annotations

from reader_peripheral import screens
from reader_peripheral.paged_display import DisplayError


class NoDisplayError(DisplayError):
    """Nobody would see this."""


class AbsentDisplay:
    """Implements ports.Display: shows nothing, and refuses what a person must have seen."""

    async def open(self) -> None:
        """Nothing to take."""

    def show(self, screen: screens.Screen) -> None:
        """Raises NoDisplayError for a screen that asks for a card or a PIN: no payment goes on unseen."""
        if isinstance(screen, screens.Offer | screens.BadSwipe | screens.EnterPin):
            raise NoDisplayError("No display is set.")

    async def close(self) -> None:
        """Nothing to give back."""
