"""The example in docs/wire-protocol.md is what the channels really send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.framing import Channel, Role
from protocol.messages import MessageType

if TYPE_CHECKING:
    from conftest import Pair

DOCUMENT = Path(__file__).parents[3] / "docs" / "wire-protocol.md"


def documented() -> list[tuple[str, bytes, int]]:
    """(who, first bytes, bytes that follow) of every frame in the example."""
    example = DOCUMENT.read_text(encoding="utf-8").split("### Example")[1].split("```")[1]
    frames = []
    for line in example.strip().splitlines():
        who, shown = line[:8].strip(" >"), line[8:].split("  ")
        for frame in filter(None, map(str.strip, shown)):
            octets, _, rest = frame.partition("…")
            try:
                head = bytes.fromhex(octets)
            except ValueError:
                continue  # the words at the end of the line
            if head:
                frames.append((who, head, int(rest.split()[0]) if rest else 0))
    return frames


def test_the_documented_bytes(new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    pair.central.channel = Channel(Role.CENTRAL, session=0xDEADBEEF)
    pair.connect(largest=20, peripheral_largest=510)
    pair.settle()
    pair.peripheral.channel.send(MessageType.READER_HELLO, bytes(68), pair.now)
    pair.settle()
    pair.central.channel.send(MessageType.KEY_OFFER, bytes(4096), pair.now)
    pair.settle()
    sent = {"phone": iter(pair.central.values), "reader": iter(pair.peripheral.values)}
    example = documented()
    assert len(example) == 9
    for who, head, rest in example:
        value = next(sent[who])
        assert value == head + bytes(rest)
