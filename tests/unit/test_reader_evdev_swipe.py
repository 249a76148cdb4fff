"""A USB reader that types, at the kernel's boundary: characters, holes, unplugging, what nobody wanted."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.track_data import Swipe, TrackFault
from reader_peripheral.adapters import wedge_swipe
from reader_peripheral.adapters.evdev_swipe import EvdevSwiper
from reader_peripheral.adapters.key_map import UsKeyboard
from reader_peripheral.input_settings import SwiperKind, SwiperSettings
from reader_peripheral.ports import SwipeResult
from tests.unit.eventually import eventually
from tests.unit.reader_input_fakes import (
    CAPS_LOCK,
    DROPPED,
    NUM_LOCK,
    REPORT,
    FakePort,
    event,
    key,
    tap,
    typed,
    typed_by_number,
)

TRACK1 = "%B4000002760003184^SUZUKI/HANAKO^30121010000000000000?"
TRACK2 = ";4000002760003184=30121010000000000000?"
IDLE = 0.05


class Desk:
    """A swiper on a port, and what it gave."""

    def __init__(self, **settings: object) -> None:
        self.port = FakePort()
        values = {"kind": SwiperKind.KEYBOARD, "vendor": 1, "idle_seconds": IDLE, **settings}
        self.swiper = EvdevSwiper(SwiperSettings(**values), self.port.find, 0.01)  # type: ignore[arg-type]
        self.results: asyncio.Queue[bytes | TrackFault] = asyncio.Queue()

    def take(self, result: SwipeResult) -> None:
        self.results.put_nowait(bytes(result.card_plaintext()) if isinstance(result, Swipe) else result)
        self.swiper.arm()

    async def next(self) -> bytes | TrackFault:
        async with asyncio.timeout(5):
            return await self.results.get()

    async def expect_card(self, *tracks: str) -> None:
        plaintext = await self.next()
        assert isinstance(plaintext, bytes)
        assert all(track[1:-1].encode() in plaintext for track in tracks)
        assert not any(self.swiper._buffer)
        assert not any(self.swiper._device._buffer)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wedge_swipe, "SETTLE_SECONDS", 0.01)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    await desk.swiper.open(desk.take)
    desk.swiper.arm()
    yield desk
    await desk.swiper.close()


@pytest.mark.parametrize(
    "chunk", [24, 72, 24 * 64], ids=["an_event_a_read", "a_key_a_read", "64_events_a_read"]
)
async def test_a_swipe_is_the_same_however_the_kernel_hands_it_over(desk: Desk, chunk: int) -> None:
    desk.port.send(typed(f"{TRACK1}{TRACK2}\r"), chunk)
    await desk.expect_card(TRACK1, TRACK2)


async def test_without_enter_the_swipe_ends_when_it_is_quiet(desk: Desk) -> None:
    desk.port.send(typed(TRACK2))
    await desk.expect_card(TRACK2)


async def test_autorepeat_and_keys_that_make_nothing_do_not_count(desk: Desk) -> None:
    held = key(5, 1) + key(5, 2) * 3 + key(5, 0)  # the first digit of the number, held
    rest = typed(TRACK2[2:] + "\r")
    desk.port.send(tap(NUM_LOCK) + typed(";") + held + tap(59) + rest)
    await desk.expect_card(TRACK2)


@pytest.mark.parametrize("before", [b"", tap(CAPS_LOCK)], ids=["small", "caps"])
async def test_letters_are_capitals_whatever_shift_and_caps_say(desk: Desk, before: bytes) -> None:
    desk.port.send(before + typed(TRACK1.replace("SUZUKI", "suzuki") + "\r"))
    await desk.expect_card(TRACK1)


async def test_digits_of_the_numeric_block_are_digits(desk: Desk) -> None:
    codes = {"1": 79, "2": 80, "3": 81, "4": 75, "5": 76, "6": 77, "7": 71, "8": 72, "9": 73, "0": 82}
    number = TRACK2[1:17]
    desk.port.send(
        typed(";") + b"".join(tap(codes[digit]) for digit in number) + typed(TRACK2[17:]) + tap(96)
    )
    await desk.expect_card(TRACK2)


async def test_alt_keypad_mode_is_understood_and_said_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        desk.port.send(typed_by_number(f"{TRACK1}{TRACK2}\r"))
        await desk.expect_card(TRACK1, TRACK2)
    (said,) = [record.message for record in caplog.records if "Alt" in record.message]
    assert "set it to 'US keyboard'" in said
    assert "3184" not in caplog.text


async def test_other_sentinels_can_be_set() -> None:
    desk = Desk(track2_sentinel="_", end_sentinel="!")
    await desk.swiper.open(desk.take)
    desk.swiper.arm()
    desk.port.send(typed("_" + TRACK2[1:-1] + "!\r"))
    await desk.expect_card(TRACK2)
    await desk.swiper.close()


async def test_the_check_digit_is_a_flag() -> None:
    desk = Desk(check_digit=False)
    await desk.swiper.open(desk.take)
    desk.swiper.arm()
    wrong = TRACK2.replace("3184", "3185")
    desk.port.send(typed(wrong + "\r"))
    await desk.expect_card(wrong)
    await desk.swiper.close()


@pytest.mark.parametrize("at", [0, 2, 20, len(TRACK2) - 1])
async def test_a_hole_is_a_bad_swipe_and_never_a_shorter_number(desk: Desk, at: int) -> None:
    # The kernel drops what it holds, and the rest of what it was in the middle of follows up to a report.
    torn = DROPPED + key(3, 1)
    desk.port.send(typed(TRACK2[:at]) + torn + REPORT + typed(TRACK2[at:] + "\r"))
    assert await desk.next() is TrackFault.KEYS_LOST
    desk.port.send(typed(f"{TRACK2}\r"))
    await desk.expect_card(TRACK2)


async def test_a_hole_with_a_shift_key_in_it_does_not_shift_the_next_swipe(desk: Desk) -> None:
    desk.port.send(key(42, 1) + tap(5) + DROPPED + REPORT)
    assert await desk.next() is TrackFault.KEYS_LOST
    desk.port.send(typed(f"{TRACK2}\r"))
    await desk.expect_card(TRACK2)


async def test_a_swipe_that_began_before_it_was_wanted_is_no_bad_swipe(desk: Desk) -> None:
    desk.swiper.disarm()
    whole = typed(f"{TRACK2}\r")
    desk.port.send(whole[: 24 * 30])
    await eventually(lambda: desk.port.all_read)
    desk.swiper.arm()
    desk.port.send(whole[24 * 30 :])
    await eventually(lambda: desk.port.all_read)
    await asyncio.sleep(IDLE * 3)  # it is silence that ends a swipe: this is how long it takes
    assert desk.results.empty()
    desk.port.send(whole)
    await desk.expect_card(TRACK2)


async def test_a_reader_that_never_stops_typing_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(idle_seconds=5.0)  # no pause of this machine's is the end of the swipe
    desk.swiper._longest_seconds = 0.1
    await desk.swiper.open(desk.take)
    desk.swiper.arm()

    def typed_on() -> bool:
        desk.port.send(tap(5))
        return not desk.results.empty()

    await eventually(typed_on)
    assert await desk.next() is TrackFault.TIMEOUT
    await desk.swiper.close()


async def test_unplugged_between_swipes_it_is_waited_for(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = desk.port.node
    desk.port.unplug()
    await eventually(lambda: desk.port.looked >= 6)
    assert first is not None
    assert first.closed
    assert not desk.swiper._device.present
    desk.port.plug()
    await asyncio.wait_for(desk.port.taken.wait(), 5)
    desk.port.send(typed(f"{TRACK2}\r"))
    await desk.expect_card(TRACK2)
    said = [record.message for record in caplog.records]
    assert sum("not plugged in" in line for line in said) == 1, "said once, not at every look"


async def test_unplugged_in_the_middle_of_a_swipe_is_a_bad_swipe(desk: Desk) -> None:
    desk.swiper._idle_seconds = 60.0  # no pause of this machine's ends the swipe before its device goes
    desk.port.send(typed(TRACK2[:20]))
    await eventually(lambda: desk.swiper._length)
    desk.swiper._idle_seconds = IDLE
    desk.port.unplug()
    assert await desk.next() is TrackFault.KEYS_LOST
    desk.port.plug()
    await asyncio.wait_for(desk.port.taken.wait(), 5)
    desk.port.send(typed(f"{TRACK2}\r"))
    await desk.expect_card(TRACK2)


async def test_started_without_the_device_it_waits() -> None:
    desk = Desk()
    desk.port.node = None
    await desk.swiper.open(desk.take)
    desk.swiper.arm()
    desk.port.plug()
    await asyncio.wait_for(desk.port.taken.wait(), 5)
    desk.port.send(typed(f"{TRACK2}\r"))
    await desk.expect_card(TRACK2)
    await desk.swiper.close()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EACCES, "usermod -aG input "), (errno.EBUSY, "another program"), (errno.EIO, "cannot be opened")],
)
async def test_a_device_that_cannot_be_had_is_said_with_its_remedy_and_tried_again(
    caplog: pytest.LogCaptureFixture, number: int, remedy: str
) -> None:
    desk = Desk()
    desk.port.problem = OSError(number, "why")
    await desk.swiper.open(desk.take)
    assert remedy in caplog.text
    desk.port.problem = None
    await asyncio.wait_for(desk.port.taken.wait(), 5)
    await desk.swiper.close()


async def test_permissions_that_come_a_moment_after_the_node_are_no_news(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.port.unplug()
    desk.port.problems = [OSError(errno.EACCES, "not yet") for _ in range(3)]
    desk.port.plug()
    await asyncio.wait_for(desk.port.taken.wait(), 5)
    assert "group" not in caplog.text


async def test_closing_while_it_waits_ends_the_waiting() -> None:
    desk = Desk()
    desk.port.node = None
    await desk.swiper.open(desk.take)
    await desk.swiper.close()
    assert desk.swiper._device._timer is None, "it would look again"


def test_every_character_of_the_us_layout_comes_back() -> None:
    everything = "".join(map(chr, range(0x20, 0x7F))) + "\r\t"
    assert "".join(_fed(typed(everything))) == everything
    assert "".join(_fed(typed_by_number(everything))) == everything


def test_caps_lock_turns_letters_and_nothing_else() -> None:
    assert "".join(_fed(tap(CAPS_LOCK) + typed("aB1!;") + tap(CAPS_LOCK) + typed("aB"))) == "Ab1!;aB"


def test_a_number_that_is_no_character_makes_nothing() -> None:
    assert "".join(_fed(key(56, 1) + tap(73) * 3 + key(56, 0))) == ""
    assert "".join(_fed(key(56, 1) + tap(30) + key(56, 0) + typed("x"))) == "x", "Alt and a letter is nothing"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from((0, 1, 1, 1, 4, 17)), st.integers(0, 0x2FF), st.integers(-1, 2)),
        max_size=200,
    )
)
def test_any_events_are_a_swipe_or_a_fault_and_never_an_error(sent: list[tuple[int, int, int]]) -> None:
    async def swipe() -> None:
        desk = Desk()
        await desk.swiper.open(desk.take)
        desk.swiper.arm()
        read = b"".join(event(*parts) for parts in sent)
        for at in range(0, len(read), 24 * 64):
            desk.swiper._on_read(memoryview(read)[at : at + 24 * 64])
        desk.swiper.finish()
        await desk.swiper.close()
        assert not any(desk.swiper._buffer)

    asyncio.run(swipe())


def _fed(sent: bytes) -> Iterator[str]:
    from reader_peripheral.adapters.input_events import KeyEvents

    keyboard = UsKeyboard()
    for pressed in KeyEvents().keys(memoryview(sent)):
        assert pressed is not None
        character = keyboard.feed(*pressed)
        if character is not None:
            yield chr(character)
