"""Turns what the taps see into the telling: who sent what to whom, and what each of them could make of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from demo.carried import Carried
from demo.happenings import Event, Happening, Json, Narrator, Party, hex_text
from demo.opening import Opening
from demo.phrases import ISSUER_DOES, LINK_NOTICES, RELAYED
from demo.taps import ForReader, Passing, Way
from handset_client.effects import Ending, Notice, Progress
from handset_client.issuer_frames import (
    Approve,
    Decline,
    FromReader,
    IssuerComplaint,
    OutcomeWanted,
    PaymentOver,
    PaymentRequest,
    ReaderUnavailable,
    Result,
    ToReader,
)
from handset_client.ports import IssuerUp, ReaderReady
from handset_client.wording import ending_text, notice_text
from merchant_terminal.payment import Charge, Payment
from merchant_terminal.receipt import receipt
from protocol.identifiers import reader_id_text
from protocol.messages import MessageType
from protocol.money import format_money
from reader_peripheral.screens import Approved, EnterPin, Idle, NotSettled, Offer, PinHint, Unknown, Working
from reader_peripheral.screens import Screen as ReaderScreen
from reader_peripheral.texts import Language, describe


@dataclass(slots=True)
class Marks:
    """Things that a scenario waits for."""

    phone_finished: asyncio.Event = field(default_factory=asyncio.Event)
    reader_finished: asyncio.Event = field(default_factory=asyncio.Event)
    reader_engaged: bool = False


class Story:
    """Listens to every tap of one demonstration. All of it runs on one event loop."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._began: float | None = None
        self._held: list[Happening] = []
        self._opening: Opening | None = None
        self._reader_sent_at: dict[bytes, float] = {}
        self._pin_asked = False
        self._key_made = False
        self.issuer_did: set[str] = set()
        """Names of the events that it logged, of all payments."""
        self.attacks = 0
        self.refusals = 0
        """Of all payments: what the phone made up, and how often somebody refused."""
        self.people_seconds = 0.0
        """How long people took over the payment at hand."""
        self.ended_at = 0.0
        """When the merchant heard the end of it."""
        self.carried = Carried()
        self.marks = Marks()
        self.phone_is_up = asyncio.Event()
        self.network_is_up = True
        self.on_reader_sent: Callable[[MessageType], None] = lambda kind: None
        self.on_called: Callable[[], object] = lambda: None

    # -- telling

    def now(self) -> float | None:
        """Seconds since the payment began."""
        return None if self._began is None else time.perf_counter() - self._began

    def tell(
        self,
        event: Event,
        text: str,
        *route: Party,
        steps: str = "",
        at: float | None = None,
        facts: Mapping[str, Json] | None = None,
    ) -> None:
        """One happening. While an envelope is being opened, what follows waits until that is told."""
        when = self.now() if at is None else at
        happening = Happening(event, text, when, route, steps, facts or {})
        if self._opening is not None and event is not Event.OPENED:
            self._held.append(happening)
        else:
            self._narrator.tell(happening)

    def set_up(self, party: Party, text: str) -> None:
        """One step of the set-up."""
        self._narrator.tell(Happening(Event.SETUP, text, route=(party,)))

    def begin(self, title: str) -> None:
        """A payment begins: the clock starts."""
        self._release()
        self._narrator.tell(Happening(Event.PAYMENT, title))
        self._began = time.perf_counter()
        self._pin_asked = False
        self._key_made = False
        self.people_seconds = 0.0
        self.ended_at = 0.0
        self.carried.next_payment()
        self.marks = Marks()

    def person(self, text: str, steps: str) -> None:
        """The cardholder does something."""
        self.tell(Event.PERSON, text, Party.PERSON, steps=steps)

    def person_took(self, seconds: float) -> None:
        """Time that no machine could have saved."""
        self.people_seconds += seconds

    # -- the merchant

    def merchant_asks(self, charge: Charge) -> None:
        """S1."""
        text = f'asks {charge.phone} for {format_money(charge.amount)}: "{charge.order}"'
        self.tell(Event.MESSAGE, text, Party.MERCHANT, Party.ISSUER, steps="201 S1", facts={"kind": "charge"})

    def merchant_told(self, payment: Payment) -> None:
        """S25 or S9."""
        self._resolve_with_digits(payment.card_last_four)  # it may hear of the card before the phone does
        self._release()
        self.ended_at = self.now() or 0.0
        why = "" if payment.completed else f" ({(payment.reason or '').replace('_', ' ')})"
        text = ("completed" if payment.completed else "not settled") + why
        facts: dict[str, Json] = {
            "kind": "result",
            "outcome": payment.status,
            "reason": payment.reason,
            "card_last_four": payment.card_last_four,
        }
        steps = "210 S25" if payment.completed else "S9"
        self.tell(Event.MESSAGE, text, Party.ISSUER, Party.MERCHANT, steps=steps, facts=facts)

    def receipt(self, payment: Payment) -> None:
        """What the merchant's terminal prints."""
        self.tell(Event.RECEIPT, receipt(payment), Party.MERCHANT)

    # -- the phone

    def passed(self, way: Way, what: Passing) -> None:
        """Something crossed one of the phone's two links."""
        self.carried.see(way, what)
        match way, what:
            case _, IssuerUp():
                self.phone_is_up.set()
            case Way.FROM_ISSUER, PaymentRequest():
                text = f'calls: {what.merchant_name}, {format_money(what.amount)}, "{what.order}"'
                self._message(text, Party.ISSUER, Party.PHONE, steps="202 S4", kind="payment_request")
                self.on_called()
            case Way.FROM_ISSUER, ToReader(kind=kind, data=data):
                self._resolve_with_request(kind, data)
            case Way.FROM_ISSUER, Result():
                if self._opening is not None:
                    self._resolve_with_digits(what.last_four)
                outcome = "completed" if what.outcome.value == "completed" else "not settled"
                steps = "211 S25" if outcome == "completed" else "S13 S27"
                self._message(
                    f"tells the phone: {outcome}", Party.ISSUER, Party.PHONE, steps=steps, kind="result"
                )
            case Way.FROM_ISSUER, PaymentOver():
                self._message("that payment is over", Party.ISSUER, Party.PHONE, kind="payment_over")
            case Way.FROM_ISSUER, IssuerComplaint():
                self.refusals += 1
                self.tell(Event.DEFENCE, f"refused: {what.detail}", Party.ISSUER, facts={"code": what.code})
            case Way.TO_ISSUER, FromReader(kind=kind, data=data):
                self._from_reader(kind, data)
            case Way.TO_ISSUER, Approve(reader_hello=hello):
                text = f"approved, with that hello: {len(hello)} bytes"
                self._message(text, Party.PHONE, Party.ISSUER, steps="S33", kind="approve")
            case Way.TO_ISSUER, Decline(reason=reason):
                said = "declined" if reason.value == "declined" else "nobody answered"
                self._to_issuer(said, "S32 S46", "decline")
            case Way.TO_ISSUER, ReaderUnavailable():
                self._to_issuer("cannot reach the card reader", "", "reader_unavailable")
            case Way.TO_ISSUER, OutcomeWanted():
                self._to_issuer("asks how it ended, for the reader", "", "outcome_wanted")
            case Way.TO_READER, ForReader(kind=kind, data=data) if self.carried.from_issuer(data):
                self._to_reader(kind, data)
            case Way.FROM_READER, ReaderReady(reader_id=reader_id):
                text = f"hello from {reader_id_text(reader_id)[:9]}…, with a new nonce"
                self._message(text, Party.READER, Party.PHONE, kind="reader_hello")
            case _, Notice(kind=notice) if notice in LINK_NOTICES:
                self.tell(Event.LINK, notice_text(what), Party.PHONE, facts={"notice": notice.name.lower()})
            case _:
                pass

    def _message(self, text: str, *route: Party, steps: str = "", kind: str) -> None:
        self.tell(Event.MESSAGE, text, *route, steps=steps, facts={"kind": kind})

    def _to_issuer(self, text: str, steps: str, kind: str) -> None:
        if self.network_is_up:
            self._message(text, Party.PHONE, Party.ISSUER, steps=steps, kind=kind)
        else:
            self.tell(Event.LINK, f"cannot tell the issuer, no network: {text}", Party.PHONE)

    def _to_reader(self, kind: MessageType, data: bytes) -> None:
        what, steps = RELAYED[kind]
        facts = _bytes_facts(kind, data)
        text = f"{what}: {len(data):,} bytes"
        self.tell(Event.MESSAGE, text, Party.ISSUER, Party.PHONE, Party.READER, steps=steps, facts=facts)

    def _from_reader(self, kind: MessageType, data: bytes) -> None:
        if not self.carried.from_reader(data):
            return  # the phone's own invention: told as an attack
        what, steps = RELAYED[kind]
        now = self.now() or 0.0
        crossed = now - self._reader_sent_at.pop(data, now)
        facts = {**_bytes_facts(kind, data), "air_seconds": round(crossed, 4)}
        text = f"{what}: {len(data):,} bytes in {crossed * 1000:.0f} ms"
        self.tell(Event.MESSAGE, text, Party.READER, Party.PHONE, Party.ISSUER, steps=steps, facts=facts)
        if kind in (MessageType.CARD_ENVELOPE, MessageType.PIN_ENVELOPE):
            self._opening = Opening(kind, data)

    def phone_shows(self, shown: PaymentRequest | Progress | Notice | Ending) -> None:
        """The phone's face."""
        match shown:
            case PaymentRequest():
                text = "shows it: Approve or Decline?"
                self.tell(Event.SCREEN, text, Party.PHONE, steps="S31")
            case Ending():
                headline, _ = ending_text(shown)
                self.tell(Event.SCREEN, f"shows: {headline}", Party.PHONE, facts={"end": shown.end.value})
                self.marks.phone_finished.set()
            case Progress() | Notice():
                pass

    # -- the reader

    def reader_sent(self, kind: MessageType, data: bytes) -> None:
        """The reader handed a message to its radio."""
        self._reader_sent_at[data] = self.now() or 0.0
        self.on_reader_sent(kind)

    def reader_shows(self, screen: ReaderScreen) -> None:
        """The reader's display."""
        words = describe(screen, Language.ENGLISH)
        facts: dict[str, Json] = {"lines": [words.headline, *words.details]}
        match screen:
            case Idle() | Working():
                return
            case Offer(bill):
                self.marks.reader_engaged = True
                text = f'shows {bill.merchant}, {format_money(bill.amount)}, "{bill.order}": swipe your card'
                self.tell(Event.SCREEN, text, Party.READER, steps="205 S35", facts=facts)
            case EnterPin(hint=hint) if hint is not PinHint.NONE:
                self.tell(Event.SCREEN, f"shows: {words.details[0]}", Party.READER, facts=facts)
            case EnterPin(stars=stars, last_four=digits):
                if stars == 0 and not self._pin_asked:
                    self._pin_asked = True
                    self.tell(
                        Event.SCREEN,
                        f"asks for the PIN of card ****{digits}",
                        Party.READER,
                        steps="S40",
                        facts=facts,
                    )
            case Approved() | NotSettled() | Unknown():
                why = f": {words.details[0]}" if isinstance(screen, NotSettled) else ""
                steps = "S43 S44" if not isinstance(screen, Unknown) else ""
                self.tell(
                    Event.SCREEN, f"shows {words.headline}{why}", Party.READER, steps=steps, facts=facts
                )
                self.marks.reader_finished.set()
            case _:
                details = f" ({words.details[0]})" if words.details else ""
                self.tell(Event.SCREEN, f"shows: {words.headline}{details}", Party.READER, facts=facts)

    def reader_logged(self, record: logging.LogRecord) -> None:
        """The reader's log: what it refused, and why."""
        text = record.getMessage()
        if "without a word" in text:
            return  # of the same offer as the line before it
        if text.startswith(("refused", "dropped")):
            self.refusals += 1
            self.tell(Event.DEFENCE, f"refused: {text.partition(': ')[2]}", Party.READER, facts={"log": text})

    # -- a hostile phone

    def attack(self, deed: str, *route: Party, size: int) -> None:
        """The phone sends something that it made up, to the last of `route`, or keeps something back."""
        if len(route) > 1:
            self.attacks += 1
        self.tell(Event.ATTACK, deed, *route, facts={"bytes": size})

    # -- the issuer

    def issuer_logged(self, record: logging.LogRecord) -> None:
        """The issuer's structured log: one record for each event of a payment."""
        event: str | None = getattr(record, "event", None)
        if event is None:
            return
        if self._opening is not None:
            self._opening.issuer_did(event, self.now() or 0.0)
            self._tell_opened(needs_digits=True)
        reason = getattr(record, "reason", None)
        facts: dict[str, Json] = {"state": getattr(record, "state", None), "reason": reason}
        self.issuer_did.add(event)
        self._key_made |= event == "reader_accepted"
        if event in ISSUER_DOES:
            text, steps = ISSUER_DOES[event]
            self.tell(Event.ISSUER, text, Party.ISSUER, steps=steps, facts={"what": event, **facts})
        if reason is not None or event == "settled":
            text = "drops key, envelopes and what was in them" if self._key_made else ""
            if reason is not None:
                text = f"ends it ({reason.replace('_', ' ')})" + (f"; {text}" if text else "")
            self.tell(Event.ISSUER, text, Party.ISSUER, steps="213 S26", facts={"what": "ended", **facts})

    # -- an envelope that the issuer is opening

    def _resolve_with_request(self, kind: MessageType, data: bytes) -> None:
        if self._opening is not None and kind is MessageType.PIN_REQUEST:
            self._resolve_with_digits(self.carried.last_four_in(data))

    def _resolve_with_digits(self, last_four: str | None) -> None:
        if self._opening is not None:
            self._opening.last_four = last_four
            self._tell_opened(needs_digits=False)

    def _tell_opened(self, *, needs_digits: bool) -> None:
        opening = self._opening
        if opening is None or not opening.judged or (needs_digits and opening.wants_digits):
            return
        facts: dict[str, Json] = {
            "kind": opening.kind.name.lower(),
            "phone_saw": list(opening.phone_saw()),
            "issuer_saw": list(opening.issuer_saw()),
        }
        self.tell(Event.OPENED, "", Party.ISSUER, steps=opening.steps, at=opening.judged_at, facts=facts)
        self._release()

    def _release(self) -> None:
        """Tell what had to wait."""
        self._opening = None
        held, self._held = self._held, []
        for happening in held:
            self._narrator.tell(happening)


def _bytes_facts(kind: MessageType, data: bytes) -> dict[str, Json]:
    return {"kind": kind.name.lower(), "bytes": len(data), "phone_saw": hex_text(data)}
