"""What a hostile phone can make of the bytes that pass through it. Pure; it knows nobody else's secret."""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol.encoding import decode, encode
from protocol.identifiers import PublicKey
from protocol.messages import KeyOffer, Message, Outcome, PinRequest, Verdict
from protocol.money import Money
from protocol.sealing import PaymentKey
from protocol.signing import SigningKey, open_message, sign_message


@dataclass(frozen=True, slots=True)
class Forgery:
    """One altered copy: what the attacker does, what it would gain if believed, and the bytes."""

    deed: str
    gain: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Attacker:
    """The keys that malware can make for itself. It has those of nobody else."""

    signing_key: SigningKey
    payment_key: PaymentKey

    @classmethod
    def from_seeds(cls, signing_seed: bytes, payment_seed: bytes) -> Attacker:
        """`signing_seed` 32 and `payment_seed` 96 random bytes."""
        return cls(SigningKey.from_seed(signing_seed), PaymentKey.from_seed(payment_seed))


def flip_bit(data: bytes, position: int, bit: int = 0) -> bytes:
    """`data` with one bit turned over; `position` counts bytes, from the end where negative."""
    altered = bytearray(data)
    altered[position] ^= 1 << bit
    return bytes(altered)


def forged_offers(offer: bytes, issuer_key: PublicKey, attacker: Attacker) -> list[Forgery]:
    """Altered key offers. The offer is signed, not secret: the phone may read it and re-build it."""
    genuine = open_message(issuer_key, offer, KeyOffer)
    own_key = replace(genuine, public_key=attacker.payment_key.public_key)
    cheaper = replace(genuine, amount=Money(genuine.amount.minor * 100, genuine.amount.currency))
    other_order = replace(genuine, order="1 gold watch")
    return [
        Forgery("turns one bit of the key offer over", "", flip_bit(offer, len(offer) // 2)),
        Forgery(
            "puts its own public key into the offer",
            "to open the card envelope itself",
            _in_place(offer, genuine, own_key),
        ),
        Forgery(
            "signs that offer with a key of its own",
            "so that the signature at least verifies",
            sign_message(attacker.signing_key, own_key),
        ),
        Forgery(
            "multiplies the amount by a hundred",
            "to pay for something else",
            _in_place(offer, genuine, cheaper),
        ),
        Forgery(
            "swaps the order's description", "to buy another thing", _in_place(offer, genuine, other_order)
        ),
    ]


def forged_pin_requests(request: bytes, issuer_key: PublicKey) -> list[Forgery]:
    """Altered PIN requests: another card's digits, another card envelope."""
    genuine = open_message(issuer_key, request, PinRequest)
    other_card = replace(genuine, last_four="".join(str(9 - int(digit)) for digit in genuine.last_four))
    return [
        Forgery("shows another card's last digits", "", _in_place(request, genuine, other_card)),
        Forgery("turns one bit of the signature over", "", flip_bit(request, -1)),
    ]


def forged_envelopes(envelope: bytes) -> list[Forgery]:
    """Altered envelopes: in the sealed part, in the signature."""
    return [
        Forgery("turns one bit of the sealed part over", "", flip_bit(envelope, len(envelope) // 2)),
        Forgery("turns one bit of the reader's signature over", "", flip_bit(envelope, -1)),
        Forgery("cuts the last byte off", "", envelope[:-1]),
    ]


def forged_approval(outcome: bytes, issuer_key: PublicKey, attacker: Attacker) -> list[Forgery]:
    """'Approved' made out of 'not settled': once with the true signature, once with the attacker's own."""
    genuine = open_message(issuer_key, outcome, Outcome)
    approved = Outcome(genuine.offer, genuine.last_message, Verdict.APPROVED, None)
    gain = "so that the shop's customer sees 'paid'"
    return [
        Forgery("turns 'not settled' into 'approved'", gain, _in_place(outcome, genuine, approved)),
        Forgery("signs 'approved' itself", gain, sign_message(attacker.signing_key, approved)),
    ]


def _in_place(signed: bytes, genuine: Message, altered: Message) -> bytes:
    """The true header and signature around an altered payload."""
    protected, unprotected, _payload, signature = _parts(decode(signed[1:], "COSE_Sign1"))
    return signed[:1] + encode([protected, unprotected, altered.encode(), signature])


def _parts(item: object) -> tuple[object, object, object, object]:
    assert isinstance(item, list)
    assert len(item) == 4
    first, second, third, fourth = item
    return first, second, third, fourth
