"""What a screen is told, line by line: for the terminal beside the page, and where nobody looks on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from handset_client.effects import Notice, NoticeKind, Shown
from handset_client.wording import Language, shown_text
from protocol.gatt import Status

_TELLING: Final = frozenset(
    status.name.lower() for status in (Status.UNKNOWN_OUTCOME, Status.BUSY, Status.ERROR)
)


def says_more_than_the_steps(notice: Notice) -> bool:
    """Not where a reader does what the step or the result says already, nor what the program's end says."""
    if notice.kind is NoticeKind.TURNED_AWAY:
        return False
    return notice.kind is not NoticeKind.READER_STATUS or notice.detail in _TELLING


class PlainLines:
    """A callable for `show`: writes a line for each thing, and none for what was said just before."""

    def __init__(self, language: Callable[[], Language], write: Callable[[str], None]) -> None:
        self._language = language
        self._write = write
        self._last = ""

    def __call__(self, shown: Shown) -> None:
        if isinstance(shown, Notice) and not says_more_than_the_steps(shown):
            return
        line = shown_text(shown, self._language())
        if line != self._last:
            self._last = line
            self._write(line)
