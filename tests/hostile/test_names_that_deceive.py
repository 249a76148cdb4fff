"""A shop that wants to be taken for another at the reader, where its name is all that a person sees of it."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

from issuer_server import administration
from protocol.errors import InputError
from reader_peripheral import screens
from tests.journey.parties import parties

# Beside each: what a person would read.
TWINS = {
    "Cyrillic": "Cаfе Relаy",
    "Greek": "Cafe Relαy",
    "full width": "Ｃａｆｅ　Ｒｅｌａｙ",
    "capitals": "CAFE RELAY",
    "a digit for a letter": "Cafe Re1ay",
    "joined": "CafeRelay",
    "an invisible joiner": "Cafe\u200dRelay",
}


async def test_a_shop_whose_name_looks_like_anothers(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        store = world.issuer.running.storage
        merchants = await store.merchants()
        for twin in TWINS.values():
            with pytest.raises(InputError) as refused:
                await administration.add_merchant(store, twin, secrets.token_bytes, time.time())
            assert refused.value.code == "merchant_name_looks_alike"
        assert await store.merchants() == merchants
        await world.pay()
        [offer] = world.person.display.shown.all(lambda screen: isinstance(screen, screens.Offer))
        assert isinstance(offer, screens.Offer)
        assert offer.bill.merchant in {merchant.name for merchant in merchants}
