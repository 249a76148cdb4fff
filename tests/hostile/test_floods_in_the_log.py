"""Nonsense without end is dropped, and the log of it stays small; what is never answered is not kept."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from issuer_server.handset_desk import MOST_LOGGED
from issuer_server.handset_session import MOST_UNACKNOWLEDGED, HandsetSession, SessionBroken
from issuer_server.payment import PaymentState
from protocol.messages import MessageType
from reader_peripheral.service import MOST_NOTES, NOTES_SECONDS
from tests.unit.issuer_bench import bench
from tests.unit.issuer_house import house
from tests.unit.reader_shop import Shop

FLOOD = 300


def lines(caplog: pytest.LogCaptureFixture, package: str) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(package) and record.levelno >= logging.WARNING
    ]


async def test_flood_the_readers_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop()
    await shop.service.start()
    await shop.begin()
    for _ in range(FLOOD):
        shop.phone.message(MessageType.PIN_REQUEST, os.urandom(200))
        shop.phone.message(MessageType.OUTCOME, os.urandom(200))
    told = lines(caplog, "reader_peripheral")
    assert len(told) == MOST_NOTES
    assert told[-1].endswith("not told for a while")
    # Silence is not for good: what happens later is told again.
    later = shop.service._now() + NOTES_SECONDS
    monkeypatch.setattr(shop.service, "_now", lambda: later)
    shop.phone.message(MessageType.OUTCOME, os.urandom(200))
    assert len(lines(caplog, "reader_peripheral")) == MOST_NOTES + 1
    await shop.service.stop()


async def test_flood_the_issuers_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with bench(tmp_path) as issuer:
        payment_id = await issuer.offered()
        for _ in range(FLOOD):
            await issuer.from_reader(payment_id, "card_envelope", os.urandom(200))
        told = lines(caplog, "issuer_server")
        assert len(told) == MOST_LOGGED
        assert told[-1].endswith("counted only")
        live = issuer.application._payments.get(payment_id)
        assert live is not None
        assert live.dropped_messages == FLOOD
        # Another payment's lines are its own, and this one still goes on.
        assert await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe()) is None
        assert (await issuer.shown(payment_id)).state is PaymentState.PIN_REQUESTED


async def test_flood_the_channels_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with house(tmp_path) as home, home.phone() as phone:
        flood = MOST_UNACKNOWLEDGED // 2  # of more answers the session itself would be given up
        for seq in range(1, flood + 1):
            await phone.raw(json.dumps({"type": "nonsense", "seq": seq}))
        while phone.acknowledged < flood:
            await phone.heard("ack")
        told = lines(caplog, "issuer_server")
        assert len(told) == MOST_LOGGED
        assert told[-1].endswith("not told")


def test_never_answer_and_fill_the_issuers_memory() -> None:
    session = HandsetSession("s")
    for _ in range(MOST_UNACKNOWLEDGED):
        session.push(b'{"type":"error"}')
    with pytest.raises(SessionBroken):
        session.push(b'{"type":"error"}')
    session.acknowledge(MOST_UNACKNOWLEDGED)
    session.push(b'{"type":"error"}')
    assert [seq for seq, _ in session.frames_after(0)] == [MOST_UNACKNOWLEDGED + 1]
