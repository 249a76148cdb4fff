"""Canary: whatever goes wrong, no text, repr or traceback holds a card number, a PIN or a key."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from protocol import sealing
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.errors import BlindRelayError
from protocol.identifiers import IssuerId, PublicKey
from protocol.messages import CardEnvelope, KeyOffer, PinEnvelope
from protocol.sealing import PaymentKey, pad_pin, seal_card, seal_pin, unpad_pin
from protocol.signing import SigningKey, verify
from protocol.track_data import CardData, parse_swipe

PAN = "4000001234567899"
NAME = "CANARY/CARLA"
PIN = "739158"
SEED = b"CANARY-SEED-CANARY-SEED-CANARY-S"
PAYMENT_SEED = SEED * 3
INFO = b"blind-relay v1 card"
TRACKS = f"%B{PAN}^{NAME}^30121010000?;{PAN}=30121010000?".encode()
SECRETS = [PAN, PAN[4:12], NAME, PIN, "CANARY", SEED.hex(), SEED.hex()[:16]]


def _card() -> CardData:
    return CardData.parse(parse_swipe(bytearray(TRACKS)).card_plaintext())


def _plaintext(change: int) -> bytearray:
    plaintext = parse_swipe(bytearray(TRACKS)).card_plaintext()
    plaintext[change] ^= 1
    return plaintext


class _Fault:
    def decrypt(self, *_: Any) -> bytes:
        return bytes(_plaintext(30))


def _faulted() -> object:
    key = PaymentKey.from_seed(PAYMENT_SEED)
    return key.open_card(seal_card(key.public_key, _card_plaintext(), INFO), INFO)


def _card_plaintext() -> bytearray:
    return parse_swipe(bytearray(TRACKS)).card_plaintext()


FAILURES: dict[str, Callable[[], object]] = {
    "luhn": lambda: parse_swipe(bytearray(TRACKS.replace(b"7899", b"7890"))),
    "disagree": lambda: parse_swipe(bytearray(TRACKS.replace(b"7899=", b"7890="))),
    "no end": lambda: parse_swipe(bytearray(TRACKS[:-1])),
    "tail": lambda: parse_swipe(bytearray(TRACKS + b"x")),
    "plaintext format": lambda: CardData.parse(_plaintext(0)),
    "plaintext length": lambda: CardData.parse(_plaintext(1)),
    "wiped": lambda: _wiped().pan(),
    "long pin": lambda: pad_pin(PIN.encode() * 3),
    "bad pin": lambda: pad_pin(PIN.encode() + b"x"),
    "pin padding": lambda: unpad_pin(bytearray(b"\x0d" + PIN.encode().ljust(15, b"1"))),
    "plaintext size": lambda: seal_pin(PaymentKey.from_seed(PAYMENT_SEED).public_key, PIN.encode(), INFO),
    "no key": lambda: seal_card(SEED * 38, _card_plaintext(), INFO),
    "not an envelope": lambda: PaymentKey.from_seed(PAYMENT_SEED).open_card(TRACKS, INFO),
    "fault": _faulted,
    "message of secrets": lambda: CardEnvelope.decode(TRACKS),
    "offer of secrets": lambda: KeyOffer.decode(PAYMENT_SEED),
    "signed secrets": lambda: verify(SigningKey.from_seed(SEED).public_key, b"\xd2" + TRACKS),
    "built of secrets": lambda: PinEnvelope(PIN, SEED, TRACKS),  # type: ignore[arg-type]
    "enrolment code": lambda: EnrolmentCode.parse(_code().text()[:-2]),
}


def _wiped() -> CardData:
    card = _card()
    card.wipe()
    return card


def _code() -> EnrolmentCode:
    key = SigningKey.from_seed(SEED).public_key
    return EnrolmentCode(EnrolmentKind.READER, "https://a", IssuerId("a"), PublicKey(key), SEED[:16])


def _texts(error: BaseException) -> Iterator[str]:
    yield str(error)
    yield repr(error)
    yield repr(error.args)
    # What a log would hold, without the lines of source, which here quote the canaries themselves.
    yield from traceback.format_exception_only(error)
    chained = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if chained is not None:
        yield from _texts(chained)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_tells_no_secret(monkeypatch: pytest.MonkeyPatch, failure: Callable[[], object]) -> None:
    if failure is _faulted:
        monkeypatch.setattr(sealing, "_SUITE", _FaultySuite())
    with pytest.raises((BlindRelayError, ValueError)) as refusal:
        failure()
    for text in _texts(refusal.value):
        for secret in SECRETS:
            assert secret not in text
            assert secret.encode().hex() not in text


class _FaultySuite(_Fault):
    """Seals truly, opens wrongly."""

    _true = sealing._SUITE

    def encrypt(self, *arguments: Any) -> bytes:
        return self._true.encrypt(*arguments)


@pytest.mark.parametrize(
    "holder",
    [
        parse_swipe(bytearray(TRACKS)),
        _card(),
        PaymentKey.from_seed(PAYMENT_SEED),
        SigningKey.from_seed(SEED),
        _code(),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_what_holds_a_secret_does_not_show_it(holder: object) -> None:
    for text in (repr(holder), str(holder), f"{holder}", repr([holder])):
        for secret in SECRETS:
            assert secret not in text
            assert secret.encode().hex() not in text
