"""Names that a person could take for another's, and names that they could not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer_server import administration
from issuer_server.look_alikes import look_alike, skeleton
from protocol.errors import InputError
from tests.unit.issuer_bench import NOON, bench

TWINS = [
    ("Cafe Relay", "Cаfe Relay"),  # a Cyrillic a
    ("Cafe Relay", "ＣＡＦＥ　ＲＥＬＡＹ"),
    ("Cafe Relay", "CafeRelay"),
    ("Cafe Relay", "Cafe Re1ay"),
    ("Cafe Relay", "Cafe Re\u200clay"),
    ("PAYPAL", "РАУРАL"),
    ("Bank", "Вank"),
    ("Alpha", "Αlpha"),
    ("Modern Tea", "Modem Tea"),
    ("Wine", "VVine"),
    ("G00gle", "Google"),
    ("Shop IO", "Shop 10"),
    ("ロイヤル", "口イヤル"),
    ("カフェ", "ｶﾌｪ"),
    ("ニュース", "二ュ一ス"),
    ("O'Brien", "O’Brien"),
    ("3ebra", "Зebra"),
]
STRANGERS = [
    ("Cafe Relay", "Cafe Delay"),
    ("Cafe", "Café"),
    ("Kiosk 1", "Kiosk 2"),
    ("カフェ", "かふぇ"),
    ("Кафе", "Cafe"),
    ("東京", "京都"),
]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_a_name_made_to_be_taken_for_another(one: str, other: str) -> None:
    assert one != other
    assert look_alike(one, other)
    assert look_alike(other, one)


@pytest.mark.parametrize(("one", "other"), STRANGERS)
def test_two_names_that_a_person_tells_apart(one: str, other: str) -> None:
    assert not look_alike(one, other)


@given(st.text(max_size=40))
def test_a_skeleton_is_its_own_in_any_case(name: str) -> None:
    assert look_alike(name, name)
    assert skeleton(f" {name}\u00a0") == skeleton(name)


async def test_a_look_alike_is_registered_by_who_has_looked_and_by_nobody_else(tmp_path: Path) -> None:
    async with bench(tmp_path) as issuer:
        store = issuer.storage

        async def add(name: str, *, allowed: bool = False) -> str:
            added = await administration.add_merchant(store, name, bytes, NOON, look_alike_allowed=allowed)
            return added.name

        known = (await store.merchants())[0].name
        with pytest.raises(InputError) as refused:
            await add(known.upper())
        assert refused.value.code == "merchant_name_looks_alike"
        assert len(await store.merchants()) == 1
        assert await add(known.upper(), allowed=True) == known.upper()
