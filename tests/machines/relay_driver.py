"""The relay machine with everything it says on record, and the frames that tests give it."""

from collections.abc import Iterable

from handset_client.effects import (
    End,
    Ending,
    Finish,
    HowDeclined,
    KeptOutcome,
    RelayEffect,
    SendToIssuer,
    SendToReader,
    Step,
    Tell,
)
from handset_client.effects import Progress as ProgressLine
from handset_client.issuer_frames import (
    Outcome,
    PaymentRequest,
    Result,
    ToReader,
)
from handset_client.relay import Relay
from handset_client.relay_call import Patience
from protocol.identifiers import PaymentId, ReaderId, mint
from protocol.messages import MessageType
from protocol.money import Money, currency

PATIENCE = Patience(reader=20, delivery=30, last_word=10, issuer=90, margin=15)
READER = ReaderId(b"\x01" * 8)
OTHER_READER = ReaderId(b"\x02" * 8)
HELLO = b"hello of the reader"


def payment_id(number: int) -> PaymentId:
    return PaymentId(mint("pay", bytes([number]) * 16))


P1, P2 = payment_id(1), payment_id(2)


def request(who: PaymentId = P1, within: float = 60.0) -> PaymentRequest:
    return PaymentRequest(who, "Tanaka Coffee", Money(1200, currency("JPY")), "2 coffees", within)


def to_reader(kind: MessageType, data: bytes, who: PaymentId = P1, left: float = 60) -> ToReader:
    return ToReader(who, kind, data, left)


def completed(who: PaymentId = P1) -> Result:
    return Result(who, Outcome.COMPLETED, None, "1234")


def not_settled(reason: str, who: PaymentId = P1) -> Result:
    return Result(who, Outcome.NOT_SETTLED, reason, None)


class Driver:
    """Runs a relay with a clock of its own, and sorts the effects by whom they are for."""

    def __init__(self, kept: Iterable[KeptOutcome] = (), doubts: Iterable[Ending] = ()) -> None:
        self.relay = Relay(PATIENCE, kept, doubts)
        self.now = 1000.0
        self.log: list[RelayEffect] = []

    def _note(self, effects: list[RelayEffect]) -> list[RelayEffect]:
        self.log += effects
        return effects

    def issuer(self, frame: object) -> list[RelayEffect]:
        return self._note(self.relay.issuer_said(frame, self.now))  # type: ignore[arg-type]

    def approve(self, who: PaymentId = P1) -> list[RelayEffect]:
        return self._note(self.relay.person_approved(who, self.now))

    def decline(self, who: PaymentId = P1, how: HowDeclined = HowDeclined.BY_PERSON) -> list[RelayEffect]:
        return self._note(self.relay.person_declined(who, self.now, how))

    def hello(self, reader: ReaderId = READER, hello: bytes = HELLO) -> list[RelayEffect]:
        return self._note(self.relay.reader_ready(reader, hello, self.now))

    def reader(self, kind: MessageType, data: bytes) -> list[RelayEffect]:
        return self._note(self.relay.reader_said(kind, data, self.now))

    def away(self) -> list[RelayEffect]:
        return self._note(self.relay.reader_away(self.now))

    def lost(self) -> list[RelayEffect]:
        return self._note(self.relay.reader_lost(self.now))

    def took_outcome(self, who: PaymentId = P1) -> list[RelayEffect]:
        return self._note(self.relay.reader_took(who, MessageType.OUTCOME, self.now))

    def welcomed(self, fresh: bool) -> list[RelayEffect]:
        return self._note(self.relay.issuer_welcomed(fresh, self.now))

    def later(self, seconds: float) -> list[RelayEffect]:
        """Let time pass, ringing every bell on the way."""
        until, rung = self.now + seconds, []
        while (deadline := self.relay.deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            effects = self.relay.handle_timer(self.now)
            assert effects, "a deadline passed and nothing happened"
            rung += self._note(effects)
        self.now = until
        return rung

    def sent(self) -> list[object]:
        return [effect.frame for effect in self.log if isinstance(effect, SendToIssuer)]

    def to_the_reader(self) -> list[tuple[MessageType, bytes]]:
        return [(effect.kind, effect.data) for effect in self.log if isinstance(effect, SendToReader)]

    def endings(self) -> list[tuple[End, str | None]]:
        return [(e.ending.end, e.ending.reason) for e in self.log if isinstance(e, Finish)]

    def steps(self) -> list[Step]:
        return [e.what.step for e in self.log if isinstance(e, Tell) and isinstance(e.what, ProgressLine)]

    def until_offer(self) -> None:
        self.welcomed(fresh=True)
        self.issuer(request())
        self.hello()
        self.approve()
        self.issuer(to_reader(MessageType.KEY_OFFER, b"offer"))

    def until_pin_sent(self) -> None:
        self.until_offer()
        self.reader(MessageType.CARD_ENVELOPE, b"card")
        self.issuer(to_reader(MessageType.PIN_REQUEST, b"pin?"))
        self.reader(MessageType.PIN_ENVELOPE, b"pin")
