"""Card data in one buffer: as a swipe gives it to the reader, as it is sealed, as the issuer opens it.

A card lives in one bytearray and is read through spans of it (`track_layout.py`), so that `wipe` reaches all
there is of it in our own memory. What shows of a card anywhere is its last four digits.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn, Self

from protocol.errors import InputError, LocalProtocolError
from protocol.track_layout import Layout, Span, TrackError, TrackFault, card_layout

__all__ = [
    "CARD_PLAINTEXT_SIZE",
    "CardData",
    "Sentinels",
    "Swipe",
    "TrackError",
    "TrackFault",
    "parse_swipe",
    "wipe",
]

CARD_PLAINTEXT_SIZE: Final = 128

# ISO/IEC 7811 allows 79, 40 and 107 characters with the check character (LRC); a wedge reader does not type
# that.
LONGEST_TRACK1: Final = 78
LONGEST_TRACK2: Final = 39
LONGEST_TRACK3: Final = 106

_PLAINTEXT_FORMAT: Final = 1
_READ_ERROR: Final = memoryview(b"E")  # what wedge readers type for a track that they could not read: %E?
_LINE_ENDS: Final = b"\r\n"
# What can be a sentinel: nothing that a name, a number or a field separator is made of.
_MARKS: Final = '!"#$%&()*+,:;<>?@[\\]_`{|}~'


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The characters by which a wedge reader marks the tracks; most readers can be set to others."""

    track1: str = "%"
    track2: str = ";"
    track3: str = "+"
    end: str = "?"

    def __post_init__(self) -> None:
        marks = (self.track1, self.track2, self.track3, self.end)
        if len(set(marks)) != 4 or not all(len(mark) == 1 and mark in _MARKS for mark in marks):
            raise InputError("invalid_sentinels", f"Sentinels are four different characters of {_MARKS}")


_STANDARD: Final = Sentinels()


class _Card:
    """One buffer and what stands where in it."""

    __slots__ = ("_buffer", "_layout", "_wiped", "last_four")

    def __init__(self, buffer: bytearray, layout: Layout) -> None:
        self._buffer = buffer
        self._layout = layout
        self._wiped = False
        self.last_four = buffer[layout.pan.stop - 4 : layout.pan.stop].decode("ascii")

    def _view(self) -> memoryview:
        if self._wiped:
            raise LocalProtocolError("the card data is wiped")
        return memoryview(self._buffer)

    def wipe(self) -> None:
        """Overwrite the buffer in place; what is wiped answers nothing but its last four digits."""
        self._wiped = True
        wipe(self._buffer)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(****{self.last_four})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("card data is neither copied nor stored")


class Swipe(_Card):
    """A card as the reader read it, with at least one good track. It owns the buffer that held it."""

    __slots__ = ("_track1", "_track2")

    def __init__(self, buffer: bytearray, layout: Layout, track1: Span | None, track2: Span | None) -> None:
        super().__init__(buffer, layout)
        self._track1 = track1
        self._track2 = track2

    def card_plaintext(self) -> bytearray:
        """What is sealed, for the caller to wipe: a format, each track behind its length, zeros up to 128."""
        view = self._view()
        plaintext = bytearray(CARD_PLAINTEXT_SIZE)
        plaintext[0] = _PLAINTEXT_FORMAT
        at = 1
        for track in (self._track1, self._track2):
            characters = track.of(view) if track else view[:0]
            plaintext[at] = len(characters)
            plaintext[at + 1 : at + 1 + len(characters)] = characters
            at += 1 + len(characters)
        return plaintext


class CardData(_Card):
    """A card as the issuer opened it. It owns the plaintext's buffer."""

    __slots__ = ()

    @classmethod
    def parse(cls, plaintext: bytearray) -> Self:
        """The card in 128 opened bytes (`Swipe.card_plaintext`), its fields checked again; raises TrackError.

        The check digit is the reader's to judge; here an unknown number is an unknown card.
        """
        track1, track2 = _split_plaintext(plaintext)
        return cls(plaintext, card_layout(memoryview(plaintext), track1, track2, luhn=False))

    def pan(self) -> memoryview:
        """The card number's ASCII digits, in place: hash them, keep nothing."""
        return self._layout.pan.of(self._view())

    @property
    def expiry(self) -> str:
        """The date of expiry as it stands on the card: YYMM."""
        return self._layout.expiry.of(self._view()).tobytes().decode("ascii")

    @property
    def service_code(self) -> str | None:
        """The three digits of the service code, where the card has one."""
        span = self._layout.service_code
        return span and span.of(self._view()).tobytes().decode("ascii")

    def expired(self, today: datetime.date) -> bool:
        """Whether the month of expiry is over. Two digits mean the year nearest to today."""
        year, month = int(self.expiry[:2]), int(self.expiry[2:])
        year = today.year + (year - today.year + 50) % 100 - 50
        return (year, month) < (today.year, today.month)


def parse_swipe(buffer: bytearray, *, sentinels: Sentinels = _STANDARD, luhn: bool = True) -> Swipe:
    """The card in what a wedge reader typed; the buffer becomes the swipe's own.

    The buffer holds the tracks with their sentinels; line ends may follow each, zero bytes fill unused room
    at the end. One good track is enough, a third is passed over. Whether the card has expired is for the
    issuer to judge, who has a clock. `luhn=False` is for issuers whose numbers have no check digit.

    Raises TrackError; the buffer is then still the caller's to wipe.
    """
    view = memoryview(buffer)
    found: dict[str, Span] = {}
    unreadable = False
    for mark, track in _tracks(buffer, sentinels):
        if track.of(view) == _READ_ERROR:
            unreadable = True
        else:
            found[mark] = track
    track1, track2 = found.get(sentinels.track1), found.get(sentinels.track2)
    if unreadable and track1 is None and track2 is None:
        raise TrackError(TrackFault.TRACK_ERROR)
    return Swipe(buffer, card_layout(view, track1, track2, luhn=luhn), track1, track2)


def wipe(buffer: bytearray) -> None:
    """Overwrite a buffer with zeros, in place."""
    buffer[:] = bytes(len(buffer))


def _tracks(buffer: bytearray, sentinels: Sentinels) -> Iterator[tuple[str, Span]]:
    """Each track's start sentinel, and the span between its sentinels."""
    longest = {
        sentinels.track1: LONGEST_TRACK1,
        sentinels.track2: LONGEST_TRACK2,
        sentinels.track3: LONGEST_TRACK3,
    }
    seen: set[str] = set()
    at, stop = 0, len(buffer)
    while stop and not buffer[stop - 1]:
        stop -= 1
    while at < stop:
        if buffer[at] in _LINE_ENDS:
            at += 1
            continue
        mark = chr(buffer[at])
        if mark == sentinels.track2 and mark in seen:
            mark = sentinels.track3  # ISO/IEC 7811-2 gives tracks 2 and 3 the same start sentinel
        if mark not in longest or mark in seen:
            raise TrackError(TrackFault.MALFORMED)
        seen.add(mark)
        end = buffer.find(ord(sentinels.end), at, stop)
        if end < 0:
            raise TrackError(TrackFault.NO_END_SENTINEL)
        if end + 1 - at > longest[mark]:
            raise TrackError(TrackFault.TOO_LONG)
        yield mark, Span(at + 1, end)
        at = end + 1


def _split_plaintext(plaintext: bytearray) -> tuple[Span | None, Span | None]:
    """The two tracks of a plaintext that `card_plaintext` can have made."""
    if len(plaintext) != CARD_PLAINTEXT_SIZE or plaintext[0] != _PLAINTEXT_FORMAT:
        raise TrackError(TrackFault.MALFORMED)
    at = 1
    tracks: list[Span | None] = []
    for longest in (LONGEST_TRACK1 - 2, LONGEST_TRACK2 - 2):
        size = plaintext[at]
        if size > longest:
            raise TrackError(TrackFault.TOO_LONG)
        tracks.append(Span(at + 1, at + 1 + size) if size else None)
        at += 1 + size
    if any(memoryview(plaintext)[at:]):
        raise TrackError(TrackFault.MALFORMED)
    return tracks[0], tracks[1]
