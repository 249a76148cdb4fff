"""The relay machine under anything that others may do, in any order: it never breaks, mixes up or hangs."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from handset_client.effects import (
    Ask,
    ConnectReader,
    Finish,
    KeptOutcome,
    RelayEffect,
    ReleaseReader,
    SendToIssuer,
    SendToReader,
)
from handset_client.issuer_frames import (
    Approve,
    FromReader,
    Outcome,
    PaymentOver,
    PaymentRequest,
    Result,
    ToReader,
)
from handset_client.relay import Relay
from handset_client.relay_call import Patience
from protocol.identifiers import PaymentId, ReaderId, mint
from protocol.messages import MessageType
from protocol.money import Money, currency

PAYMENTS = tuple(PaymentId(mint("pay", bytes([number]) * 16)) for number in range(3))
READERS = (ReaderId(b"\x01" * 8), ReaderId(b"\x02" * 8))
FOR_READER = (MessageType.KEY_OFFER, MessageType.PIN_REQUEST, MessageType.OUTCOME)
OF_READER = (
    MessageType.CARD_ENVELOPE,
    MessageType.PIN_ENVELOPE,
    MessageType.REFUSAL,
    MessageType.READER_HELLO,
)

payments = st.sampled_from(PAYMENTS)
actions = st.one_of(
    st.tuples(st.just("call"), payments, st.floats(0, 60)),
    st.tuples(st.just("approve"), payments),
    st.tuples(st.just("decline"), payments),
    st.tuples(st.just("to reader"), payments, st.sampled_from(FOR_READER)),
    st.tuples(st.just("result"), payments, st.sampled_from(Outcome)),
    st.tuples(st.just("over"), payments, st.sampled_from(["completed", "card_timeout", "unknown_payment"])),
    st.tuples(st.just("welcome"), st.booleans()),
    st.tuples(st.just("ready"), st.sampled_from(READERS)),
    st.tuples(st.just("away")),
    st.tuples(st.just("lost")),
    st.tuples(st.just("said"), st.sampled_from(OF_READER)),
    st.tuples(st.just("took"), payments, st.sampled_from(FOR_READER)),
    st.tuples(st.just("wait"), st.floats(0, 120)),
)
owed = st.lists(
    st.builds(KeptOutcome, payments, st.sampled_from(READERS), st.sampled_from([None, b"old outcome"])),
    max_size=2,
    unique_by=lambda kept: kept.payment_id,
)


class World:
    """Everybody around the relay, with a memory of what they did."""

    def __init__(self, kept: list[KeptOutcome]) -> None:
        self.relay = Relay(Patience(), kept)
        self.now = 0.0
        self.serial = 0
        self.approved_by_person: set[PaymentId] = set()
        self.asked: Counter[PaymentId] = Counter()
        self.finished: Counter[PaymentId] = Counter()
        self.approvals: Counter[PaymentId] = Counter()
        self.hellos: list[bytes] = []
        self.session_up = False
        self.said_by: dict[bytes, str] = {}

    def _fresh(self, by: str) -> bytes:
        """Bytes that were never seen before, so that forwarding can be traced."""
        self.serial += 1
        data = b"%s %d" % (by.encode(), self.serial)
        self.said_by[data] = by
        return data

    def act(self, action: tuple[object, ...]) -> None:
        relay, now = self.relay, self.now
        match action:
            case ("call", payment, float(within)):
                request = PaymentRequest(payment, "Shop", Money(1, currency("JPY")), "x", within)  # type: ignore[arg-type]
                self.note(relay.issuer_said(request, now))
            case ("approve", payment):
                self.approved_by_person.add(payment)  # type: ignore[arg-type]
                self.note(relay.person_approved(payment, now))  # type: ignore[arg-type]
            case ("decline", payment):
                self.note(relay.person_declined(payment, now))  # type: ignore[arg-type]
            case ("to reader", payment, MessageType() as kind):
                frame = ToReader(payment, kind, self._fresh("issuer"), 30.0)  # type: ignore[arg-type]
                self.note(relay.issuer_said(frame, now))
            case ("result", payment, Outcome() as outcome):
                self.note(relay.issuer_said(Result(payment, outcome, None, None), now))  # type: ignore[arg-type]
            case ("over", payment, str(reason)):
                self.note(relay.issuer_said(PaymentOver(payment, reason), now))  # type: ignore[arg-type]
            case ("welcome", bool(fresh)):
                self.note(relay.issuer_welcomed(fresh, now))
            case ("ready", reader):
                hello = self._fresh("reader")
                self.hellos.append(hello)
                self.session_up = True
                self.note(relay.reader_ready(reader, hello, now))  # type: ignore[arg-type]
            case ("away",):
                self.note(relay.reader_away(now))
            case ("lost",):
                self.session_up = False
                self.note(relay.reader_lost(now))
            case ("said", MessageType() as kind):
                self.note(relay.reader_said(kind, self._fresh("reader"), now))
            case ("took", payment, MessageType() as kind):
                self.note(relay.reader_took(payment, kind, now))  # type: ignore[arg-type]
            case ("wait", float(seconds)):
                self.wait(seconds)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(200):
            deadline = self.relay.deadline()
            if deadline is None or deadline > until:
                self.now = until
                return
            self.now = max(self.now, deadline)
            self.note(self.relay.handle_timer(self.now))
        raise AssertionError("the relay's clock spins")

    def note(self, effects: list[RelayEffect]) -> None:
        for effect in effects:
            match effect:
                case Ask(request, _):
                    self.asked[request.payment_id] += 1
                    self.approved_by_person.discard(request.payment_id)
                case Finish(ending):
                    self.finished[ending.request.payment_id] += 1
                case SendToIssuer(Approve(payment, hello)):
                    self.approvals[payment] += 1
                    assert payment in self.approved_by_person
                    assert self.session_up
                    assert hello == self.hellos[-1], "an old session's hello"
                case SendToIssuer(FromReader(_, _, data)):
                    assert self.said_by[data] == "reader"
                case SendToReader(_, _, data):
                    assert self.session_up
                    assert data == b"old outcome" or self.said_by[data] == "issuer"
                case ReleaseReader():
                    self.session_up = False
                case ConnectReader():
                    pass


@settings(max_examples=400, deadline=None)
@given(owed, st.lists(actions, max_size=40))
def test_whatever_others_do(kept: list[KeptOutcome], done: list[tuple[object, ...]]) -> None:
    world = World(kept)
    for action in done:
        world.act(action)
    world.wait(100_000)
    assert world.relay.deadline() is None, "something still waits"
    for payment in PAYMENTS:
        assert world.finished[payment] >= world.asked[payment], "a person was left without an ending"
        assert world.approvals[payment] <= world.asked[payment]


@settings(max_examples=100, deadline=None)
@given(st.lists(actions, max_size=25))
def test_the_same_events_have_the_same_effects(done: list[tuple[object, ...]]) -> None:
    first, second = World([]), World([])
    for action in done:
        first.act(action)
        second.act(action)
    assert (first.asked, first.finished, first.approvals) == (second.asked, second.finished, second.approvals)
