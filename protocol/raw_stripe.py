"""The bits of a magnetic stripe, as a head without a decoder gives them, to the characters of a track.

ISO/IEC 7811-2: track 1 has six bits and parity, characters from 0x20; tracks 2 and 3 have four bits and
parity, from 0x30. The least significant bit comes first, then odd parity; clocking zeros, start sentinel,
data, end sentinel, check character (LRC), zeros. A card drawn the other way gives the same bits backwards.

Everything stays in the caller's buffers: one byte a bit in, one byte a character out, no copy between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from protocol.track_layout import TrackError, TrackFault


@dataclass(frozen=True, slots=True)
class Alphabet:
    """How a track writes characters. `longest` counts sentinels and LRC (ISO/IEC 7811-2)."""

    bits: int
    first: int
    start: str
    end: str
    longest: int

    @property
    def start_code(self) -> int:
        """The start sentinel as it is on the stripe, without parity."""
        return ord(self.start) - self.first

    @property
    def end_code(self) -> int:
        """The end sentinel likewise."""
        return ord(self.end) - self.first


class RawTrack(Enum):
    """The three tracks; the third differs from the second in its length alone."""

    ONE = Alphabet(7, 0x20, "%", "?", 79)
    TWO = Alphabet(5, 0x30, ";", "?", 40)
    THREE = Alphabet(5, 0x30, ";", "?", 107)


def decode_bits(bits: Sequence[int], track: RawTrack, into: bytearray, at: int = 0) -> int:
    """Write the track's characters, sentinels included, into `into` from `at` on; gives how many.

    `bits` are 0 and 1 in the order of reading, in either direction. Parity of every character, the LRC and
    both sentinels must be right: one wrong bit is never a card. `into` needs room for `track.value.longest`
    characters. Raises TrackError: NOTHING_READ (no start sentinel), TRACK_ERROR (parity or LRC),
    NO_END_SENTINEL, TOO_LONG, of the direction that got further; what was written by then is overwritten.
    """
    alphabet = track.value
    if len(into) - at < alphabet.longest:
        raise ValueError("no room for a track")
    # A track read the wrong way round can begin with a tiny one that is right in itself, such as `;?`: of two
    # good readings the longer one is what was written.
    readings = []
    for backwards in (False, True):
        count, fault = _decode(bits, backwards, alphabet, into, at)
        into[at : at + alphabet.longest] = bytes(alphabet.longest)
        readings.append((fault is None, count, not backwards, fault))
    _, count, forwards, fault = max(readings, key=lambda reading: reading[:3])
    if fault is not None:
        raise TrackError(fault)
    _decode(bits, not forwards, alphabet, into, at)
    return count


def _decode(
    bits: Sequence[int], backwards: bool, alphabet: Alphabet, into: bytearray, at: int
) -> tuple[int, TrackFault | None]:
    """How many characters were right up to the end or the first fault, and the fault."""
    place = _after_start(bits, backwards, alphabet)
    if place is None:
        return 0, TrackFault.NOTHING_READ
    into[at] = ord(alphabet.start)
    count, check = 1, alphabet.start_code
    code: int | None = None
    while code != alphabet.end_code:
        if place + alphabet.bits > len(bits):
            return count, TrackFault.NO_END_SENTINEL
        code = _code(bits, backwards, place, alphabet.bits)
        if code is None:
            return count, TrackFault.TRACK_ERROR
        place += alphabet.bits
        if count + 1 >= alphabet.longest:  # the LRC is one of the longest's characters
            return count, TrackFault.TOO_LONG
        into[at + count] = alphabet.first + code
        count += 1
        check ^= code
    # The LRC makes the exclusive-or of all characters zero; its own parity is like any character's.
    if place + alphabet.bits > len(bits) or _code(bits, backwards, place, alphabet.bits) != check:
        return count, TrackFault.TRACK_ERROR
    return count, None


def _after_start(bits: Sequence[int], backwards: bool, alphabet: Alphabet) -> int | None:
    """The place behind the first start sentinel, which may begin at any bit; None without one."""
    for place in range(len(bits) - alphabet.bits + 1):
        if _code(bits, backwards, place, alphabet.bits) == alphabet.start_code:
            return place + alphabet.bits
    return None


def _code(bits: Sequence[int], backwards: bool, place: int, size: int) -> int | None:
    """One character without its parity bit; None when the parity is not odd."""
    code = ones = 0
    for step in range(size):
        bit = bits[len(bits) - 1 - place - step] if backwards else bits[place + step]
        ones += bit
        code |= bit << step
    return code & ~(1 << (size - 1)) if ones % 2 else None
