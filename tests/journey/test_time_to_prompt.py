"""From Approve to the reader's prompt, at a 30 ms connection interval, with the reader found beforehand."""

from __future__ import annotations

import asyncio
import math
import statistics
from pathlib import Path
from typing import Any

from handset_client.effects import Progress, Step
from handset_client.issuer_frames import ToReader
from protocol.framing import LARGEST_VALUE
from protocol.messages import MessageType
from reader_peripheral import screens
from tests.journey.parties import PRICE, Parties, parties
from tests.journey.person import Person
from tests.journey.taps import Way
from virtual_radio.conditions import RadioConditions

INTERVAL = 0.03
PAYMENTS = 5
START, CONTINUE = 4, 2
"""Bytes of framing in a message's first value and in each later one."""


async def test_approve_to_prompt_takes_less_than_one_interval_above_the_floor(tmp_path: Path) -> None:
    """The floor: the issuer's own time, then the offer's values, each at the air's pace."""
    person = Person(approves=None)
    async with parties(tmp_path, person=person) as world:
        airwaves: Any = world.ether._airwaves
        airwaves._conditions = RadioConditions(connection_interval=INTERVAL)
        above = [await _above_the_floor(world, person, airwaves) for _ in range(PAYMENTS)]
    print("above the floor, in ms:", [round(1000 * each, 1) for each in above])
    assert statistics.median(above) < INTERVAL


async def _above_the_floor(world: Parties, person: Person, airwaves: Any) -> float:
    seen, told = len(world.phone.wire), len(person.phone.told)
    screens_seen, loop = len(person.display.shown), asyncio.get_running_loop()
    payment = await world.ask(PRICE)
    request = await person.phone.asked.until(lambda each: each.payment_id == payment)
    await person.phone.told.until(
        lambda what: what == Progress(payment, Step.READER_READY), since=told
    )  # reachable before the person has decided
    person.phone.press(request, True)
    _, offer = await world.phone.wire.until(
        lambda passed: (
            passed[0] is Way.FROM_ISSUER
            and isinstance(passed[1], ToReader)
            and passed[1].kind is MessageType.KEY_OFFER
        ),
        since=seen,
    )
    offer_here = loop.time()
    floor = _heard_at(airwaves, world, len(offer.data), offer_here)
    await person.display.shown.until(lambda screen: isinstance(screen, screens.Offer), since=screens_seen)
    above = loop.time() - floor
    assert (await world.outcome(payment)).completed
    await person.phone.endings.until(lambda end: end.request.payment_id == payment)
    return above


def _heard_at(airwaves: Any, world: Parties, size: int, now: float) -> float:
    """When the offer's last value can be heard at the soonest: one value each two connection events."""
    [phone] = [each for each in airwaves.controllers if each.name == "phone"]
    [path] = [each for each in airwaves._paths.values() if each.source.controller is phone]
    values = 1 + math.ceil(max(0, size - (LARGEST_VALUE - START)) / (LARGEST_VALUE - CONTINUE))
    first = path.air._established + (math.floor((now - path.air._established) / INTERVAL) + 1) * INTERVAL
    return float(first + 2 * (values - 1) * INTERVAL)
