"""What the phone and the air can count: bytes, messages and status codes, whatever is swiped and typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from handset_client.ports import ReaderSaid
from protocol.messages import MessageType, NotSettled
from protocol.sealing import PaymentKey, seal_card
from protocol.track_data import parse_swipe
from reader_peripheral import screens
from tests.journey.parties import Parties, parties
from tests.journey.person import OWN_CARD, OWN_EXPIRED_CARD
from tests.journey.taps import Way

Seen = list[tuple[str, int]]


def seen(world: Parties, since: int) -> Seen:
    """All that the reader sent to the phone since then: kinds and sizes, in order."""
    return [
        (event.kind.name, len(event.data))
        for way, event in world.phone.wire.entries[since:]
        if way is Way.FROM_READER and isinstance(event, ReaderSaid)
    ]


async def test_learn_the_length_of_a_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four, seven and twelve digits, all wrong: the phone sees the same of each."""
    async with parties(tmp_path) as world:
        sights, statuses = [], []
        link = world.reader.service._link
        tell = link.set_status
        monkeypatch.setattr(link, "set_status", lambda status: (statuses.append(status), tell(status)))
        for pin in ("9999", "9999999", "999999999999"):
            world.person.pin, since = pin, len(world.phone.wire)
            assert (await world.pay()).reason == NotSettled.WRONG_PIN
            await world.phone.caught_up()
            await world.person.display.shown.until(
                lambda screen: isinstance(screen, screens.NotSettled), since=len(sights)
            )
            sights.append((seen(world, since), statuses.copy()))
            statuses.clear()
        assert sights[0] == sights[1] == sights[2]
        assert MessageType.PIN_ENVELOPE.name in dict(sights[0][0])


def test_learn_the_length_of_a_card_number() -> None:
    """Thirteen digits and sixteen, one track and two: of all of them the envelope has one size."""
    key, sizes = PaymentKey.from_seed(bytes(96)), set()
    for stripe in (OWN_CARD.stripe, OWN_EXPIRED_CARD.stripe, OWN_CARD.stripe.partition(";")[2]):
        swipe = parse_swipe(bytearray(f";{stripe}".encode() if stripe[0] != "%" else stripe.encode()))
        sizes.add(len(seal_card(key.public_key, swipe.card_plaintext(), b"")))
    assert len(sizes) == 1
