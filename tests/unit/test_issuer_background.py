"""Tasks that outlive their requests: a failure is told to whoever waits, and else to the log."""

from __future__ import annotations

import asyncio
import logging

import pytest

from issuer_server.background import Background


async def fail(after: asyncio.Event | None = None) -> None:
    if after is not None:
        await after.wait()
    raise ValueError("no")


async def test_a_failure_that_its_caller_hears_is_no_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    background = Background()
    with pytest.raises(ValueError, match="no"):
        await background.whole(fail())
    assert caplog.records == []


async def test_a_failure_that_nobody_hears_is(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()
    background.start(fail())
    await background.idle()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "ValueError" in caplog.text


async def test_nor_does_a_caller_who_left(caplog: pytest.LogCaptureFixture) -> None:
    background, go = Background(), asyncio.Event()
    caller = asyncio.create_task(background.whole(fail(go)))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()
    await background.idle()
    assert "ValueError" in caplog.text


async def test_cancelling_all(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()
    background.start(fail(asyncio.Event()))
    background.cancel()
    await background.idle()
    assert caplog.records == []
