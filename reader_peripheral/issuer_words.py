"""What the phone says the issuer said, believed only when the pinned issuer signed it for this reader."""

from __future__ import annotations

from typing import TypeVar

from protocol.errors import PeerError
from protocol.identifiers import IssuerId, Nonce, PublicKey, ReaderId
from protocol.messages import KeyOffer, Message
from protocol.signing import open_message

M = TypeVar("M", bound=Message)


class NotBelievedError(PeerError):
    """The text names what is wrong, never a value of the phone's."""


class IssuerWords:
    """One pinned issuer, as one reader hears it."""

    def __init__(self, issuer_id: IssuerId, issuer_key: PublicKey, reader: ReaderId) -> None:
        self._issuer_id = issuer_id
        self._issuer_key = issuer_key
        self._reader = reader

    def open(self, signed: bytes, kind: type[M]) -> M:
        """The message, if the pinned issuer signed it and it is of that kind; raises PeerError."""
        return open_message(self._issuer_key, signed, kind)

    def open_offer(self, signed: bytes, nonce: Nonce | None, *, paying: bool) -> KeyOffer:
        """An offer that this reader may take now; raises PeerError.

        A good signature is not enough: without each of these checks the symbolic model finds an attack.
        """
        offer = self.open(signed, KeyOffer)
        if offer.issuer_id != self._issuer_id:
            raise NotBelievedError("it names another issuer")
        if offer.reader_id != self._reader:
            raise NotBelievedError("it is for another reader")
        if paying:
            raise NotBelievedError("a payment is in hand")
        if nonce is None or offer.nonce != nonce:
            raise NotBelievedError("its nonce is not the one that waits for an offer")
        return offer
