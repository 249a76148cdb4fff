"""The demonstration's own parts: it would notice a leak, a wrong ending and a forged capture."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace

import pytest

from demo.carried import Carried
from demo.forgery import flip_bit
from demo.happenings import Event, Happening
from demo.play import Options, play
from demo.radio_count import att_pdus, count
from demo.scenarios import SCENARIOS
from demo.taps import ForReader, Way
from handset_client.issuer_frames import IssuerComplaint
from protocol.identifiers import PaymentId
from protocol.messages import MessageType, NotSettled

PAYMENT = PaymentId("pay_" + "a" * 26)


class Notes:
    """A narrator that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Happening] = []
        self.phone_rang = asyncio.Event()

    def tell(self, happening: Happening) -> None:
        self.told.append(happening)
        if happening.event is Event.SCREEN:
            self.phone_rang.set()

    async def caught_up(self) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": NotSettled.WRONG_PIN},
        {"reason": NotSettled.UNKNOWN_CARD, "pin_right": False},
        {"purse": 10},
    ],
)
async def test_an_ending_that_should_not_be_is_called_wrong(changes: dict[str, object]) -> None:
    scenario = replace(SCENARIOS["paid"], **changes)  # type: ignore[arg-type]
    notes = Notes()
    played = await play(scenario, notes, Options(pace=0.0))
    assert not played.as_expected
    assert "THIS IS WRONG" in notes.told[-1].text
    assert notes.told[-1].facts["as_expected"] is False


async def test_a_demonstration_that_is_interrupted_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    notes = Notes()
    playing = asyncio.create_task(play(SCENARIOS["paid"], notes, Options(pace=10.0)))
    async with asyncio.timeout(30):
        await notes.phone_rang.wait()
    assert not playing.done()
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    if left := asyncio.all_tasks() - before:
        _, running = await asyncio.wait(left, timeout=5)
        assert running == set()


@pytest.mark.parametrize("data", [b"..4000001000023184..", bytes.fromhex("ff4000001000023184ff")])
def test_a_card_number_in_the_phones_hands_would_be_found(data: bytes) -> None:
    carried = Carried()
    assert not carried.holds("4000001000023184")
    carried.see(Way.TO_READER, ForReader(PAYMENT, MessageType.KEY_OFFER, data))
    assert carried.holds("4000001000023184")


def test_a_card_number_in_a_frame_would_be_found() -> None:
    carried = Carried()
    carried.see(Way.FROM_ISSUER, IssuerComplaint("oops", "card 4000001000023184 is unknown"))
    assert carried.holds("4000001000023184")


def test_flipping_a_bit_flips_just_one() -> None:
    data = bytes(range(16))
    altered = flip_bit(data, -1, 3)
    assert sum(bin(a ^ b).count("1") for a, b in zip(data, altered, strict=True)) == 1


def capture(*packets: tuple[int, bytes]) -> bytes:
    """A btsnoop file of HCI packets with their flags."""
    records = b"".join(
        struct.pack(">IIIIQ", len(data), len(data), flags, 0, 0) + data for flags, data in packets
    )
    return b"btsnoop\0" + struct.pack(">II", 1, 1002) + records


def acl(payload: bytes, *, first: bool = True) -> bytes:
    """One ACL packet of connection 64."""
    return b"\x02" + struct.pack("<HH", 64 | (0 if first else 1) << 12, len(payload)) + payload


def test_fragmented_pdus_are_put_together_and_others_left_out() -> None:
    pdu = struct.pack("<HH", 5, 4) + b"\x12\x01\x00hi"
    other = struct.pack("<HH", 2, 5) + b"xx"
    content = capture(
        (0, acl(pdu[:6])), (0, acl(pdu[6:], first=False)), (1, acl(other)), (0, b"\x01\x03\x0c\x00"),
    )  # fmt: skip
    [found] = att_pdus(content)
    assert (found.received, found.opcode, found.data[3:]) == (False, 0x12, b"hi")
    total = count(content + b"\0" * 10)
    assert (total.pdus, total.octets, total.writes, total.notifications) == (1, 5, 1, 0)


def test_an_empty_capture_counts_nothing() -> None:
    assert count(b"").pdus == 0
    assert count(capture()).octets == 0
