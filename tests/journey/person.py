"""The cardholder: everything that a person sees, presses, swipes and types, behind the parties' own ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from handset_client.effects import Ending, Notice, Progress
from handset_client.issuer_frames import PaymentRequest
from handset_client.ports import Answer
from issuer_server.seed import SAMPLE_CARDHOLDERS, SampleCard
from protocol.track_data import TrackFault, parse_swipe
from reader_peripheral.ports import Key, SwipeResult
from reader_peripheral.screens import Screen as ReaderScreen
from tests.journey.diary import Diary

OWN_CARD, OWN_BLOCKED_CARD, OWN_EXPIRED_CARD = SAMPLE_CARDHOLDERS[0].cards
OTHERS_CARD = SAMPLE_CARDHOLDERS[1].cards[0]


@dataclass(slots=True)
class Person:
    """What the person will do when asked. None: nothing at all."""

    approves: bool | None = True
    card: SampleCard | None = OWN_CARD
    pin: str | None = OWN_CARD.pin
    phone: PhoneScreen = field(init=False)
    swiper: HandSwiper = field(init=False)
    keypad: HandKeypad = field(init=False)
    display: WatchedDisplay = field(init=False)

    def __post_init__(self) -> None:
        self.phone = PhoneScreen(self)
        self.swiper = HandSwiper(self)
        self.keypad = HandKeypad(self)
        self.display = WatchedDisplay()


class PhoneScreen:
    """The phone's face (handset_client.ports.Screen)."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.asked: Diary[PaymentRequest] = Diary("the phone asks")
        self.told: Diary[Progress | Notice] = Diary("the phone tells")
        self.endings: Diary[Ending] = Diary("the phone shows the end")
        self.amended: Diary[Ending] = Diary("the phone says how a payment in doubt ended")

    def ask(self, request: PaymentRequest, seconds_left: float) -> None:
        self.asked.write(request)
        if self._person.approves is not None:
            self.press(request, self._person.approves)

    def press(self, request: PaymentRequest, approved: bool) -> None:
        """Press Approve or Decline."""
        self.answer(Answer(request.payment_id, approved))

    def answer(self, answer: Answer) -> None:
        """Decide in any way that there is."""
        self._answers.put_nowait(answer)

    def tell(self, what: Progress | Notice) -> None:
        self.told.write(what)

    def finish(self, ending: Ending) -> None:
        self.endings.write(ending)

    def amend(self, ending: Ending) -> None:
        self.amended.write(ending)

    async def next_answer(self) -> Answer:
        return await self._answers.get()

    async def close(self) -> None:
        pass


class HandSwiper:
    """A stripe reader and the hand that swipes (reader_peripheral.ports.Swiper)."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._on_swipe: Callable[[SwipeResult], None] | None = None
        self.armed = False
        self.arming: Diary[str] = Diary("the swiper is armed")

    async def open(self, on_swipe: Callable[[SwipeResult], None]) -> None:
        self._on_swipe = on_swipe

    def arm(self) -> None:
        self.armed = True
        self.arming.write("armed")
        if self._person.card is not None:
            asyncio.get_running_loop().call_soon(self.swipe, self._person.card)

    def swipe(self, card: SampleCard) -> None:
        """Swipe a card; as at the real one, a swipe that nobody wants is lost."""
        if self.armed and self._on_swipe is not None:
            self._on_swipe(parse_swipe(bytearray(card.stripe.encode("ascii"))))

    def misread(self) -> None:
        """Swipe so that no track can be read."""
        if self.armed and self._on_swipe is not None:
            self._on_swipe(TrackFault.TRACK_ERROR)

    def disarm(self) -> None:
        self.armed = False

    async def close(self) -> None:
        self._on_swipe = None


class HandKeypad:
    """A keypad and the finger (reader_peripheral.ports.Keypad)."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._on_key: Callable[[Key], None] | None = None
        self.wanted: Diary[bool] = Diary("the keypad is asked for a PIN")

    async def open(self, on_key: Callable[[Key], None]) -> None:
        self._on_key = on_key

    def want_pin(self, wanted: bool) -> None:
        self.wanted.write(wanted)
        if wanted and self._person.pin is not None:
            asyncio.get_running_loop().call_soon(self.type, self._person.pin)

    def type(self, pin: str) -> None:
        """Type digits and Enter."""
        for digit in pin:
            self.press(Key(int(digit)))
        self.press(Key.ENTER)

    def cancel(self) -> None:
        """Press Cancel."""
        self.press(Key.CANCEL)

    def press(self, key: Key) -> None:
        """Press one key."""
        if self._on_key is not None:
            self._on_key(key)

    async def close(self) -> None:
        self._on_key = None


class WatchedDisplay:
    """The reader's display, and who looks at it (reader_peripheral.ports.Display)."""

    def __init__(self) -> None:
        self.shown: Diary[ReaderScreen] = Diary("the reader shows")

    async def open(self) -> None:
        pass

    def show(self, screen: ReaderScreen) -> None:
        self.shown.write(screen)

    async def close(self) -> None:
        pass
