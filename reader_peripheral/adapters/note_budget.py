"""Log lines that strangers cause: some a minute, or a crowd of them would fill the reader's card."""

from __future__ import annotations

import logging
from typing import Final

MOST_NOTES: Final = 30
"""Lines in NOTES_SECONDS; the service counts what a phone brings in vain by the same figures."""
NOTES_SECONDS: Final = 60.0


class NoteBudget:
    """Warnings to a log while there is room."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._notes, self._until = 0, 0.0

    def warning(self, now: float, text: str, *values: object) -> None:
        """As Logger.warning, at the loop's time `now`."""
        if now >= self._until:
            self._notes, self._until = 0, now + NOTES_SECONDS
        self._notes += 1
        if self._notes <= MOST_NOTES:
            more = "; more of this are not told for a while" if self._notes == MOST_NOTES else ""
            self._log.warning(text + more, *values)
