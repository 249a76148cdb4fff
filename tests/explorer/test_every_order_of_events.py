"""Every order of events in small worlds with hostile phones: no rule breaks; without a defence, one does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache

import pytest

from tests.explorer import weakened
from tests.explorer.bounds import NONE, Bounds, Weakness
from tests.explorer.search import Found, Search
from tests.explorer.town import CROOKS_TEA, DEAR_TEA, FIRST, GOLD, SECOND, TEA
from tests.explorer.words import in_words

SMALL = Bounds(stops=False)
TWO_ORDERS = Bounds(asked=(TEA, GOLD), stops=False)

WORLDS = {
    "one payment, everything that can break off": Bounds(restarts=1, power_cuts=1),
    "wrong PINs and a second try": Bounds(pin_attempts=2, mistypes=True, restarts=1),
    "three sessions, two cards": Bounds(sessions=3, cards=(FIRST, SECOND), stops=False),
    "two orders of one shop at one price": TWO_ORDERS,
    "the crook's phone is asked too": Bounds(asked=(TEA, CROOKS_TEA), sessions=1),
}

ATTACKS = [
    (weakened.OFFER_UNSIGNED, SMALL, "sealed to the crook's own key"),
    (weakened.NO_AMOUNT, Bounds(asked=(DEAR_TEA,), stops=False), "confirmed 0 times and settled 1 times"),
    (weakened.NO_NONCE, SMALL, "one offer takes two swipes"),
    (weakened.READER_UNVERIFIED, SMALL, "her second card, confirmed 0 times and settled 1 times"),
    (weakened.PIN_UNBOUND, SMALL, "'not settled', and it is settled"),
    (weakened.ORDER_HIDDEN, Bounds(asked=(GOLD,), stops=False), "'1 gift card' settles with her first card"),
    (weakened.NO_POSSESSION, Bounds(asked=(CROOKS_TEA,), stops=False), "asked of somebody else"),
    (weakened.CARD_UNTIED, Bounds(asked=(CROOKS_TEA,), stops=False), "her second card, confirmed 0 times"),
    (weakened.OUTCOME_UNSIGNED, SMALL, "'approved', and nothing is settled"),
    (weakened.PAST_SHOWN, TWO_ORDERS, "when the person has swiped for another since"),
    (weakened.RESULT_LOST, TWO_ORDERS, "'unknown' or 'approved' has not been read"),
    (weakened.UNKNOWN_LOST, TWO_ORDERS, "'unknown' or 'approved' has not been read"),
]


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    """A quarter of the time would go into lines that nobody reads."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@cache
def explored(bounds: Bounds, weakness: Weakness = NONE) -> tuple[Found, str]:
    """What was found, and the attack in words where there is one."""
    with weakness.patched():
        search = Search(bounds, weakness)
        found = search.run()
        print(found)
        words = "" if found.attack is None else in_words(found.attack, search)
        print(words)
    return found, words


@pytest.mark.parametrize("world", WORLDS)
def test_no_order_of_events_breaks_a_rule(world: str) -> None:
    found, words = explored(WORLDS[world])
    assert found.attack is None, words
    assert found.whole
    # What is never reached is never judged.
    assert {"swiped", "typed", "settled", "approved", "not settled", "try used"} <= found.seen
    assert found.states > 500


@pytest.mark.parametrize(
    ("weakness", "bounds", "rule"), ATTACKS, ids=lambda value: getattr(value, "name", "")
)
def test_without_a_defence_there_is_an_attack(weakness: Weakness, bounds: Bounds, rule: str) -> None:
    found, words = explored(bounds, weakness)
    assert found.attack is not None
    assert rule in found.attack.rule, words
    sound, words = explored(bounds)
    assert sound.attack is None, words


def test_every_switch_is_tried() -> None:
    assert {weakness.name for weakness, _, _ in ATTACKS} == {weakness.name for weakness in weakened.ALL}
