"""All that the phone had in its hands, kept to search it afterwards for what it must never hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from demo.taps import ForReader, Passing, Way
from handset_client.issuer_frames import FromReader, ToReader
from handset_client.ports import ReaderReady, ReaderSaid
from protocol.encoding import decode
from protocol.messages import MessageType, PinRequest

ENVELOPES = (MessageType.CARD_ENVELOPE, MessageType.PIN_ENVELOPE)


@dataclass(slots=True)
class Carried:
    """Fed by the taps on the phone's two links."""

    _from_issuer: set[bytes] = field(default_factory=set)
    _from_reader: set[bytes] = field(default_factory=set)
    _payloads: list[bytes] = field(default_factory=list)
    _frames: list[str] = field(default_factory=list)
    envelopes: list[MessageType] = field(default_factory=list)
    """Their kinds, as they came."""

    def see(self, way: Way, what: Passing) -> None:
        """Remember it."""
        match what:
            case ToReader(data=data):
                self._from_issuer.add(data)
                self._payloads.append(data)
            case ReaderSaid(kind=kind, data=data):
                self._from_reader.add(data)
                self._payloads.append(data)
                if kind in ENVELOPES:
                    self.envelopes.append(kind)
            case ForReader(data=data) | FromReader(data=data):
                self._payloads.append(data)
            case ReaderReady(hello=hello):
                self._payloads.append(hello)
            case _:
                self._frames.append(repr(what))

    def next_payment(self) -> None:
        """What was honest in the payment before is a replay in the next."""
        self._from_issuer.clear()
        self._from_reader.clear()

    def from_issuer(self, data: bytes) -> bool:
        """Whether the issuer sent exactly this in the payment at hand."""
        return data in self._from_issuer

    def from_reader(self, data: bytes) -> bool:
        """Whether the reader said exactly this in the payment at hand."""
        return data in self._from_reader

    @property
    def size(self) -> int:
        """Bytes of all messages that passed."""
        return sum(map(len, self._payloads))

    def holds(self, secret: str) -> bool:
        """Whether digits, as text or packed two to a byte, are anywhere in what the phone had."""
        needles = [secret.encode("ascii")]
        if len(secret) % 2 == 0 and len(secret) > 4:
            needles.append(bytes.fromhex(secret))
        return any(needle in payload for payload in self._payloads for needle in needles) or any(
            secret in frame for frame in self._frames
        )

    @staticmethod
    def last_four_in(request: bytes) -> str | None:
        """The card's last digits that the issuer names in a PIN request: signed, not secret."""
        match decode(request[1:], "COSE_Sign1"):
            case [_, _, bytes(payload), _]:
                return PinRequest.decode(payload).last_four
            case _:
                return None

    def holds_in_messages(self, secret: str) -> bool:
        """The same for digits so few that a clock reading in a frame may show them: relayed messages only."""
        return any(secret.encode("ascii") in payload for payload in self._payloads)
