"""Every order of events in a bounded world whose phones belong to the attacker.

The attacker keeps every message ever sent, hands any of them to any party at any time or never, and makes its
own with its own keys, the skimmed card and the PINs it has seen. Parties are the real ones (`reader_in_hand`,
`issuer_in_hand`). Since each is a pure function of its memory and the event, what an event does to a memory
is computed once; a state of the world is a handful of small numbers, visited once, breadth first, so that an
attack found is the shortest.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from issuer_server.live_payments import LivePayment
from protocol.identifiers import CardholderId, Digest, ReaderId
from protocol.messages import MessageType
from protocol.signing import digest
from reader_peripheral.transitions import State
from tests.explorer import forging, town
from tests.explorer.bounds import NONE, Bounds, Weakness
from tests.explorer.issuer_in_hand import IssuerInHand, cards_at_first, copied, identity
from tests.explorer.reader_in_hand import Fact, ReaderInHand
from tests.explorer.rules import broken_rule, told_apart

_TO_READER = {
    "key_offer": MessageType.KEY_OFFER,
    "pin_request": MessageType.PIN_REQUEST,
    "outcome": MessageType.OUTCOME,
}
_FROM_READER = {
    MessageType.CARD_ENVELOPE: "card_envelope",
    MessageType.PIN_ENVELOPE: "pin_envelope",
    MessageType.REFUSAL: "refusal",
}

Event = tuple[Any, ...]
WorldState = tuple[int, tuple[int, ...], int, int, int]
"""Reader, payments, cards, what the attacker has (a bit a message), history: each the number of a memory."""


@dataclass(frozen=True, slots=True)
class Attack:
    """A way to break a rule: each event, with what it made people see or do."""

    rule: str
    steps: tuple[tuple[Event, tuple[Fact, ...]], ...]


@dataclass(slots=True)
class Found:
    """What a search has gone through."""

    bounds: Bounds
    weakness: Weakness
    states: int = 0
    transitions: int = 0
    seconds: float = 0.0
    longest: int = 0
    whole: bool = True
    seen: set[str] = field(default_factory=set)
    """The facts that were reached: a search that reaches no settlement proves nothing."""
    attack: Attack | None = None

    def __str__(self) -> str:
        end = "no rule broken" if self.attack is None else f"broken: {self.attack.rule}"
        whole = "all of it" if self.whole else "cut off"
        return (
            f"{self.bounds}: {self.states:,} states, {self.transitions:,} transitions, at most {self.longest}"
            f" events deep, {whole}, {self.seconds:.1f} s CPU: {end}"
        )


class _Numbers:
    """Memories by number: equal ones get the same."""

    def __init__(self) -> None:
        self._of: dict[Hashable, int] = {}
        self.items: list[Any] = []

    def number(self, key: Hashable, item: Any) -> int:
        if key not in self._of:
            self._of[key] = len(self.items)
            self.items.append(item)
        return self._of[key]


class Search:
    """One bounded world."""

    def __init__(self, bounds: Bounds, weakness: Weakness = NONE) -> None:
        self.bounds = bounds
        self.weakness = weakness
        self.issuer = IssuerInHand(
            forging.readers_enrolled(), pin_attempts=bounds.pin_attempts, ties_cards=weakness.ties_cards
        )
        self.readers, self.payments, self.cards = _Numbers(), _Numbers(), _Numbers()
        self.histories, self.messages = _Numbers(), _Numbers()
        self.asked_of: dict[Digest, CardholderId] = {}
        self._at_reader: dict[tuple[int, Event], tuple[int, int, tuple[Fact, ...]]] = {}
        self._at_issuer: dict[tuple[int, int, Event], tuple[int, int, int, tuple[Fact, ...]]] = {}
        self._wanted: dict[int, tuple[Event, ...]] = {}
        self._split: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._verdicts: dict[tuple[int, tuple[Fact, ...]], tuple[int, str | None]] = {}

    def run(self) -> Found:
        """Go through all of it, or to the first attack."""
        found = Found(self.bounds, self.weakness)
        began = time.process_time()
        start = self._start()
        came: dict[WorldState, tuple[WorldState, Event, tuple[Fact, ...]] | None] = {start: None}
        layer: deque[tuple[WorldState, int]] = deque([(start, 0)])
        while layer and found.attack is None:
            state, depth = layer.popleft()
            found.longest = depth
            for event, after, facts, rule in self._moves(state):
                found.transitions += 1
                found.seen.update(fact.what for fact in facts)
                if rule is not None:
                    found.attack = Attack(rule, self._way(came, state, event, facts))
                    break
                if after not in came:
                    came[after] = (state, event, facts)
                    layer.append((after, depth + 1))
            if len(came) >= self.bounds.most_states:
                found.whole = False
                break
        found.states = len(came)
        found.seconds = time.process_time() - began
        return found

    def _start(self) -> WorldState:
        reader = ReaderInHand.new()
        payments = tuple(
            self.payments.number(("not asked", asked.id), LivePayment(asked.record()))
            for asked in self.bounds.asked
        )
        cards = cards_at_first()
        return (
            self.readers.number(reader.identity(), reader),
            payments,
            self.cards.number(cards, cards),
            0,
            self.histories.number((), ()),
        )

    @staticmethod
    def _way(came: Any, state: WorldState, event: Event, facts: tuple[Fact, ...]) -> Any:
        steps = [(event, facts)]
        while (before := came[state]) is not None:
            state, event, facts = before
            steps.append((event, facts))
        return tuple(reversed(steps))

    # -- one state's moves

    def _moves(self, state: WorldState) -> Iterator[tuple[Event, WorldState, tuple[Fact, ...], str | None]]:
        reader, payments, cards, has, history = state
        from_reader, to_reader = self._sorted(has)
        for event in (*self._reader_wants(reader), *(("bring", number) for number in to_reader)):
            after, sent, facts = self._reader_move(reader, event)
            if after == reader and not facts and not sent & ~has:
                continue
            told, rule = self._tell(history, facts)
            yield event, (after, payments, cards, has | sent, told), facts, rule
        hellos = self.readers.items[reader].sessions
        for place, payment in enumerate(payments):
            events = (*self._payment_wants(payment, hellos), *(("carry", number) for number in from_reader))
            forged = (("carry", number) for number in self._forged(payment, from_reader))
            for event in (*events, *forged):
                after, cards_after, sent, facts = self._issuer_move(payment, cards, event)
                if after == payment and cards_after == cards and not facts and not sent & ~has:
                    continue
                others = (*payments[:place], after, *payments[place + 1 :])
                told, rule = self._tell(history, facts)
                yield (place, *event), (reader, others, cards_after, has | sent, told), facts, rule

    def _sorted(self, has: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The numbers of the messages that the attacker has: from readers, and for them."""
        if has not in self._split:
            numbers = [n for n in range(has.bit_length()) if has >> n & 1]
            kinds = [(n, self.messages.items[n][0]) for n in numbers]
            self._split[has] = (
                tuple(n for n, kind in kinds if kind in _FROM_READER),
                tuple(n for n, kind in kinds if kind not in _FROM_READER),
            )
        return self._split[has]

    def _tell(self, history: int, facts: tuple[Fact, ...]) -> tuple[int, str | None]:
        if not facts:
            return history, None
        if (history, facts) not in self._verdicts:
            all_of_it = (*self.histories.items[history], *(told_apart(fact) for fact in facts))
            ordered = tuple(sorted(all_of_it, key=repr))
            rule = broken_rule(ordered, self.asked_of)
            self._verdicts[history, facts] = self.histories.number(ordered, ordered), rule
        return self._verdicts[history, facts]

    # -- the reader

    def _reader_wants(self, number: int) -> tuple[Event, ...]:
        """What people, time and a phone's bare connection may do to it, and what the attacker can forge."""
        if number not in self._wanted:
            reader, bounds = self.readers.items[number], self.bounds
            events: list[Event] = [("alarm", alarm) for alarm in reader.alarms]
            events += [("session",)] * (reader.sessions < bounds.sessions)
            events += [("power",)] * (reader.boots < bounds.power_cuts)
            events += [("over",), ("read",)]
            events += [("phone cancels",), ("person cancels",)] * bounds.stops
            match reader.session.state:
                case State.AWAITING_SWIPE:
                    for card in bounds.cards:
                        events += [("swipe", card, bill) for bill in self._believed(reader)]
                case State.ENTERING_PIN:
                    events += [("pin", True, bill) for bill in self._believed(reader)]
                    events += [("pin", False, None)] * bounds.mistypes
            forged = [self._learn(*message) for message in forging.for_reader(reader)]
            events += [("bring", message) for message in forged]
            self._wanted[number] = tuple(events)
        return self._wanted[number]

    def _believed(self, reader: ReaderInHand) -> tuple[Any, ...]:
        bill = reader.screen.bill  # type: ignore[union-attr]
        return self.weakness.believed(bill)

    def _reader_move(self, number: int, event: Event) -> tuple[int, int, tuple[Fact, ...]]:
        if (number, event) not in self._at_reader:
            reader = self.readers.items[number].copied()
            match event:
                case ("session",):
                    sent, facts = reader.new_session()
                case ("power",):
                    sent, facts = reader.power_cut()
                case ("alarm", alarm):
                    sent, facts = reader.alarm(alarm)
                case ("over",):
                    sent, facts = reader.session_over()
                case ("read",):
                    sent, facts = reader.person_has_read()
                case ("phone cancels",):
                    sent, facts = reader.phone_cancels()
                case ("person cancels",):
                    sent, facts = reader.person_cancels()
                case ("swipe", card, bill):
                    sent, facts = reader.swipe(card, bill)
                case ("pin", right, bill):
                    sent, facts = reader.type_pin(right, bill)
                case ("bring", message):
                    sent, facts = reader.message(*self.messages.items[message])
                case _:
                    raise AssertionError(event)
            useful = sum(
                1 << self._learn(*message) for message in sent if forging.useful(message, self.asked_of)
            )
            after = self.readers.number(reader.identity(), reader)
            self._at_reader[number, event] = after, useful, tuple(facts)
        return self._at_reader[number, event]

    def _learn(self, kind: MessageType, signed: bytes) -> int:
        return self.messages.number(signed, (kind, signed))

    # -- the issuer

    def _payment_wants(self, number: int, hellos: int) -> list[Event]:
        live = self.payments.items[number]
        if live.handset_id is None:
            return [("ask",)] if not live.state.is_final else []
        events: list[Event] = []
        if live.state.is_final:
            return events
        if live.hello is None:
            events += [("approve", ReaderId(town.ALICES_READER.key_id), n + 1) for n in range(hellos)]
            events += [("approve", ReaderId(town.CROOKS_READER.key_id), max(1, hellos))]
        events.append(("time",))
        if self.bounds.stops:
            events += [("cancel",), ("decline",)]
        if live.record.offer_digest is not None and self.bounds.restarts:
            events.append(("restart",))
        return events

    def _forged(self, number: int, from_reader: tuple[int, ...]) -> list[int]:
        stolen = [self.messages.items[n] for n in from_reader]
        return [self._learn(*message) for message in forging.for_issuer(self.payments.items[number], stolen)]

    def _issuer_move(self, number: int, cards: int, event: Event) -> tuple[int, int, int, tuple[Fact, ...]]:
        if (number, cards, event) not in self._at_issuer:
            live = copied(self.payments.items[number])
            match event:
                case ("approve", who, hello):
                    what: Event = ("say", forging.approval(who, town.nonce(hello)))
                case ("decline",):
                    what = ("say", {"type": "decline", "reason": "declined"})
                case ("carry", message):
                    kind, signed = self.messages.items[message]
                    what = ("say", forging.frame(_FROM_READER[kind], signed))
                case _:
                    what = event
            self.issuer.event(live, self.cards.items[cards], what)
            self._at_issuer[number, cards, event] = self._after(live)
        return self._at_issuer[number, cards, event]

    def _after(self, live: LivePayment) -> tuple[int, int, int, tuple[Fact, ...]]:
        tables, has, facts = self.issuer.tables, 0, []
        for name, signed in self.issuer.wire.to_reader:
            if name == "key_offer":
                self.asked_of[digest(signed)] = live.record.cardholder_id
            has |= 1 << self._learn(_TO_READER[name], signed)
        offer = live.offer_digest
        for card_id in tables.tries_used:
            assert offer is not None
            facts.append(Fact("try used", offer, None, town.BY_ID[card_id].name))
        for _, card_id in tables.settled:
            assert offer is not None
            facts.append(Fact("settled", offer, town.bill_of(live.record), town.BY_ID[card_id].name))
        cards = tuple(tables.cards.values())
        asked = live.record.id if live.handset_id is None else identity(live)
        return (
            self.payments.number(asked if live.handset_id else ("not asked", asked), live),
            self.cards.number(cards, cards),
            has,
            tuple(facts),
        )
