"""An attack as a person tells it."""

from __future__ import annotations

from protocol.errors import SignatureError
from protocol.messages import MessageType, Verdict
from protocol.messages import Outcome as OutcomeMessage
from protocol.signing import digest, verify
from tests.explorer import town
from tests.explorer.crypto_once import inside
from tests.explorer.reader_in_hand import Fact
from tests.explorer.search import Attack, Event, Search

_NAMES = {
    MessageType.KEY_OFFER: "an offer",
    MessageType.PIN_REQUEST: "a PIN request",
    MessageType.CARD_ENVELOPE: "a card envelope",
    MessageType.PIN_ENVELOPE: "a PIN envelope",
    MessageType.REFUSAL: "a refusal",
}
_SIGNERS = {
    town.BANK: "the issuer",
    town.ALICES_READER: "Alice's reader",
    town.CROOKS_READER: "the phone itself",
}
_PLAIN = {
    "session": "The phone begins a session with Alice's reader, which sends a fresh nonce.",
    "power": "The reader loses power and starts again.",
    "over": "The connection is gone for good.",
    "read": "Alice presses Enter.",
    "phone cancels": "The phone cancels at the reader.",
    "person cancels": "Alice presses Cancel.",
}
_SAW = {
    "approved": "the reader shows 'approved'",
    "not settled": "the reader shows 'not settled'",
    "try used": "a PIN try of {card} is used up",
    "settled": "the issuer settles with {card}",
    "leaked": "the phone can open it: {card}",
}


def in_words(attack: Attack, search: Search) -> str:
    """Numbered sentences, and the rule that the last of them breaks."""
    lines = [f"Without the defence ({search.weakness.name}):"]
    for number, (event, facts) in enumerate(attack.steps, 1):
        seen = "; ".join(filter(None, (_saw(fact) for fact in facts)))
        lines.append(f"  {number:2}. {_event(event, search)}{' => ' + seen if seen else ''}")
    if search.weakness.beforehand:
        lines.insert(1, f"   0. {search.weakness.beforehand}")
    return "\n".join([*lines, f"  Broken: {attack.rule}."])


def _saw(fact: Fact) -> str:
    return _SAW.get(fact.what, "").format(card=fact.card)


def _message(number: int, search: Search) -> str:
    kind, signed = search.messages.items[number]
    first = next(n for n, (_, known) in enumerate(search.messages.items) if known == signed)
    if kind is MessageType.OUTCOME:
        approved = OutcomeMessage.decode(inside(signed)).verdict is Verdict.APPROVED
        name = "the outcome 'approved'" if approved else "the outcome 'not settled'"
    else:
        name = _NAMES[kind]
    about = ""
    if kind is MessageType.KEY_OFFER and digest(signed) in search.asked_of:
        about = (
            " for Alice" if search.asked_of[digest(signed)] == town.ALICE else " made for the crook's phone"
        )
    return f"{name}{about} (message {first}, signed by {_signer(signed)})"


def _signer(signed: bytes) -> str:
    for key, name in _SIGNERS.items():
        try:
            verify(key.public_key, signed)
        except SignatureError:
            continue
        return name
    return "nobody known"


def _event(event: Event, search: Search) -> str:
    match event:
        case ("alarm", alarm):
            return f"Time passes at the reader ({alarm.value})."
        case ("swipe", card, bill):
            return f"Alice swipes {card.name}, meaning to pay {bill.amount.minor} for '{bill.order}'."
        case ("pin", True, _):
            return "Alice types her PIN."
        case ("pin", False, _):
            return "Alice mistypes her PIN."
        case ("bring", int(number)):
            return f"The phone brings the reader {_message(number, search)}."
        case (str(name),):
            return _PLAIN[name]
    place, *rest = event
    asked = search.bounds.asked[place]
    match rest:
        case ["ask"]:
            whose = "Alice's" if asked.cardholder == town.ALICE else "the crook's"
            return f"The shop asks {whose} phone for {asked.minor} for '{asked.order}'."
        case ["approve", reader, _]:
            return f"The phone approves {asked.label} with the hello of {_reader(reader)}."
        case ["carry", int(number)]:
            return f"The phone brings the issuer, for {asked.label}, {_message(number, search)}."
        case ["time"]:
            return f"The issuer's deadline for {asked.label} passes."
        case ["cancel"]:
            return f"The shop cancels {asked.label}."
        case ["decline"]:
            return f"The phone declines {asked.label}."
        case ["restart"]:
            return f"The issuer restarts in the middle of {asked.label}."
        case _:
            raise AssertionError(event)


def _reader(reader: bytes) -> str:
    return "Alice's reader" if reader == town.ALICES_READER.key_id else "the crook's reader"
