"""The cardholder, and what a person touches: phone screen, stripe reader, keypad, reader display."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from demo.cast import CARDS, WRONG_PIN, PlayCard
from demo.scenarios import Answer, Scenario
from handset_client.effects import Ending, Notice, Progress
from handset_client.issuer_frames import PaymentRequest
from handset_client.ports import Answer as ScreenAnswer
from protocol.track_data import TrackError, parse_swipe
from reader_peripheral.ports import Key, SwipeResult
from reader_peripheral.screens import Screen as ReaderScreen

READING_SECONDS = 1.6
FETCHING_CARD_SECONDS = 1.8
FINDING_KEYPAD_SECONDS = 0.8
KEY_SECONDS = 0.28
"""How long a person takes at pace 1."""

T = TypeVar("T")
Press = Callable[[Key], None]
Took = Callable[[float], None]
"""Is told how many seconds a person took."""


class Person(Protocol):
    """Somebody who is asked things. Each is cancelled when the answer is no longer wanted."""

    async def decide(self, request: PaymentRequest, seconds_left: float) -> bool | None:
        """Approve or decline on the phone; None does nothing."""

    async def swipe(self) -> str | None:
        """The track text of the card that is swiped; None presses Cancel."""

    async def type_pin(self, press: Press) -> None:
        """Type the PIN and Enter, key by key."""


class ScriptedPerson:
    """Does what the scenario says, as fast as a person would (times `pace`)."""

    def __init__(self, scenario: Scenario, pace: float, did: Callable[[str, str], None]) -> None:
        self.answer = scenario.answer
        self.card: PlayCard | None = CARDS[scenario.card]
        self.pin = CARDS[scenario.card].pin if scenario.pin_right else WRONG_PIN
        self.approved_by_itself: Callable[[], None] | None = None
        """Set once malware answers in the person's place."""
        self._pace = pace
        self._did = did

    async def decide(self, request: PaymentRequest, seconds_left: float) -> bool | None:
        """See Person."""
        if self.answer is Answer.NOTHING:
            return None
        if self.approved_by_itself is not None:
            self.approved_by_itself()
            return True
        await self._pause(READING_SECONDS)
        approves = self.answer is Answer.APPROVE
        self._did(
            "reads it and taps Approve" if approves else "reads it and taps Decline",
            "S33" if approves else "S32",
        )
        return approves

    async def swipe(self) -> str | None:
        """See Person."""
        if self.card is None:
            await asyncio.get_running_loop().create_future()
        assert self.card is not None
        await self._pause(FETCHING_CARD_SECONDS)
        self._did(f"swipes {self.card.label}", "S35")
        return self.card.stripe

    async def type_pin(self, press: Press) -> None:
        """See Person."""
        await self._pause(FINDING_KEYPAD_SECONDS)
        for digit in self.pin:
            await self._pause(KEY_SECONDS)
            press(Key(int(digit)))
        await self._pause(KEY_SECONDS)
        self._did("types her PIN and Enter" if self.pin != WRONG_PIN else "types a wrong PIN", "S40")
        press(Key.ENTER)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._pace)


Shown = PaymentRequest | Progress | Notice | Ending


class _Surface:
    """Something that asks the person one thing at a time."""

    def __init__(self, took: Took) -> None:
        self._took = took
        self._asking: asyncio.Task[None] | None = None

    def _ask(self, question: Coroutine[Any, Any, None]) -> None:
        self._stop_asking()
        self._asking = asyncio.create_task(question)

    async def _timed(self, answering: Coroutine[Any, Any, T]) -> T:
        """Wait for a person, and count it as a person's time."""
        began = time.perf_counter()
        try:
            return await answering
        finally:
            self._took(time.perf_counter() - began)

    def _stop_asking(self) -> None:
        if self._asking is not None:
            # Also the task that caused this by answering: it has nothing more to ask.
            self._asking.cancel()
        self._asking = None

    async def close(self) -> None:
        """Nobody is asked any more; a person who failed to answer is heard of here."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            await asyncio.wait([asking])


class PhoneFace(_Surface):
    """handset_client.ports.Screen: shows to the story, asks the person."""

    def __init__(self, person: Person, took: Took, shows: Callable[[Shown], None]) -> None:
        super().__init__(took)
        self._person = person
        self._shows = shows
        self._answers: asyncio.Queue[ScreenAnswer] = asyncio.Queue()

    def ask(self, request: PaymentRequest, seconds_left: float) -> None:
        """See Screen."""
        self._shows(request)
        self._ask(self._take_answer(request, seconds_left))

    async def _take_answer(self, request: PaymentRequest, seconds_left: float) -> None:
        approved = await self._timed(self._person.decide(request, seconds_left))
        if approved is not None:
            self._answers.put_nowait(ScreenAnswer(request.payment_id, approved))

    def tell(self, what: Progress | Notice) -> None:
        """See Screen."""
        self._shows(what)

    def finish(self, ending: Ending) -> None:
        """See Screen."""
        self._stop_asking()
        self._shows(ending)

    def amend(self, ending: Ending) -> None:
        """See Screen."""
        self._shows(ending)

    async def next_answer(self) -> ScreenAnswer:
        """See Screen."""
        return await self._answers.get()


class Keys(_Surface):
    """reader_peripheral.ports.Keypad."""

    def __init__(self, person: Person, took: Took) -> None:
        super().__init__(took)
        self._person = person
        self._on_key: Callable[[Key], None] | None = None

    async def open(self, on_key: Callable[[Key], None]) -> None:
        """See Keypad."""
        self._on_key = on_key

    def press(self, key: Key) -> None:
        """One key."""
        if self._on_key is not None:
            self._on_key(key)

    def want_pin(self, wanted: bool) -> None:
        """See Keypad."""
        if wanted:
            self._ask(self._timed(self._person.type_pin(self.press)))
        else:
            self._stop_asking()


class StripeReader(_Surface):
    """reader_peripheral.ports.Swiper: the text goes through the same parser as a keyboard-wedge reader's."""

    def __init__(self, person: Person, keys: Keys, took: Took) -> None:
        super().__init__(took)
        self._person = person
        self._keys = keys
        self._on_swipe: Callable[[SwipeResult], None] | None = None

    async def open(self, on_swipe: Callable[[SwipeResult], None]) -> None:
        """See Swiper."""
        self._on_swipe = on_swipe

    def arm(self) -> None:
        """See Swiper."""
        self._ask(self._take_swipe())

    def disarm(self) -> None:
        """See Swiper."""
        self._stop_asking()

    async def _take_swipe(self) -> None:
        text = await self._timed(self._person.swipe())
        if text is None:
            self._keys.press(Key.CANCEL)
        elif self._on_swipe is not None:
            try:
                result: SwipeResult = parse_swipe(bytearray(text.encode("ascii", "replace")))
            except TrackError as error:
                result = error.fault
            self._on_swipe(result)


class ReaderFace:
    """reader_peripheral.ports.Display: shows to the story."""

    def __init__(self, shows: Callable[[ReaderScreen], None]) -> None:
        self._shows = shows

    async def open(self) -> None:
        """See Display."""

    def show(self, screen: ReaderScreen) -> None:
        """See Display."""
        self._shows(screen)

    async def close(self) -> None:
        """See Display."""
