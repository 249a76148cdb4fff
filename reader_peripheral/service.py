"""The reader at work: carries out what the session machine asks, and tells it what happens.

The only place where card data and PIN digits meet a payment, and only until they are sealed. Both lie in
bytearrays that are overwritten as soon as the sealed form exists.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack

from protocol import sealing
from protocol.errors import BlindRelayError
from protocol.identifiers import NONCE_SIZE, Nonce
from protocol.messages import MessageType
from protocol.track_data import Swipe, TrackFault
from reader_peripheral import effects as fx
from reader_peripheral.owed_outcomes import OwedOutcome
from reader_peripheral.ports import Display, Key, Keypad, Link, OwedStore, Swiper, SwipeResult
from reader_peripheral.screens import Screen
from reader_peripheral.session import LONGEST_PIN, Session

log = logging.getLogger(__name__)

MOST_NOTES = 30
"""Lines about what a phone brought in vain, in NOTES_SECONDS."""
NOTES_SECONDS = 60.0


class PinBuffer:
    """The digits typed so far, in one place that is never moved or copied by growing."""

    __slots__ = ("_digits", "_length")

    def __init__(self) -> None:
        self._digits = bytearray(LONGEST_PIN)
        self._length = 0

    def append(self, digit: int) -> None:
        """One more; the session has made sure that there is room."""
        self._digits[self._length] = ord("0") + digit
        self._length += 1

    def drop(self) -> None:
        """One fewer, if there is one."""
        if self._length:
            self._length -= 1
            self._digits[self._length] = 0

    def padded(self) -> bytearray:
        """The plaintext to seal; the caller wipes it."""
        digits = self._digits[: self._length]
        try:
            return sealing.pad_pin(digits)
        finally:
            wipe(digits)

    def wipe(self) -> None:
        """No digits any more."""
        wipe(self._digits)
        self._length = 0

    def __repr__(self) -> str:
        return "PinBuffer(...)"


def wipe(secret: bytearray) -> None:
    """Overwrite in place."""
    secret[:] = bytes(len(secret))


class ReaderService:
    """Joins one session machine to one link, swiper, keypad and display.

    `random_bytes(n)` gives n unpredictable bytes: the nonce of each session. `owed` keeps what the session
    was built with over restarts. Everything runs on one event loop, whose clock is the machine's. It is the
    link's handlers (`ports.LinkHandlers`).
    """

    def __init__(
        self,
        session: Session,
        link: Link,
        swiper: Swiper,
        keypad: Keypad,
        display: Display,
        random_bytes: Callable[[int], bytes],
        owed: OwedStore | None = None,
    ) -> None:
        self._session = session
        self._link = link
        self._swiper = swiper
        self._keypad = keypad
        self._display = display
        self._random_bytes = random_bytes
        self._owed = owed
        self._pin = PinBuffer()
        self._swipe: Swipe | None = None
        self._queue: deque[fx.Effects] = deque()
        self._carrying_out = False
        self._timer: asyncio.TimerHandle | None = None
        self._notes, self._notes_until = 0, 0.0

    async def start(self) -> None:
        """Take the devices and go on the air. Raises what a device or the link raises, all being closed."""
        try:
            await self._display.open()
            await self._keypad.open(self._on_key)
            await self._swiper.open(self._on_swipe)
            await self._link.start(self)
        except BaseException:
            await self.stop()
            raise
        self._do(self._session.opening(self._now()))

    async def stop(self) -> None:
        """Hang up, wipe, give the devices back."""
        if self._timer:
            self._timer.cancel()
        self._forget_card()
        self._pin.wipe()
        async with AsyncExitStack() as closing:  # one that fails keeps no other open
            for close in (self._display.close, self._keypad.close, self._swiper.close, self._link.stop):
                closing.push_async_callback(close)

    # What the link tells (ports.LinkHandlers).

    def session_started(self) -> None:
        """A phone opened a new session: it gets a hello with a nonce of its own."""
        self._do(self._session.session_started(Nonce(self._random_bytes(NONCE_SIZE)), self._now()))

    def session_resumed(self) -> None:
        """The phone is back."""
        self._do(self._session.link_resumed(self._now()))

    def link_lost(self) -> None:
        """The phone is gone."""
        self._do(self._session.link_lost(self._now()))

    def session_over(self) -> None:
        """The session cannot be resumed."""
        self._do(self._session.session_over(self._now()))

    def message(self, message_type: MessageType, payload: bytes) -> None:
        """One whole message."""
        self._do(self._session.message(message_type, payload, self._now()))

    def cancelled(self) -> None:
        """The phone asks to end the payment."""
        self._do(self._session.phone_cancelled(self._now()))

    # What the person does.

    def _on_key(self, key: Key) -> None:
        now = self._now()
        match key:
            case Key.ENTER:
                self._do(self._session.enter_typed(now))
            case Key.CLEAR:
                self._do(self._session.clear_typed(now))
            case Key.CANCEL:
                self._do(self._session.cancel_typed(now))
            case _:
                effects = self._session.digit_typed(now)
                if any(isinstance(effect, fx.KeepDigit) for effect in effects):
                    self._pin.append(int(key.value))
                self._do(effects)

    def _on_swipe(self, result: SwipeResult) -> None:
        if isinstance(result, TrackFault):
            self._do(self._session.swipe_failed(result, self._now()))
            return
        self._swipe = result
        try:
            self._do(self._session.card_read(self._now()))
        finally:
            self._forget_card()

    def _forget_card(self) -> None:
        if self._swipe is not None:
            self._swipe.wipe()
            self._swipe = None

    # What the machine asks for.

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _do(self, effects: list[fx.Effects]) -> None:
        """Carry out effects in order; those that arise on the way come after those that are there."""
        self._queue.extend(effects)
        if self._carrying_out:
            return
        self._carrying_out = True
        try:
            while self._queue:
                effect = self._queue.popleft()
                try:
                    self._carry_out(effect)
                except Exception as problem:  # noqa: BLE001 - a device's library may raise anything
                    log.error("%s failed: %s", type(effect).__name__, type(problem).__name__)
                    self._fail()
        finally:
            self._carrying_out = False
            self._queue.clear()  # nothing of this event is the next one's
        self._set_timer()

    def _fail(self) -> None:
        """End the payment, and with it the rest of what it asked for. Where none can end, the rest stays."""
        if refusal := self._session.reader_failed(self._now()):
            self._queue.clear()
            self._queue.extend(refusal)

    def _carry_out(self, effect: fx.Effects) -> None:
        match effect:
            case fx.Show(screen):
                self._show(screen)
            case fx.TellStatus(status):
                self._link.set_status(status)
            case fx.Send(message_type, payload):
                self._link.send(message_type, payload)
            case fx.ArmSwiper():
                self._swiper.arm()
            case fx.DisarmSwiper():
                self._swiper.disarm()
            case fx.WantPin():
                self._pin.wipe()
                self._keypad.want_pin(True)
            case fx.EndPin():
                self._pin.wipe()
                self._keypad.want_pin(False)
            case fx.KeepDigit():
                pass  # kept when it was typed: only then is it known which
            case fx.DropDigit():
                self._pin.drop()
            case fx.SealCard(public_key, info):
                self._queue.extend(self._seal_card(public_key, info))
            case fx.SealPin(public_key, info):
                self._queue.extend(self._seal_pin(public_key, info))
            case fx.ForgetSession():
                self._link.forget_session()
            case fx.KeepOwed(records):
                self._keep_owed(records)
            case fx.Note(text):
                self._note(text)

    def _note(self, text: str) -> None:
        """A phone may say nonsense without end: its reader's card must not fill up with the log of it."""
        if (now := self._now()) >= self._notes_until:
            self._notes, self._notes_until = 0, now + NOTES_SECONDS
        self._notes += 1
        if self._notes <= MOST_NOTES:
            more = "; more of this are not told for a while" if self._notes == MOST_NOTES else ""
            log.warning("%s%s", text, more)

    def _show(self, screen: Screen) -> None:
        """Nobody swipes for, or types a PIN into, what cannot be seen."""
        try:
            self._display.show(screen)
        except Exception as problem:  # noqa: BLE001 - a display's library may raise anything
            log.error("the display failed: %s", type(problem).__name__)
            self._fail()

    def _keep_owed(self, records: tuple[OwedOutcome, ...]) -> None:
        if self._owed is None:
            return
        try:
            self._owed.keep(records)
        except BlindRelayError as problem:
            # The payment is the issuer's to settle or not, whatever this disk does. What is lost: after a
            # power cut before the outcome, the person would not be told 'unknown: do not pay again'.
            log.error("a payment without an outcome would not survive a power cut: %s", problem)

    def _seal_card(self, public_key: bytes, info: bytes) -> list[fx.Effects]:
        """Card data in, sealed card out; nothing of it is left here."""
        if self._swipe is None:
            return self._session.reader_failed(self._now())
        plaintext = self._swipe.card_plaintext()
        self._forget_card()
        try:
            sealed = sealing.seal_card(public_key, plaintext, info)
        except BlindRelayError as problem:
            log.error("the card could not be sealed: %s", type(problem).__name__)
            return self._session.reader_failed(self._now())
        finally:
            wipe(plaintext)
        return self._session.card_sealed(sealed, self._now())

    def _seal_pin(self, public_key: bytes, info: bytes) -> list[fx.Effects]:
        """Digits in, sealed PIN out; nothing of them is left here."""
        plaintext = self._pin.padded()
        self._pin.wipe()
        try:
            sealed = sealing.seal_pin(public_key, plaintext, info)
        except BlindRelayError as problem:
            log.error("the PIN could not be sealed: %s", type(problem).__name__)
            return self._session.reader_failed(self._now())
        finally:
            wipe(plaintext)
        return self._session.pin_sealed(sealed, self._now())

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        deadline = self._session.deadline()
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._do(self._session.handle_timer(self._now()))
