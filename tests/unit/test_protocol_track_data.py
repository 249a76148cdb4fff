"""Track data: read in place, faults by name, sealed form and back, wiped to nothing."""

from __future__ import annotations

import copy
import datetime
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InputError, LocalProtocolError
from protocol.track_data import (
    CARD_PLAINTEXT_SIZE,
    CardData,
    Sentinels,
    Swipe,
    TrackError,
    TrackFault,
    parse_swipe,
    wipe,
)

PAN = b"4000001234567899"
TRACK1 = b"%B4000001234567899^YAMADA/HANAKO^30121010000000000000?"
TRACK2 = b";4000001234567899=30121010000000000000?"


def fault(typed: bytes, **options: object) -> TrackFault:
    with pytest.raises(TrackError) as refusal:
        parse_swipe(bytearray(typed), **options)  # type: ignore[arg-type]
    assert refusal.value.code == refusal.value.fault.value
    return refusal.value.fault


def card(typed: bytes, *, luhn: bool = True) -> CardData:
    return CardData.parse(parse_swipe(bytearray(typed), luhn=luhn).card_plaintext())


@pytest.mark.parametrize(
    "typed",
    [
        TRACK1 + TRACK2,
        TRACK1 + TRACK2 + b"\n",
        TRACK1 + b"\r\n" + TRACK2 + b"\r\n",
        TRACK1,
        TRACK1 + b"\n" + TRACK2,
        TRACK2 + b"\r",
        TRACK2 + TRACK1,
        b"%E?" + TRACK2,
        TRACK1 + b";E?",
        TRACK1 + TRACK2 + b"+1234567890?",
        TRACK1 + TRACK2 + b";0012345?",
        TRACK1 + TRACK2 + b"+E?\n",
        TRACK1 + TRACK2 + bytes(100),
    ],
)
def test_one_good_track_is_a_card(typed: bytes) -> None:
    opened = card(typed)
    assert bytes(opened.pan()) == PAN
    assert (opened.expiry, opened.service_code, opened.last_four) == ("3012", "101", "7899")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (b"", TrackFault.NOTHING_READ),
        (b"\n", TrackFault.NOTHING_READ),
        (bytes(200), TrackFault.NOTHING_READ),
        (b"+1234567890?", TrackFault.NOTHING_READ),
        (b"%E?", TrackFault.TRACK_ERROR),
        (b"%E?;E?\n", TrackFault.TRACK_ERROR),
        (b"%E?;E?+E?", TrackFault.TRACK_ERROR),
        (TRACK1[:-1], TrackFault.NO_END_SENTINEL),
        (TRACK1[:-1] + TRACK2[:-1], TrackFault.NO_END_SENTINEL),
        (TRACK1 + TRACK2[:-1] + b"\n", TrackFault.NO_END_SENTINEL),
        (b";" + PAN + b"=3012101" + b"0" * 40 + b"?", TrackFault.TOO_LONG),
        (b"%B" + PAN + b"^A/B^3012101" + b"0" * 80 + b"?", TrackFault.TOO_LONG),
        (b";" + b"1" * 100_000 + b"?", TrackFault.TOO_LONG),
        (b";" + PAN + b"=3012101" + b"0" * 14 + b"?", TrackFault.TOO_LONG),
        (b"%B" + PAN + b"^A/B^3012101" + b"0" * 49 + b"?", TrackFault.TOO_LONG),
        (b";4000001234567899=3013?", TrackFault.BAD_MONTH),
        (b";4000001234567899=30131010000?", TrackFault.BAD_MONTH),
        (b";4000001234567899=30001010000?", TrackFault.BAD_MONTH),
        (b";4000001234567890=30121010000?", TrackFault.LUHN),
        (b"%B4000001234567899^A/B^3012101?;4000001234567907=3012101?", TrackFault.TRACKS_DISAGREE),
        (b"%B4000001234567899^A/B^3011101?;4000001234567899=3012101?", TrackFault.TRACKS_DISAGREE),
        (b"%B4000001234567899^A/B^3012201?;4000001234567899=3012101?", TrackFault.TRACKS_DISAGREE),
        (b"%B4000001234567899^A/B^3012^?;4000001234567899=3012101?", TrackFault.TRACKS_DISAGREE),
        (b"%B4000001234567899^A/B^3012101?\r\n;4000001234567907=3012101?", TrackFault.TRACKS_DISAGREE),
        (b"%CASACRAMENTO^DOE$JANE^123 MAIN ST?", TrackFault.NOT_A_BANK_CARD),
        (b"%?;?", TrackFault.NOT_A_BANK_CARD),
        (b";1234567=3012101?", TrackFault.NOT_A_BANK_CARD),
        (b";12345678901234567890=3012101?", TrackFault.NOT_A_BANK_CARD),
        (b";4000001234567899?", TrackFault.MALFORMED),
        (b";4000001234567899=?", TrackFault.MALFORMED),
        (b";4000001234567899==101?", TrackFault.MALFORMED),
        (b";4000001234567899=301?", TrackFault.MALFORMED),
        (b";4000001234567899=3012?", TrackFault.MALFORMED),
        (b";4000001234567899=301210?", TrackFault.MALFORMED),
        (b";4000001234567899=30121:1?", TrackFault.MALFORMED),
        (b"%B4000001234567899^^A^3012101?", TrackFault.MALFORMED),
        (b";400000123456789:=3012101?", TrackFault.MALFORMED),
        (b";40000012A4567899=3012101?", TrackFault.MALFORMED),
        (b"%B4000001234567899^A^3012101?", TrackFault.MALFORMED),
        (b"%B4000001234567899^" + b"A" * 27 + b"^3012101?", TrackFault.MALFORMED),
        (b"%B4000001234567899^a/b^3012101?", TrackFault.MALFORMED),
        (b"%B4000001234567899^A/B?", TrackFault.MALFORMED),
        (b"%B4000001234567899?", TrackFault.MALFORMED),
        (b"4000001234567899", TrackFault.MALFORMED),
        (b"x" + TRACK2, TrackFault.MALFORMED),
        (TRACK2 + b"x", TrackFault.MALFORMED),
        (TRACK1 + TRACK1, TrackFault.MALFORMED),
        (TRACK1 + TRACK2 + TRACK1 + TRACK2, TrackFault.MALFORMED),
        (b"\xff" * 20, TrackFault.MALFORMED),
    ],
)
def test_each_fault_has_its_name(typed: bytes, expected: TrackFault) -> None:
    assert fault(typed) is expected


def test_a_track_cut_anywhere_is_never_a_shorter_card() -> None:
    for whole in (TRACK1, TRACK2):
        for cut in range(1, len(whole)):
            assert fault(whole[:cut]) is TrackFault.NO_END_SENTINEL
    for cut in range(len(TRACK1) + 1, len(TRACK1 + TRACK2)):
        assert fault((TRACK1 + TRACK2)[:cut]) is TrackFault.NO_END_SENTINEL


@given(st.integers(1, len(TRACK1 + TRACK2) - 2), st.integers(1, 40))
def test_characters_lost_in_the_middle_never_give_another_card(at: int, lost: int) -> None:
    typed = TRACK1 + TRACK2
    damaged = typed[:at] + typed[at + lost :]
    try:
        assert bytes(card(damaged).pan()) == PAN
    except TrackError:
        pass


@given(st.binary(max_size=300))
def test_noise_is_a_track_error_and_nothing_else(noise: bytes) -> None:
    for typed in (noise, b"%" + noise + b"?", b";" + noise + b"?", b"%B" + noise + b"?"):
        try:
            parse_swipe(bytearray(typed))
        except TrackError:
            continue


digits = st.text("0123456789")
pans = st.text("0123456789", min_size=8, max_size=19)


@given(
    pans,
    st.integers(0, 99),
    st.integers(1, 12),
    st.none() | st.text("0123456789", min_size=3, max_size=3),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ /.-'", min_size=2, max_size=26),
    st.text("0123456789", max_size=8),
)
def test_every_card_comes_back_from_its_sealed_form(
    pan: str, year: int, month: int, service_code: str | None, name: str, rest: str
) -> None:
    expiry = f"{year:02d}{month:02d}"
    first = f"%B{pan}^{name}^{expiry}{service_code or '^'}{rest}?".encode("ascii")
    second = f";{pan}={expiry}{service_code or '='}{rest}?".encode("ascii")
    for typed in (first, second, first + second):
        opened = card(typed, luhn=False)
        assert bytes(opened.pan()).decode() == pan
        assert (opened.expiry, opened.service_code, opened.last_four) == (expiry, service_code, pan[-4:])


@given(pans)
def test_exactly_one_check_digit_passes(pan: str) -> None:
    passing = 0
    for check in "0123456789":
        try:
            parse_swipe(bytearray(f";{pan[:-1]}{check}=3012101?".encode("ascii")))
            passing += 1
        except TrackError as error:
            assert error.fault is TrackFault.LUHN  # noqa: PT017 - one of the ten passes
    assert passing == 1


def test_other_sentinels() -> None:
    sentinels = Sentinels(track1="[", track2="{", track3="!", end="~")
    typed = TRACK1 + TRACK2
    for old, new in ((b"%", b"["), (b";", b"{"), (b"?", b"~")):
        typed = typed.replace(old, new)
    assert parse_swipe(bytearray(typed), sentinels=sentinels).last_four == "7899"
    assert fault(typed) is TrackFault.MALFORMED


@pytest.mark.parametrize("end", ["", "??", "A", "1", ";", "^", "=", " ", "\n", "é"])
def test_sentinels_that_cannot_be_told_apart_are_refused(end: str) -> None:
    with pytest.raises(InputError) as refusal:
        Sentinels(end=end)
    assert refusal.value.code == "invalid_sentinels"


@pytest.mark.parametrize(
    ("today", "expired"),
    [
        (datetime.date(2030, 11, 30), False),
        (datetime.date(2030, 12, 31), False),
        (datetime.date(2031, 1, 1), True),
        (datetime.date(2026, 1, 1), False),
        (datetime.date(2079, 12, 31), True),
        (datetime.date(2099, 1, 1), False),  # by then 30 means 2130
    ],
)
def test_a_card_is_good_to_the_end_of_its_month(today: datetime.date, expired: bool) -> None:
    assert card(TRACK2).expired(today) is expired


@given(st.integers(0, 99), st.integers(1, 12), st.dates(datetime.date(2020, 1, 1), datetime.date(2120, 1, 1)))
def test_a_year_of_two_digits_is_the_nearest_one(year: int, month: int, today: datetime.date) -> None:
    opened = card(f";{PAN.decode()}={year:02d}{month:02d}101?".encode("ascii"))
    nearest = min(
        (century * 100 + year for century in (18, 19, 20, 21, 22)),
        key=lambda full: (abs(full - today.year), -full),
    )
    if abs(nearest - today.year) != 50:
        assert opened.expired(today) is ((nearest, month) < (today.year, today.month))


def test_the_sealed_form_is_the_documented_one() -> None:
    plaintext = parse_swipe(bytearray(TRACK1 + TRACK2)).card_plaintext()
    first, second = TRACK1[1:-1], TRACK2[1:-1]
    expected = b"\x01" + bytes([len(first)]) + first + bytes([len(second)]) + second
    assert plaintext == expected.ljust(CARD_PLAINTEXT_SIZE, b"\x00")
    assert len(plaintext) == CARD_PLAINTEXT_SIZE


def test_the_longest_card_fits() -> None:
    pan = "4" * 19
    first = f"%B{pan}^{'A' * 26}^3012101{'0' * 21}?".encode("ascii")
    second = f";{pan}=3012101{'0' * 10}?".encode("ascii")
    assert (len(first), len(second)) == (78, 39)
    assert card(first + second, luhn=False).expiry == "3012"


@given(st.integers(0, CARD_PLAINTEXT_SIZE - 1), st.integers(1, 255))
def test_a_changed_plaintext_is_another_card_or_a_fault(at: int, change: int) -> None:
    plaintext = parse_swipe(bytearray(TRACK1 + TRACK2)).card_plaintext()
    plaintext[at] ^= change
    try:
        opened = CardData.parse(plaintext)
    except TrackError:
        return
    assert len(opened.pan()) == 16


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        bytes(127),
        bytes(129),
        bytes(128),
        b"\x01" + bytes(127),
        b"\x02" + bytes(127),
        b"\x01\x4d" + bytes(126),
        b"\x01\xff" + bytes(126),
        b"\x01\x00\x26" + bytes(125),
        b"\x01\x00\xff" + bytes(125),
    ],
)
def test_what_the_reader_cannot_have_sealed_is_refused(plaintext: bytes) -> None:
    with pytest.raises(TrackError):
        CardData.parse(bytearray(plaintext))


@pytest.mark.parametrize(
    ("track", "longest"), [(b"B" + PAN + b"^A/B^3012101", 76), (PAN + b"=3012101", 37)], ids=["1", "2"]
)
def test_a_sealed_track_is_no_longer_than_one_on_a_stripe(track: bytes, longest: int) -> None:
    for size in (longest, longest + 1):
        sealed = bytes([size]) + track.ljust(size, b"0")
        pair = sealed + b"\x00" if track[:1] == b"B" else b"\x00" + sealed
        plaintext = bytearray((b"\x01" + pair).ljust(CARD_PLAINTEXT_SIZE, b"\x00"))
        if size == longest:
            assert bytes(CardData.parse(plaintext).pan()) == PAN
        else:
            with pytest.raises(TrackError) as refusal:
                CardData.parse(plaintext)
            assert refusal.value.fault is TrackFault.TOO_LONG


def test_the_unused_room_must_be_zero() -> None:
    plaintext = parse_swipe(bytearray(TRACK2)).card_plaintext()
    plaintext[-1] = 1
    with pytest.raises(TrackError):
        CardData.parse(plaintext)


def test_wiping_leaves_nothing_and_ends_the_card() -> None:
    buffer = bytearray(TRACK1 + TRACK2)
    swipe = parse_swipe(buffer)
    plaintext = swipe.card_plaintext()
    opened = CardData.parse(plaintext)
    held = opened.pan()
    for part, bytes_of_it in ((swipe, buffer), (opened, plaintext)):
        part.wipe()
        part.wipe()
        assert not any(bytes_of_it)
        assert part.last_four == "7899"
    assert not any(held)
    for use in (swipe.card_plaintext, opened.pan, lambda: opened.expiry, lambda: opened.service_code):
        with pytest.raises(LocalProtocolError):
            use()


def test_a_refused_swipe_is_the_callers_to_wipe() -> None:
    buffer = bytearray(b";4000001234567890=30121010000?")
    with pytest.raises(TrackError):
        parse_swipe(buffer)
    wipe(buffer)
    assert not any(buffer)


@pytest.mark.parametrize("kind", [Swipe, CardData])
def test_a_card_shows_its_last_four_digits_only(kind: type) -> None:
    swipe = parse_swipe(bytearray(TRACK1 + TRACK2))
    shown = swipe if kind is Swipe else CardData.parse(swipe.card_plaintext())
    for text in (repr(shown), str(shown), f"{shown}", "%s" % shown, repr([shown]), repr({"card": shown})):  # noqa: UP031
        assert f"{kind.__name__}(****7899)" in text
        assert "4000001" not in text
    for escape in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            escape(shown)


def test_every_fault_says_what_to_do() -> None:
    texts = {str(TrackError(each)) for each in TrackFault}
    assert len(texts) == len(TrackFault)
    assert all(": " in text for text in texts)
