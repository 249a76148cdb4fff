"""Bits to characters: both directions, every parity bit and LRC judged, one wrong bit never a card."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.raw_stripe import RawTrack, decode_bits
from protocol.track_data import TrackError, TrackFault, parse_swipe

TRACK1 = "%B4000002760003184^SUZUKI/HANAKO^30121010000000000000?"
TRACK2 = ";4000002760003184=30121010000000000000?"

# ;123? and its LRC by ISO/IEC 7811-2's table: the least significant bit first, parity last.
# The LRC's four bits are 0xB ^ 1 ^ 2 ^ 3 ^ 0xF = 4; its parity is its own.
BY_HAND = "11010 10000 01000 11001 11111 00100"


def encoded(text: str, track: RawTrack, *, lead: int = 20, tail: int = 20) -> list[int]:
    """The stripe of a text, between clocking zeros."""
    size, first = track.value.bits, track.value.first
    codes = [ord(character) - first for character in text]
    check = 0
    for code in codes:
        check ^= code
    bits: list[int] = []
    for code in [*codes, check]:
        low_first = [code >> place & 1 for place in range(size - 1)]
        bits += [*low_first, 1 - sum(low_first) % 2]
    return [0] * lead + bits + [0] * tail


def decoded(bits: list[int], track: RawTrack) -> str:
    into = bytearray(128)
    return into[: decode_bits(bits, track, into)].decode()


def fault(bits: list[int], track: RawTrack) -> TrackFault:
    into = bytearray(128)
    with pytest.raises(TrackError) as caught:
        decode_bits(bits, track, into)
    assert not any(into), "nothing is left of what was not a track"
    return caught.value.fault


def test_a_track_written_by_hand() -> None:
    bits = [int(bit) for bit in BY_HAND.replace(" ", "")]
    assert decoded(bits, RawTrack.TWO) == ";123?"
    assert decoded(bits[::-1], RawTrack.TWO) == ";123?"


@pytest.mark.parametrize(("text", "track"), [(TRACK1, RawTrack.ONE), (TRACK2, RawTrack.TWO)])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("lead", [0, 1, 22])
def test_both_directions_give_the_same_track(text: str, track: RawTrack, backwards: bool, lead: int) -> None:
    bits = encoded(text, track, lead=lead, tail=3)
    assert decoded(bits[::-1] if backwards else bits, track) == text


@pytest.mark.parametrize(("text", "track"), [(TRACK1, RawTrack.ONE), (TRACK2, RawTrack.TWO)])
def test_no_single_wrong_bit_is_a_card(text: str, track: RawTrack) -> None:
    bits = encoded(text, track, lead=22, tail=40)
    for place in range(22, len(bits) - 40):
        wrong = [bit ^ (at == place) for at, bit in enumerate(bits)]
        assert fault(wrong, track) in (
            TrackFault.NOTHING_READ,
            TrackFault.TRACK_ERROR,
            TrackFault.NO_END_SENTINEL,
            TrackFault.TOO_LONG,
        )


def test_faults_have_names() -> None:
    assert fault([], RawTrack.TWO) is TrackFault.NOTHING_READ
    assert fault([0] * 300, RawTrack.ONE) is TrackFault.NOTHING_READ
    whole = encoded(TRACK2, RawTrack.TWO, lead=5, tail=0)
    assert fault(whole[: 5 + 5 * 20], RawTrack.TWO) is TrackFault.NO_END_SENTINEL
    assert fault(whole[:-5], RawTrack.TWO) is TrackFault.TRACK_ERROR, "no LRC"
    swapped = whole[:10] + whole[15:20] + whole[10:15] + whole[20:]
    assert decoded(swapped, RawTrack.TWO) != TRACK2, "a swap passes parity and LRC; Luhn is for that"
    assert fault(encoded(";" + "1" * 60 + "?", RawTrack.TWO), RawTrack.TWO) is TrackFault.TOO_LONG
    assert decoded(encoded(";" + "1" * 60 + "?", RawTrack.THREE), RawTrack.THREE) == ";" + "1" * 60 + "?"


def test_the_fault_is_that_of_the_direction_that_got_further() -> None:
    start = [1, 1, 0, 1, 0]
    assert fault(start, RawTrack.TWO) is TrackFault.NO_END_SENTINEL
    assert fault(start[::-1], RawTrack.TWO) is TrackFault.NO_END_SENTINEL


def test_a_track_needs_room_for_its_longest_behind_what_is_there() -> None:
    stripe, longest = encoded(TRACK2, RawTrack.TWO), RawTrack.TWO.value.longest
    assert decode_bits(stripe, RawTrack.TWO, bytearray(longest)) == len(TRACK2)
    assert decode_bits(stripe, RawTrack.TWO, bytearray(longest + 7), 7) == len(TRACK2)
    with pytest.raises(ValueError, match="room"):
        decode_bits(stripe, RawTrack.TWO, bytearray(longest + 6), 7)


def test_the_longest_track_2_is_40_characters_with_its_lrc() -> None:
    longest = ";" + "1" * 37 + "?"
    assert decoded(encoded(longest, RawTrack.TWO), RawTrack.TWO) == longest
    assert fault(encoded(";" + "1" * 38 + "?", RawTrack.TWO), RawTrack.TWO) is TrackFault.TOO_LONG


def test_what_is_decoded_goes_behind_what_is_there_and_is_a_swipe() -> None:
    buffer = bytearray(200)
    at = decode_bits(encoded(TRACK1, RawTrack.ONE), RawTrack.ONE, buffer)
    at += decode_bits(encoded(TRACK2, RawTrack.TWO)[::-1], RawTrack.TWO, buffer, at)
    assert buffer[:at].decode() == TRACK1 + TRACK2
    assert parse_swipe(buffer).last_four == "3184"
    with pytest.raises(ValueError, match="room"):
        decode_bits([], RawTrack.ONE, bytearray(78))


@example("4777:=>4", True, 0)  # the wrong way round it begins with the bits of `;?`
@given(st.text("0123456789=:<>", min_size=1, max_size=37), st.booleans(), st.integers(0, 9))
def test_any_data_comes_back(data: str, backwards: bool, lead: int) -> None:
    text = f";{data}?"
    bits = encoded(text, RawTrack.TWO, lead=lead, tail=lead)
    assert decoded(bits[::-1] if backwards else bits, RawTrack.TWO) == text


@given(st.lists(st.integers(0, 1), max_size=400), st.sampled_from(RawTrack))
def test_noise_is_a_track_error_or_a_track_that_is_really_there(bits: list[int], track: RawTrack) -> None:
    into = bytearray(128)
    try:
        count = decode_bits(bits, track, into)
    except TrackError:
        assert not any(into)
        return
    stripe = encoded(into[:count].decode(), track, lead=0, tail=0)
    joined, ours = "".join(map(str, bits)), "".join(map(str, stripe))
    assert ours in joined or ours[::-1] in joined
