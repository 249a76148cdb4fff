"""The reader's service with real sealing and signing: what leaves it, what is wiped, what is shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from protocol import sealing
from protocol.errors import SealError
from protocol.gatt import Status
from protocol.messages import (
    CardEnvelope,
    NotSettled,
    PinEnvelope,
    ReaderHello,
    Refusal,
    RefusalReason,
)
from protocol.signing import digest
from protocol.track_data import CardData, TrackFault, parse_swipe
from reader_peripheral import screens
from reader_peripheral.ports import Key
from reader_peripheral.service import PinBuffer
from reader_peripheral.settings import Limits
from tests.machines.reader_bench import BILL
from tests.unit.reader_shop import PIN, TRACK, Shop


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    await shop.service.start()
    yield shop
    await shop.service.stop()


async def test_a_whole_payment_opens_at_the_issuer_to_what_was_swiped_and_typed(shop: Shop) -> None:
    await shop.begin()
    assert shop.display.screens[-1] == screens.Offer(BILL)
    shop.swiper.swipe(TRACK)
    card, plaintext = await shop.card()
    data = CardData.parse(plaintext)
    assert bytes(data.pan()) == b"4000002760003184"
    assert data.expiry == "3012"
    request = await shop.ask_pin(card)
    shop.keypad.press(Key.DIGIT_9, Key.CLEAR, *(Key(int(digit)) for digit in PIN), Key.ENTER)
    pin, digits = await shop.pin(request)
    assert digits == PIN.encode()
    shop.end(pin)
    assert shop.display.screens[-1] == screens.Approved(BILL)
    assert shop.link.statuses[-1] is Status.APPROVED


async def test_each_session_gets_a_nonce_of_its_own(shop: Shop) -> None:
    nonces = set()
    for _ in range(5):
        shop.phone.session_started()
        nonces.add((await shop.next(ReaderHello))[1].nonce)
    assert len(nonces) == 5


async def test_the_swipe_is_wiped_when_it_is_sealed(shop: Shop) -> None:
    await shop.begin()
    buffer = bytearray(TRACK.encode())
    shop.service._on_swipe(parse_swipe(buffer))
    assert buffer == bytes(len(TRACK))
    await shop.next(CardEnvelope)


async def test_a_swipe_that_nobody_wants_is_wiped_and_never_sent(shop: Shop) -> None:
    buffer = bytearray(TRACK.encode())
    shop.service._on_swipe(parse_swipe(buffer))
    assert buffer == bytes(len(TRACK))
    assert shop.link.sent.empty()


async def test_the_plaintexts_are_wiped_also_when_sealing_fails(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[bytearray] = []

    def fail(_key: bytes, plaintext: bytearray, _info: bytes) -> bytes:
        seen.append(plaintext)
        raise SealError

    monkeypatch.setattr(sealing, "seal_card", fail)
    await shop.begin()
    shop.swiper.swipe(TRACK)
    _, refusal = await shop.next(Refusal)
    assert refusal.reason is RefusalReason.READER_FAULT
    assert seen == [bytearray(sealing.CARD_PLAINTEXT_SIZE)]
    assert "4000002760003184" not in caplog.text


async def test_an_offer_whose_key_is_no_key_ends_as_the_readers_refusal(shop: Shop) -> None:
    shop.payment_key.public_key = b"\xff" * 1216
    await shop.begin()
    shop.swiper.swipe(TRACK)
    _, refusal = await shop.next(Refusal)
    assert refusal.reason is RefusalReason.READER_FAULT


async def test_pin_digits_do_not_survive_cancelling(shop: Shop) -> None:
    await shop.begin()
    shop.swiper.swipe(TRACK)
    card, _ = await shop.card()
    await shop.ask_pin(card)
    shop.keypad.press(Key.DIGIT_4, Key.DIGIT_7, Key.CANCEL)
    _, refusal = await shop.next(Refusal)
    assert refusal.reason is RefusalReason.USER_CANCELLED
    assert bytes(shop.service._pin._digits) == bytes(12)
    shop.end(None, NotSettled.REFUSED_USER_CANCELLED)
    assert shop.display.screens[-1] == screens.NotSettled(BILL, NotSettled.REFUSED_USER_CANCELLED)


async def test_thirteen_digits_show_a_hint_and_lose_nothing(shop: Shop) -> None:
    await shop.begin()
    shop.swiper.swipe(TRACK)
    card, _ = await shop.card()
    request = await shop.ask_pin(card)
    shop.keypad.press(*[Key.DIGIT_1] * 13, Key.ENTER)
    shown = shop.display.screens[-1]
    assert isinstance(shown, screens.EnterPin)
    assert (shown.stars, shown.hint) == (12, screens.PinHint.TOO_LONG)
    assert shop.link.sent.empty()
    shop.keypad.press(*[Key.CLEAR] * 12, *(Key(int(digit)) for digit in PIN), Key.ENTER)
    assert (await shop.pin(request))[1] == PIN.encode()


async def test_a_wrong_pin_can_be_typed_again_when_the_issuer_asks(shop: Shop) -> None:
    await shop.begin()
    shop.swiper.swipe(TRACK)
    card, _ = await shop.card()
    first = await shop.ask_pin(card)
    shop.keypad.press(*(Key(int(digit)) for digit in "0000"), Key.ENTER)
    pin, _ = await shop.pin(first)
    second = await shop.ask_pin(card, digest(pin))
    shop.keypad.press(*(Key(int(digit)) for digit in PIN), Key.ENTER)
    assert (await shop.pin(second))[1] == PIN.encode()


async def test_bad_swipes_arm_the_swiper_again(shop: Shop) -> None:
    await shop.begin()
    for left in (2, 1):
        shop.swiper.swipe("%E?;E?")
        assert shop.display.screens[-1] == screens.BadSwipe(
            BILL, TrackFault.TRACK_ERROR, left, again=left == 1
        )
        assert shop.swiper.armed
    shop.swiper.swipe(";4000002760003185=30121010000000000000?")
    _, refusal = await shop.next(Refusal)
    assert refusal.reason is RefusalReason.UNREADABLE_CARD
    assert not shop.swiper.armed


async def test_the_clock_ends_what_a_person_does_not_do() -> None:
    shop = Shop(Limits(answer_seconds=0.02, result_seconds=0.02))
    await shop.service.start()
    await shop.begin()
    shop.swiper.swipe(TRACK)
    await shop.card()
    assert await asyncio.wait_for(shop.display.wait_for(screens.Unknown), 5) == screens.Unknown(BILL)
    assert shop.link.statuses[-1] is Status.UNKNOWN_OUTCOME
    await shop.service.stop()


async def test_a_phone_that_stays_away_makes_the_reader_forget() -> None:
    shop = Shop(Limits(resume_seconds=0.02, result_seconds=0.02))
    await shop.service.start()
    await shop.begin()
    shop.phone.link_lost()
    ended = await asyncio.wait_for(shop.display.wait_for(screens.NotSettled), 5)
    assert ended == screens.NotSettled(BILL, screens.EndedHere.CONNECTION_LOST)
    assert shop.link.forgotten == 1
    assert not shop.swiper.armed
    await asyncio.wait_for(shop.display.wait_for(screens.Idle, after=2), 5)
    await shop.service.stop()


@pytest.mark.parametrize("failing", [screens.Offer, screens.EnterPin])
async def test_nobody_pays_by_what_the_display_does_not_show(
    failing: type[screens.Screen], caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop()

    def show(screen: screens.Screen) -> None:
        if isinstance(screen, failing):
            raise OSError("I2C: 4000002760003184")

    await shop.service.start()
    shop.display.show = show  # type: ignore[method-assign]
    await shop.begin()
    if failing is screens.EnterPin:
        shop.swiper.swipe(TRACK)
        await shop.ask_pin((await shop.card())[0])
    _, refusal = await shop.next(Refusal)
    assert refusal.reason is RefusalReason.READER_FAULT
    assert not shop.swiper.armed
    assert "the display failed: OSError" in caplog.text
    assert "4000002760003184" not in caplog.text
    await shop.service.stop()


class BrokenError(Exception):
    """With a text that no log shall have."""


def broken(*_: object) -> None:
    raise BrokenError("4000002760003184")


@pytest.mark.parametrize(
    ("device", "method"), [("swiper", "arm"), ("keypad", "want_pin"), ("link", "set_status")]
)
async def test_a_device_that_fails_ends_its_payment_and_no_other(
    device: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop()
    await shop.service.start()
    if device != "keypad":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(getattr(shop, device), method, broken)
            await shop.begin()
    else:
        await shop.begin()
        shop.swiper.swipe(TRACK)
        card, _ = await shop.card()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shop.keypad, method, broken)
            await shop.ask_pin(card)
    signed, refusal = await shop.next(Refusal)
    assert refusal.reason is RefusalReason.READER_FAULT
    assert not shop.swiper.armed
    assert not shop.service._queue
    assert "BrokenError" in caplog.text
    assert "4000002760003184" not in caplog.text
    shop.end(signed, NotSettled.REFUSED_READER_FAULT)
    await shop.begin()
    shop.swiper.swipe(TRACK)
    await shop.card()
    assert shop.link.sent.empty(), "nothing is left of the payment before"
    await shop.service.stop()


async def test_a_result_is_shown_though_a_device_fails(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.begin()
    shop.swiper.swipe(TRACK)
    card, _ = await shop.card()
    monkeypatch.setattr(shop.swiper, "disarm", broken)
    shop.end(card)
    assert shop.display.screens[-1] == screens.Approved(BILL)


async def test_what_the_phone_does_reaches_the_machine(shop: Shop) -> None:
    await shop.begin()
    shop.phone.link_lost()
    shop.phone.session_resumed()
    shop.phone.cancelled()
    assert shop.display.screens[-1] == screens.NotSettled(BILL, screens.EndedHere.PHONE_CANCELLED)
    shop.phone.session_over()
    await shop.begin()
    shop.phone.session_over()
    assert shop.display.screens[-1] == screens.NotSettled(BILL, screens.EndedHere.CONNECTION_LOST)


async def test_a_link_that_does_not_start_gives_everything_back() -> None:
    shop = Shop()
    shop.link.fails = RuntimeError("no radio")
    with pytest.raises(RuntimeError):
        await shop.service.start()
    assert shop.link.stopped


async def test_a_link_that_does_not_stop_keeps_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    await shop.service.start()
    closed = []

    async def fail() -> None:
        raise RuntimeError("the bus is gone")

    async def close() -> None:
        closed.append("display")  # a terminal that nobody gives back stays without echo

    monkeypatch.setattr(shop.link, "stop", fail)
    monkeypatch.setattr(shop.display, "close", close)
    with pytest.raises(RuntimeError):
        await shop.service.stop()
    assert closed == ["display"]


async def test_neither_card_nor_pin_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shop = Shop()
    await shop.service.start()
    await shop.begin()
    shop.service._on_swipe(parse_swipe(bytearray(TRACK.encode())))
    card, _ = await shop.card()
    await shop.ask_pin(card)
    shop.keypad.press(*(Key(int(digit)) for digit in "8351"), Key.ENTER)
    await shop.next(PinEnvelope)
    await shop.service.stop()
    assert "4000002760003184" not in caplog.text
    assert "8351" not in caplog.text


def test_a_pin_buffer_shows_nothing_and_wipes_everything() -> None:
    buffer = PinBuffer()
    for digit in (4, 7, 1, 1, 9):
        buffer.append(digit)
    buffer.drop()
    assert "4711" not in repr(buffer)
    assert sealing.unpad_pin(buffer.padded()) == b"4711"
    buffer.wipe()
    buffer.drop()
    assert bytes(buffer._digits) == bytes(12)


def test_a_key_shows_nothing() -> None:
    assert {repr(key) for key in Key} == {"<Key>"}
    assert {str(key) for key in Key} == {"<Key>"}
