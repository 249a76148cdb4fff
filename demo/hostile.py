"""A phone in the hands of malware: rules on the honest phone's two links. It can do what a phone can.

Each altered copy is sent on its own, and the next only when the victim has dealt with it, so that every
refusal is the answer to one attack.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Protocol

from demo.forgery import (
    Attacker,
    Forgery,
    forged_approval,
    forged_envelopes,
    forged_offers,
    forged_pin_requests,
)
from demo.happenings import Party
from demo.story import Story
from demo.taps import ForReader, TappedIssuerLink, TappedReaderLink
from handset_client.issuer_frames import FromReader, IssuerComplaint, PhoneFrame
from handset_client.ports import IssuerEvent, ReaderEvent, ReaderSaid, ReaderTook
from protocol.identifiers import PublicKey
from protocol.messages import MessageType


class Malware(Protocol):
    """What takes over a phone."""

    def infect(self, reader_link: TappedReaderLink, issuer_link: TappedIssuerLink) -> None:
        """Put the rules on the two links."""


class _Malware:
    """Bookkeeping of both kinds: the links, and what waits for the victim's answer."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._reader_link: TappedReaderLink
        self._issuer_link: TappedIssuerLink

    def infect(self, reader_link: TappedReaderLink, issuer_link: TappedIssuerLink) -> None:
        """See Malware."""
        self._reader_link, self._issuer_link = reader_link, issuer_link
        reader_link.outgoing, reader_link.incoming = self.to_reader, self.from_reader
        issuer_link.outgoing, issuer_link.incoming = self.to_issuer, self.from_issuer

    def to_reader(self, message: ForReader) -> Iterable[ForReader]:
        """The rule for what the phone would hand to the reader."""
        return (message,)

    def from_reader(self, event: ReaderEvent) -> Iterable[ReaderEvent]:
        """The rule for what the reader says."""
        return (event,)

    def to_issuer(self, frame: PhoneFrame) -> Iterable[PhoneFrame]:
        """The rule for what the phone would tell the issuer."""
        return (frame,)

    def from_issuer(self, event: IssuerEvent) -> Iterable[IssuerEvent]:
        """The rule for what the issuer says."""
        return (event,)


def _deed(forgery: Forgery) -> str:
    return f"{forgery.deed}, {forgery.gain}" if forgery.gain else forgery.deed


class TamperingMalware(_Malware):
    """Alters every message; brings the true one only after its forgeries failed; keeps the PIN back."""

    def __init__(self, story: Story, attacker: Attacker, issuer_key: PublicKey) -> None:
        super().__init__(story)
        self._attacker = attacker
        self._issuer_key = issuer_key
        self._for_reader: collections.deque[Forgery] = collections.deque()
        self._true_message: ForReader | None = None
        self._for_issuer: collections.deque[Forgery] = collections.deque()
        self._true_frame: FromReader | None = None

    def to_reader(self, message: ForReader) -> Iterable[ForReader]:
        """Forgeries first."""
        match message.kind:
            case MessageType.KEY_OFFER:
                forgeries = forged_offers(message.data, self._issuer_key, self._attacker)
            case MessageType.PIN_REQUEST:
                forgeries = forged_pin_requests(message.data, self._issuer_key)
            case MessageType.OUTCOME:
                forgeries = forged_approval(message.data, self._issuer_key, self._attacker)
            case _:
                return (message,)
        self._for_reader.extend(forgeries)
        self._true_message = message
        self._next_for_reader()
        return ()

    def from_reader(self, event: ReaderEvent) -> Iterable[ReaderEvent]:
        """A forgery is dealt with when the reader has it; its refusals are kept from the issuer."""
        match event:
            case ReaderTook() if self._true_message is not None:
                self._next_for_reader()
                return ()
            case ReaderSaid(kind=MessageType.REFUSAL):
                return ()
            case _:
                return (event,)

    def _next_for_reader(self) -> None:
        true = self._true_message
        assert true is not None
        if self._for_reader:
            forgery = self._for_reader.popleft()
            self._story.attack(_deed(forgery), Party.PHONE, Party.READER, size=len(forgery.data))
            self._reader_link.put(ForReader(true.payment_id, true.kind, forgery.data))
        else:
            self._true_message = None
            self._reader_link.put(true)

    def to_issuer(self, frame: PhoneFrame) -> Iterable[PhoneFrame]:
        """Forged envelopes first."""
        if not isinstance(frame, FromReader) or frame.kind is MessageType.REFUSAL:
            return (frame,)
        self._for_issuer.extend(forged_envelopes(frame.data))
        self._true_frame = frame
        self._next_for_issuer()
        return ()

    def from_issuer(self, event: IssuerEvent) -> Iterable[IssuerEvent]:
        """A complaint means that a forgery failed."""
        if self._true_frame is None or not isinstance(event, IssuerComplaint):
            return (event,)
        self._next_for_issuer()
        return ()

    def _next_for_issuer(self) -> None:
        true = self._true_frame
        assert true is not None
        if self._for_issuer:
            forgery = self._for_issuer.popleft()
            self._story.attack(_deed(forgery), Party.PHONE, Party.ISSUER, size=len(forgery.data))
            self._issuer_link.put(FromReader(true.payment_id, true.kind, forgery.data))
            return
        self._true_frame = None
        if true.kind is MessageType.PIN_ENVELOPE:
            self._story.attack("keeps the true PIN envelope back", Party.PHONE, size=len(true.data))
        else:
            self._issuer_link.put(true)


class ReplayingMalware(_Malware):
    """Records one payment, then plays it back at the next one, which it approved by itself."""

    def __init__(self, story: Story) -> None:
        super().__init__(story)
        self._recorded: dict[MessageType, bytes] = {}
        self._replaying = False
        self._true_offer: ForReader | None = None
        self._replayed_outcome = False

    def replay_from_now_on(self) -> None:
        """The recording is complete."""
        self._replaying = True

    def to_reader(self, message: ForReader) -> Iterable[ForReader]:
        """The old offer first; then, as the reader refuses it, the true one."""
        if not self._replaying:
            self._recorded.setdefault(message.kind, message.data)
            return (message,)
        if message.kind is not MessageType.KEY_OFFER:
            return (message,)
        self._true_offer = message
        old = self._recorded[MessageType.KEY_OFFER]
        self._story.attack(
            "brings the first payment's key offer again", Party.PHONE, Party.READER, size=len(old)
        )
        return (ForReader(message.payment_id, MessageType.KEY_OFFER, old),)

    def from_reader(self, event: ReaderEvent) -> Iterable[ReaderEvent]:
        """Goes on with the attack as the reader answers."""
        if not self._replaying:
            return (event,)
        match event:
            case ReaderSaid(kind=MessageType.REFUSAL) if self._true_offer is not None:
                true, self._true_offer = self._true_offer, None
                self._reader_link.put(true)
                self._replay_outcome(true)
                return ()
            case ReaderTook(payment_id=payment_id, kind=MessageType.OUTCOME) if self._replayed_outcome:
                self._replayed_outcome = False
                self._replay_to_issuer(FromReader(payment_id, MessageType.CARD_ENVELOPE, self._old_card))
                return ()
            case _:
                return (event,)

    def _replay_outcome(self, offer: ForReader) -> None:
        old = self._recorded[MessageType.OUTCOME]
        deed = "brings the first payment's 'approved' again"
        self._story.attack(deed, Party.PHONE, Party.READER, size=len(old))
        self._replayed_outcome = True
        self._reader_link.put(ForReader(offer.payment_id, MessageType.OUTCOME, old))

    @property
    def _old_card(self) -> bytes:
        return self._recorded[MessageType.CARD_ENVELOPE]

    def _replay_to_issuer(self, frame: FromReader) -> None:
        what = frame.kind.name.lower().replace("_", " ")
        deed = f"sends the first payment's {what} in place of a swipe"
        self._story.attack(deed, Party.PHONE, Party.ISSUER, size=len(frame.data))
        self._issuer_link.put(frame)

    def to_issuer(self, frame: PhoneFrame) -> Iterable[PhoneFrame]:
        """Records what the reader sealed."""
        if isinstance(frame, FromReader) and not self._replaying:
            self._recorded.setdefault(frame.kind, frame.data)
        return (frame,)

    def from_issuer(self, event: IssuerEvent) -> Iterable[IssuerEvent]:
        """Swallows the complaint about its own deed."""
        return () if self._replaying and isinstance(event, IssuerComplaint) else (event,)
