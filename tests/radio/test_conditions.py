"""Delay and loss: computed for one direction, then felt by bleak and bless."""

from __future__ import annotations

import asyncio
import math
import random
from typing import TYPE_CHECKING

import pytest
from bleak.exc import BleakError

from protocol import gatt
from protocol.errors import InputError
from virtual_radio.conditions import Air, RadioConditions
from virtual_radio.ether import Ether

if TYPE_CHECKING:
    from conftest import Connect, StartReader


def air(conditions: RadioConditions, seed: int = 0) -> Air:
    return Air(conditions, random.Random(seed), established=100.0)


def test_without_conditions_a_packet_is_there_at_once() -> None:
    assert air(RadioConditions()).arrival(500, 123.0) == 123.0


def test_packets_wait_for_the_next_event_and_share_it() -> None:
    link = air(RadioConditions(connection_interval=0.03, packets_per_event=2))
    heard = [link.arrival(100, 100.001) for _ in range(5)]
    assert heard == pytest.approx([100.03, 100.03, 100.06, 100.06, 100.09])


def test_a_long_pdu_takes_several_packets() -> None:
    link = air(RadioConditions(connection_interval=0.03, packets_per_event=1))
    assert link.arrival(252, 100.001) == pytest.approx(100.06)
    assert link.arrival(251, 100.001) == pytest.approx(100.09)


def test_an_idle_link_sends_at_the_event_after_now() -> None:
    link = air(RadioConditions(connection_interval=0.05))
    link.arrival(10, 100.0)
    assert link.arrival(10, 107.01) == pytest.approx(107.05)


def test_loss_delays_and_keeps_the_order() -> None:
    conditions = RadioConditions(connection_interval=0.0075, loss=0.5, supervision_timeout=30)
    heard = list(map(air(conditions).arrival, [20] * 200, [100.0] * 200))
    assert heard == sorted(heard)
    assert heard[-1] > 100.0 + 200 / 4 * 0.0075 * 1.5


def test_equal_seeds_give_equal_weather() -> None:
    conditions = RadioConditions(connection_interval=0.0075, loss=0.3)
    first, second = air(conditions, 7), air(conditions, 7)
    assert [first.arrival(99, 100) for _ in range(50)] == [second.arrival(99, 100) for _ in range(50)]


def test_a_packet_that_is_never_heard_ends_the_link() -> None:
    assert air(RadioConditions(connection_interval=0.0075, loss=1.0)).arrival(20, 100.0) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"connection_interval": 0.005},
        {"connection_interval": 5.0},
        {"packets_per_event": 0},
        {"loss": 1.5, "connection_interval": 0.03},
        {"loss": 0.1},
        {"lost_notifications": -0.1},
        {"supervision_timeout": 0},
    ],
)
def test_impossible_conditions_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        RadioConditions(**wrong)  # type: ignore[arg-type]


def test_what_a_person_asks_for() -> None:
    assert RadioConditions.asked_for(0, 0) == RadioConditions()
    assert RadioConditions.asked_for(30, 0.2) == RadioConditions(connection_interval=0.03, loss=0.2)
    assert RadioConditions.asked_for(200, 0).supervision_timeout == 2.0


@pytest.mark.parametrize(
    ("interval", "loss", "said"),
    [
        (5, 0.0, "7.5 to 4000"),
        (5000, 0.0, "7.5 to 4000"),
        (-30, 0.0, "7.5 to 4000"),
        (math.nan, 0.0, "7.5 to 4000"),
        (30, 1.0, "below 1"),
        (30, -0.1, "below 1"),
        (30, math.nan, "below 1"),
        (0, 0.2, "give --radio-interval"),
    ],
)
def test_weather_that_cannot_be_is_refused_in_words(interval: float, loss: float, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        RadioConditions.asked_for(interval, loss)
    assert refused.value.code == "invalid_radio"


async def test_a_write_takes_a_connection_event_each_way(connect: Connect, start_reader: StartReader) -> None:
    async with Ether(RadioConditions(connection_interval=0.03)) as ether:
        await start_reader(await ether.add_device("reader"))
        handset = await connect(await ether.add_device("phone"))
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(5):
            await handset.client.write_gatt_char(gatt.KEY_UUID, bytes(100), response=True)
        assert loop.time() - started >= 5 * 2 * 0.03 - 0.03


async def test_data_survive_a_lossy_air(connect: Connect, start_reader: StartReader) -> None:
    conditions = RadioConditions(connection_interval=0.0075, loss=0.3, supervision_timeout=5, seed=3)
    async with Ether(conditions) as ether:
        reader = await start_reader(await ether.add_device("reader"))
        handset = await connect(await ether.add_device("phone"))
        await handset.subscribe()
        sent = [bytes([number]) * 200 for number in range(20)]
        for value in sent:
            reader.notify(value)
        assert [await handset.notified.get() for _ in sent] == sent


async def test_lost_notifications_are_gone_and_the_rest_keep_their_order(
    connect: Connect, start_reader: StartReader
) -> None:
    async with Ether(RadioConditions(lost_notifications=0.5, seed=5)) as ether:
        reader = await start_reader(await ether.add_device("reader"))
        handset = await connect(await ether.add_device("phone"))
        await handset.subscribe()
        for number in range(100):
            reader.notify(bytes([number]))
        await handset.client.read_gatt_char(gatt.STATUS_UUID)
        heard = [handset.notified.get_nowait()[0] for _ in range(handset.notified.qsize())]
        assert 25 < len(heard) < 75
        assert heard == sorted(heard)


async def test_an_air_that_carries_nothing_loses_the_link(
    connect: Connect, start_reader: StartReader
) -> None:
    conditions = RadioConditions(connection_interval=0.0075, loss=1.0)
    async with Ether(conditions) as ether:
        await start_reader(await ether.add_device("reader"))
        with pytest.raises(BleakError):
            await connect(await ether.add_device("phone"))


async def test_what_was_notified_before_goodbye_arrives(connect: Connect, start_reader: StartReader) -> None:
    async with Ether(RadioConditions(connection_interval=0.03)) as ether:
        reader = await start_reader(await ether.add_device("reader"))
        handset = await connect(await ether.add_device("phone"))
        await handset.subscribe()
        for number in range(10):
            reader.notify(bytes([number]))
        await reader.server.disconnect()
        await handset.gone.wait()
        assert [handset.notified.get_nowait()[0] for _ in range(handset.notified.qsize())] == list(range(10))


@pytest.mark.parametrize("event", range(1, 200))
def test_the_answer_at_an_event_waits_for_the_next(event: int) -> None:
    interval, established = 0.03, 8549.474365017
    air = Air(RadioConditions(connection_interval=interval), random.Random(0), established)
    heard = established + event * interval
    for now in (heard - 1e-9, heard, heard + 1e-9):
        assert air.arrival(23, now) == established + (event + 1) * interval
