"""What hostile phones have in common, and how a payment that they did not spoil looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from handset_client.issuer_frames import FromReader, IssuerComplaint, PhoneFrame
from handset_client.ports import ReaderEvent, ReaderSaid
from protocol.identifiers import PaymentId
from protocol.messages import MessageType
from reader_peripheral import screens
from tests.journey.parties import PRICE, Parties
from tests.journey.taps import Handed, Way
from tests.journey.told import assert_all_are_told


def flipped(data: bytes, place: int) -> bytes:
    """One bit turned over."""
    altered = bytearray(data)
    altered[place if abs(place) < len(data) else len(data) // 2] ^= 1
    return bytes(altered)


class FlipsFirst:
    """Hands the reader an altered copy of each message, and the honest one after it."""

    def __init__(self, place: int) -> None:
        self._place = place
        self.flipped: list[MessageType] = []

    def __call__(self, handed: Handed) -> Iterable[Handed]:
        self.flipped.append(handed.kind)
        yield replace(handed, data=flipped(handed.data, self._place))
        yield handed


def without_refusals(event: ReaderEvent) -> Iterable[ReaderEvent]:
    """The reader's refusal of what was altered stays with the phone, so that it may try again."""
    if not (isinstance(event, ReaderSaid) and event.kind is MessageType.REFUSAL):
        yield event


def complaints(world: Parties) -> list[str]:
    """The codes of what the issuer refused to take."""
    return [
        event.code
        for way, event in world.phone.wire.entries
        if way is Way.FROM_ISSUER and isinstance(event, IssuerComplaint)
    ]


def shown(world: Parties, kind: type[screens.Screen]) -> int:
    """How often the reader showed a kind of screen."""
    return len(world.person.display.shown.all(lambda screen: isinstance(screen, kind)))


class Sends:
    """Sends what `instead` gives for each frame of one kind; all else as it is."""

    def __init__(self, kind: MessageType, instead: Callable[[FromReader], Iterable[FromReader]]) -> None:
        self._kind = kind
        self._instead = instead

    def __call__(self, frame: PhoneFrame) -> Iterable[PhoneFrame]:
        if isinstance(frame, FromReader) and frame.kind is self._kind:
            yield from self._instead(frame)
        else:
            yield frame


class Hands:
    """Hands the reader what `instead` gives for each message of one kind; all else as it is."""

    def __init__(self, kind: MessageType, instead: Callable[[Handed], Iterable[Handed]]) -> None:
        self._kind = kind
        self._instead = instead

    def __call__(self, handed: Handed) -> Iterable[Handed]:
        return self._instead(handed) if handed.kind is self._kind else (handed,)


async def refused_codes(world: Parties, least: int) -> list[str]:
    """The codes of what the issuer refused to take, once there are so many."""
    await world.until(lambda: len(complaints(world)) >= least)
    return complaints(world)


async def assert_it_cost_nothing(world: Parties, before: tuple[int, int], payment_id: PaymentId) -> None:
    """The payment completed as if nobody had tried anything."""
    await assert_all_are_told(world, payment_id, None)
    assert await world.balances() == (before[0] - PRICE, before[1] + PRICE)
    assert (shown(world, screens.Offer), shown(world, screens.Approved)) == (1, 1)
