"""What the tests of the phone's Bluetooth link share: quick settings, and waiting for an event."""

from __future__ import annotations

import asyncio

from handset_client.adapters.bleak_link import BleakReaderLink
from handset_client.adapters.link_session import LinkSettings
from handset_client.effects import Notice, NoticeKind
from handset_client.ports import ReaderEvent
from protocol.identifiers import PaymentId, ReaderId, mint

PAYMENT = PaymentId(mint("pay", b"\x07" * 16))
OTHER = ReaderId(bytes.fromhex("ffff2c3d4e5f6071"))
OFFER = bytes(range(256)) * 6
QUICK = LinkSettings(
    gather=0.02,
    scan=0.1,
    connect=1.0,
    step=0.3,
    resume_window=2.0,
    size_wait=0.1,
    hang_up=0.5,
    pauses=(0.01, 0.02),
)


async def until(link: BleakReaderLink, wanted: type | NoticeKind, within: float = 5.0) -> list[ReaderEvent]:
    """Every event up to the wanted one, which is last."""
    events: list[ReaderEvent] = []
    async with asyncio.timeout(within):
        while True:
            events.append(await link.next_event())
            last = events[-1]
            if isinstance(wanted, NoticeKind):
                if isinstance(last, Notice) and last.kind is wanted:
                    return events
            elif isinstance(last, wanted):
                return events


def kinds(events: list[ReaderEvent]) -> list[NoticeKind]:
    return [event.kind for event in events if isinstance(event, Notice)]


def choosing(reader_id: ReaderId) -> LinkSettings:
    return LinkSettings(reader_id=reader_id, scan=0.1, step=0.3, size_wait=0.1, hang_up=0.5, pauses=(0.01,))
