"""Bluetooth or the phone's network drops at each point and comes back: one swipe, one payment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from handset_client.effects import NoticeKind
from handset_client.ports import IssuerUp
from protocol.messages import MessageType
from reader_peripheral.settings import Limits
from tests.journey.parties import PRICE, Parties, Times, parties
from tests.journey.person import OWN_CARD, Person
from tests.journey.taps import Handed, Passing, Way
from tests.journey.told import assert_all_are_told

Moment = Callable[[tuple[Way, Passing]], bool]


def _reader_is_ready(passed: tuple[Way, Passing]) -> bool:
    return passed[0] is Way.FROM_READER and type(passed[1]).__name__ == "ReaderReady"


def _handed(kind: MessageType) -> Moment:
    return lambda passed: isinstance(passed[1], Handed) and passed[1].kind is kind


def _said(kind: MessageType) -> Moment:
    return lambda passed: passed[0] is Way.FROM_READER and getattr(passed[1], "kind", None) is kind


MOMENTS: dict[str, Moment] = {
    "reader-ready": _reader_is_ready,
    "offer-on-its-way": _handed(MessageType.KEY_OFFER),
    "card-arrived": _said(MessageType.CARD_ENVELOPE),
    "pin-request-on-its-way": _handed(MessageType.PIN_REQUEST),
    "pin-arrived": _said(MessageType.PIN_ENVELOPE),
    "outcome-on-its-way": _handed(MessageType.OUTCOME),
}
EVERY_MOMENT = pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())


async def assert_paid_once(world: Parties, moment: Moment, cut: Callable[[], None]) -> None:
    """The payment completes although `cut` strikes at `moment`, with one swipe and one posting."""
    before = await world.balances()
    payment_id = await world.ask()
    await world.phone.wire.until(moment)
    cut()
    await assert_all_are_told(world, payment_id, None)
    assert await world.balances() == (before[0] - PRICE, before[1] + PRICE)
    assert len(world.person.swiper.arming) == 1


@EVERY_MOMENT
async def test_bluetooth_drops_and_the_session_resumes(tmp_path: Path, moment: Moment) -> None:
    async with parties(tmp_path) as world:
        await assert_paid_once(world, moment, world.ether.cut)


@EVERY_MOMENT
async def test_the_network_drops_and_the_channel_resumes(tmp_path: Path, moment: Moment) -> None:
    async with parties(tmp_path) as world:
        await assert_paid_once(world, moment, world.cut_network)
        await world.phone.wire.until(lambda passed: isinstance(passed[1], IssuerUp) and not passed[1].fresh)


async def test_out_of_range_for_a_while_is_told_and_made_good(tmp_path: Path) -> None:
    async with parties(tmp_path, person=Person(card=None)) as world:
        payment_id = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        world.ether.part()
        await world.person.phone.told.until(
            lambda told: getattr(told, "kind", None) is NoticeKind.READER_CONNECTION_LOST
        )
        # The person swipes while the phone is away: the envelope waits for it.
        world.person.swiper.swipe(OWN_CARD)
        world.ether.meet()
        await world.person.phone.told.until(
            lambda told: getattr(told, "kind", None) is NoticeKind.READER_RESUMED
        )
        await assert_all_are_told(world, payment_id, None)


async def test_longer_than_the_resume_window_the_payment_is_not_settled(tmp_path: Path) -> None:
    times = Times(reader=Limits(resume_seconds=0.3))
    async with parties(tmp_path, times, Person(card=None)) as world:
        before = await world.balances()
        payment_id = await world.ask()
        await world.person.swiper.arming.until(lambda _: True)
        world.ether.part()
        await world.person.display.shown.until(lambda screen: type(screen).__name__ == "NotSettled")
        world.ether.meet()
        assert (await world.outcome(payment_id)).reason == "reader_unavailable"
        assert await world.balances() == before
        world.person.card = OWN_CARD
        assert (await world.pay(order="the next one")).status == "completed"
