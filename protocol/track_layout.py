"""Where the fields of a magnetic stripe are: tracks 1 and 2 of ISO/IEC 7813, read in place.

    track 1   % B <PAN> ^ <name> ^ <YYMM> <service code> <discretionary data> ?
    track 2   ; <PAN> = <YYMM> <service code> <discretionary data> ?

Everything here works on spans of the buffer that the characters already lie in, one character at a time: no
text and no copy of a card number comes to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from protocol.errors import InputError

SHORTEST_PAN: Final = 8  # ISO/IEC 7812-1
LONGEST_PAN: Final = 19

_FORMAT_BANK: Final = ord("B")
_TRACK1_SEPARATOR: Final = ord("^")
_TRACK2_SEPARATOR: Final = ord("=")
_TRACK1_CHARACTERS: Final = range(0x20, 0x60)  # six bits and parity, ISO/IEC 7811-2
_TRACK2_CHARACTERS: Final = range(0x30, 0x40)  # four bits and parity
_DIGITS: Final = range(0x30, 0x3A)
_NAME_LENGTHS: Final = range(2, 27)
_EXPIRY_SIZE: Final = 4
_SERVICE_CODE_SIZE: Final = 3


class TrackFault(Enum):
    """Why a swipe gives no card."""

    NOTHING_READ = "nothing_read"
    TRACK_ERROR = "track_error"
    NO_END_SENTINEL = "no_end_sentinel"
    TOO_LONG = "too_long"
    BAD_MONTH = "bad_month"
    EXPIRED = "expired"
    LUHN = "luhn"
    TRACKS_DISAGREE = "tracks_disagree"
    NOT_A_BANK_CARD = "not_a_bank_card"
    KEYS_LOST = "keys_lost"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"


_ADVICE: Final[Mapping[TrackFault, str]] = MappingProxyType(
    {
        TrackFault.NOTHING_READ: "Nothing was read: swipe the whole card, stripe towards the head.",
        TrackFault.TRACK_ERROR: "The stripe could not be read: swipe again, at an even speed.",
        TrackFault.NO_END_SENTINEL: "The end of the stripe was not read: swipe the whole card.",
        TrackFault.TOO_LONG: "More was read than a card holds: swipe one card, once.",
        TrackFault.BAD_MONTH: "The expiry date was read wrongly: swipe again.",
        TrackFault.EXPIRED: "This card has expired: use another.",
        TrackFault.LUHN: "The card number was read wrongly: swipe again.",
        TrackFault.TRACKS_DISAGREE: "The two tracks disagree: swipe again.",
        TrackFault.NOT_A_BANK_CARD: "This is not a payment card: use another.",
        TrackFault.KEYS_LOST: "Part of the swipe was lost: swipe again.",
        TrackFault.TIMEOUT: "The swipe did not end: swipe again.",
        TrackFault.MALFORMED: "The stripe was read wrongly: swipe again.",
    }
)


class TrackError(InputError):
    """Card data that gives no card: `fault` says why, the text says what to do."""

    def __init__(self, fault: TrackFault) -> None:
        super().__init__(fault.value, _ADVICE[fault])
        self.fault = fault


class Span(NamedTuple):
    """A stretch of the one buffer."""

    start: int
    stop: int

    def of(self, view: memoryview) -> memoryview:
        """The stretch itself, not a copy."""
        return view[self.start : self.stop]


class Layout(NamedTuple):
    """Where a card's fields are. A card may have no service code."""

    pan: Span
    expiry: Span
    service_code: Span | None


def card_layout(view: memoryview, track1: Span | None, track2: Span | None, *, luhn: bool) -> Layout:
    """The fields of a card from the tracks there are, sentinels not included; raises TrackError.

    Track 2 is the one that payment is made of; where track 1 is there too it must say the same.
    """
    first = track1_layout(view, track1) if track1 else None
    second = track2_layout(view, track2) if track2 else None
    layout = second or first
    if layout is None:
        raise TrackError(TrackFault.NOTHING_READ)
    if first and second and not _same(view, first, second):
        raise TrackError(TrackFault.TRACKS_DISAGREE)
    if luhn and not passes_luhn(layout.pan.of(view)):
        raise TrackError(TrackFault.LUHN)
    return layout


def track1_layout(view: memoryview, track: Span) -> Layout:
    """The fields of track 1 without its sentinels, format code B; raises TrackError."""
    if track.stop == track.start or view[track.start] != _FORMAT_BANK:
        raise TrackError(TrackFault.NOT_A_BANK_CARD)
    _check_characters(view, track, _TRACK1_CHARACTERS)
    pan_end = _find(view, track.start, track.stop, _TRACK1_SEPARATOR)
    name_end = _find(view, pan_end + 1, track.stop, _TRACK1_SEPARATOR)
    if name_end - (pan_end + 1) not in _NAME_LENGTHS:
        raise TrackError(TrackFault.MALFORMED)
    return _layout(view, Span(track.start + 1, pan_end), name_end + 1, track.stop, _TRACK1_SEPARATOR)


def track2_layout(view: memoryview, track: Span) -> Layout:
    """The fields of track 2 without its sentinels; raises TrackError."""
    _check_characters(view, track, _TRACK2_CHARACTERS)
    pan_end = _find(view, track.start, track.stop, _TRACK2_SEPARATOR)
    return _layout(view, Span(track.start, pan_end), pan_end + 1, track.stop, _TRACK2_SEPARATOR)


def passes_luhn(digits: memoryview) -> bool:
    """The check digit of ISO/IEC 7812-1 annex B."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        digit = character - 0x30
        if place % 2:
            digit = 2 * digit - 9 if digit > 4 else 2 * digit
        total += digit
    return total % 10 == 0


def _layout(view: memoryview, pan: Span, at: int, stop: int, separator: int) -> Layout:
    """Card number, expiry date and service code, where a separator says that there is none."""
    if not SHORTEST_PAN <= pan.stop - pan.start <= LONGEST_PAN:
        raise TrackError(TrackFault.NOT_A_BANK_CARD)
    expiry = Span(at, at + _EXPIRY_SIZE)
    if expiry.stop > stop or not _all_digits(view, pan) or not _all_digits(view, expiry):
        # The standard lets the expiry date be absent; a card for payment has one.
        raise TrackError(TrackFault.MALFORMED)
    month = 10 * (view[at + 2] - 0x30) + view[at + 3] - 0x30
    if not 1 <= month <= 12:
        raise TrackError(TrackFault.BAD_MONTH)
    if expiry.stop < stop and view[expiry.stop] == separator:
        return Layout(pan, expiry, None)
    service_code = Span(expiry.stop, expiry.stop + _SERVICE_CODE_SIZE)
    if service_code.stop > stop or not _all_digits(view, service_code):
        raise TrackError(TrackFault.MALFORMED)
    return Layout(pan, expiry, service_code)


def _same(view: memoryview, first: Layout, second: Layout) -> bool:
    return all(
        (one is None) == (other is None) and (one is None or other is None or one.of(view) == other.of(view))
        for one, other in zip(first, second, strict=True)
    )


def _check_characters(view: memoryview, track: Span, characters: range) -> None:
    if not all(character in characters for character in track.of(view)):
        raise TrackError(TrackFault.MALFORMED)


def _all_digits(view: memoryview, span: Span) -> bool:
    return all(character in _DIGITS for character in span.of(view))


def _find(view: memoryview, start: int, stop: int, wanted: int) -> int:
    for at in range(start, stop):
        if view[at] == wanted:
            return at
    raise TrackError(TrackFault.MALFORMED)
