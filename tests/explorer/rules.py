"""What must hold of everything that happened, and the sentence that says what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from protocol.identifiers import CardholderId, Digest
from tests.explorer import town
from tests.explorer.reader_in_hand import Fact

_ALICES = {card.name for card in town.PLASTIC if card.owner == town.ALICE}


def broken_rule(history: Iterable[Fact], asked_of: Mapping[Digest, CardholderId]) -> str | None:
    """The first rule that this history breaks. `asked_of`: whose phone each offer's payment was asked of."""
    facts = Counter(history)
    by_name: dict[str, Counter[Fact]] = {}
    for fact, times in facts.items():
        by_name.setdefault(fact.what, Counter())[fact] = times

    def times(what: str, offer: Digest) -> int:
        return sum(n for fact, n in by_name.get(what, Counter()).items() if fact.offer == offer)

    for fact in by_name.get("leaked", ()):
        return f"{fact.card} is sealed to the crook's own key"
    for fact, count in by_name.get("swiped", Counter()).items():
        if fact.offer not in asked_of:
            return f"{fact.card} is swiped for an offer that the issuer never made"
        if asked_of[fact.offer] != town.ALICE:
            return f"{fact.card} is swiped for a payment that was asked of somebody else"
        if times("swiped", fact.offer) > 1 or count > 1:
            return "one offer takes two swipes"
    settled = by_name.get("settled", Counter())
    confirmed = Counter((f.bill, f.card) for f in by_name.get("typed", Counter()).elements())
    paid = Counter((f.bill, f.card) for f in settled.elements() if f.card in _ALICES)
    for (bill, card), count in paid.items():
        if count > confirmed[bill, card]:
            assert bill is not None
            return (
                f"{bill.amount.minor} for '{bill.order}' settles with {card},"
                f" confirmed {confirmed[bill, card]} times and settled {count} times"
            )
    for fact in settled:
        if times("settled", fact.offer) > 1:
            return "one payment settles twice"
        if times("not settled", fact.offer):
            return "the reader said 'not settled', and it is settled"
    for fact in by_name.get("approved", ()):
        if not times("settled", fact.offer):
            return "the reader says 'approved', and nothing is settled"
        if times("approved", fact.offer) > 1:
            return "the reader says 'approved' twice for one payment"
    for _ in by_name.get("misplaced", ()):
        return "the result of one payment is shown when the person has swiped for another since"
    for _ in by_name.get("hidden", ()):
        return "the display is ready for the next payment, and 'unknown' or 'approved' has not been read"
    tries = Counter(f.card for f in by_name.get("try used", Counter()).elements())
    typed = Counter(f.card for f in _elements(by_name, "typed")) + Counter(
        f.card for f in _elements(by_name, "mistyped")
    )
    for card in sorted(tries.keys() & _ALICES):
        if tries[card] > typed[card]:
            return f"{tries[card]} PIN tries of {card} are used up, and its PIN was typed {typed[card]} times"
    return None


def _elements(by_name: Mapping[str, Counter[Fact]], what: str) -> Iterable[Fact]:
    return by_name.get(what, Counter()).elements()


def told_apart(fact: Fact) -> Fact:
    """A fact without what no rule looks at, so that histories meet again."""
    match fact.what:
        case "swiped":
            return replace(fact, bill=None)
        case "mistyped" | "try used":
            return replace(fact, bill=None, offer=Digest(bytes(32)))
        case "typed":
            return replace(fact, offer=Digest(bytes(32)))
        case _:
            return fact
