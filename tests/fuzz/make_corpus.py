"""Writes tests/fuzz/corpus/ anew from real messages: `python -m tests.fuzz.make_corpus`.

The messages are those of tests/vectors, whose keys and card are test data, so that the corpus can be made
again and says the same. A file is an input; its name says what it is.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from protocol import gatt
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.frames import (
    Ack,
    Alive,
    Cancel,
    CancelReason,
    Continue,
    ErrorCode,
    Failure,
    Hello,
    Nak,
    Resume,
    Start,
)
from protocol.framing import Channel, Role
from protocol.gatt import Status
from protocol.identifiers import IssuerId, mint
from protocol.messages import MessageType, NotSettled, Outcome, PinRequest, ReaderHello, Verdict
from protocol.sealing import pad_pin
from protocol.signing import digest, sign_message
from protocol.track_data import parse_swipe
from reader_peripheral.transitions import State
from tests.fuzz.parsers import joined
from tests.fuzz.run import CORPUS
from tests.machines.reader_bench import ISSUER, NONCE, READER, bench_in, key_offer, signed_offer

Entry = tuple[str, str, bytes]
SWIPE = b"%B4000001234567899^YAMADA/HANAKO^30121010000000000000?;4000001234567899=30121010000000000000?\r\n"
PAYMENT = mint("pay", b"\x01" * 16)


def messages() -> dict[MessageType, bytes]:
    """One payment's messages as they were signed; the reader's come from its own machine."""
    asking, typed = bench_in(State.AWAITING_PIN_REQUEST), bench_in(State.AWAITING_OUTCOME)
    request = PinRequest(digest(asking.offer), asking.last_digest(), None, "3184", 3)
    outcome = Outcome(digest(typed.offer), typed.last_digest(), Verdict.APPROVED, None)
    refused = bench_in(State.REFUSED)
    return {
        MessageType.READER_HELLO: ReaderHello(key_offer().reader_id, NONCE, (1,)).encode(),
        MessageType.KEY_OFFER: signed_offer(),
        MessageType.CARD_ENVELOPE: _last(asking),
        MessageType.PIN_REQUEST: sign_message(ISSUER, request),
        MessageType.PIN_ENVELOPE: _last(typed),
        MessageType.REFUSAL: _last(refused),
        MessageType.OUTCOME: sign_message(ISSUER, outcome),
    }


def _last(bench: object) -> bytes:
    from reader_peripheral import effects as fx

    return bench.all_of(fx.Send)[-1].payload  # type: ignore[attr-defined,no-any-return]


def _payload(kind: MessageType, signed: bytes) -> bytes:
    """What is inside, or the message itself where it is unsigned."""
    if kind is MessageType.READER_HELLO:
        return signed
    from tests.explorer.crypto_once import inside

    return inside(signed)


def _values() -> Iterator[tuple[str, bytes]]:
    for frame in (
        Hello(1, False, 244, 7, 0, 0),
        Hello(1, True, 20, 7, 3, 40),
        Ack(1),
        Nak(1, 16),
        Resume(1, 16),
        Alive(Status.WAITING_FOR_PIN),
        Cancel(CancelReason.USER),
        Failure(ErrorCode.SEQUENCE),
        Start(MessageType.KEY_OFFER, 1, 0, 30, b"x" * 16, False),
        Start(MessageType.OUTCOME, 2, 1, 5, b"whole", True),
        Continue(1, b"y" * 14, True),
    ):
        name = type(frame).__name__.lower()
        yield f"{name}-{len(frame.encode())}", frame.encode()


def _conversations() -> Iterator[tuple[str, bytes]]:
    """What one end wrote in a real exchange of messages, long and short values, cut and resumed."""
    for size in (20, 244):
        phone, device = Channel(Role.CENTRAL, session=7), Channel(Role.PERIPHERAL)
        wrote: dict[Role, list[bytes]] = {Role.CENTRAL: [], Role.PERIPHERAL: []}
        for end in (phone, device):
            end.connected(0.0, size)
        for turn in range(12):
            if turn == 3:
                phone.send(MessageType.KEY_OFFER, b"k" * 300, 0.0)
            if turn == 6:
                device.send(MessageType.CARD_ENVELOPE, b"c" * 200, 0.0)
            for end, other, role in ((phone, device, Role.CENTRAL), (device, phone, Role.PERIPHERAL)):
                for value in end.values_to_send():
                    wrote[role].append(value)
                    other.receive(value, 0.0)
        for role, values in wrote.items():
            yield f"{role.name.lower()}-{size}", joined(values)
            yield (
                f"{role.name.lower()}-{size}-late",
                joined([*values[:3], b"\xff", b"", *values[:1], *values[2:]]),
            )


def _json() -> Iterator[tuple[str, object]]:
    """Frames of the channel and bodies of the merchant API."""
    data = base64.urlsafe_b64encode(messages()[MessageType.REFUSAL]).decode().rstrip("=")
    about = {"payment_id": PAYMENT, "seq": 1}
    yield "approve", {"type": "approve", "reader_hello": data, **about}
    yield "decline", {"type": "decline", "reason": "declined", "block_merchant": True, **about}
    yield "from-reader", {"type": "from_reader", "kind": "refusal", "data": data, **about}
    yield "outcome-wanted", {"type": "outcome_wanted", **about}
    yield "ack", {"type": "ack", "received": 1}
    money = {"minor": 1200, "currency": "JPY", "exponent": 0}
    asked = {"merchant_name": "Cafe", "amount": money, "order": "2 coffees", "approve_within_seconds": 60}
    yield "payment-request", {"type": "payment_request", **asked, **about}
    yield "to-reader", {"type": "to_reader", "kind": "outcome", "data": data, "seconds_left": 0, **about}
    yield "result", {"type": "result", "outcome": "completed", "reason": None, "last_four": "1234", **about}
    yield "over", {"type": "payment_over", "reason": NotSettled.DECLINED, **about}
    yield "error", {"type": "error", "code": "x", "detail": "y"}
    yield "press", {"type": "press", "payment_id": PAYMENT, "approved": False, "block": True}
    yield "reader", {"type": "set_reader", "value": "0a1b-2c3d-4e5f-6071"}


def _bodies() -> Iterator[tuple[str, object]]:
    yield "payment", {"phone": "+81 90-1234-5678", "amount": 1200, "currency": "JPY", "order": "2 coffees"}
    yield "refund", {"amount": 100}
    yield "secret", {"secret": base64.urlsafe_b64encode(bytes(16)).decode()}
    yield "proof", {"proof": base64.urlsafe_b64encode(b"\xd2\x84").decode()}
    times = {"created_at": "2026-11-22T12:00:00Z", "updated_at": "2026-11-22T12:00:01Z"}
    money = {"amount": 1200, "currency": "JPY", "refunded": 0}
    yield (
        "answer",
        {
            "id": PAYMENT,
            "status": "completed",
            "reason": None,
            "order": "2",
            "phone": "+81901234567",
            "card_last_four": "1234",
            **money,
            **times,
        },
    )
    yield "refunded", {"id": "ref_1", "payment_id": PAYMENT, **money, **times}


def _bits(text: bytes, first: int, size: int) -> bytes:
    """A track as the head reads it: odd parity, LRC, eight bits a byte, the first one lowest."""
    bits, check = [0] * 20, 0
    codes = [character - first for character in text]
    for code in codes:
        check ^= code
    for code in [*codes, check]:
        character = [code >> place & 1 for place in range(size - 1)]
        bits += [*character, (sum(character) + 1) % 2]
    bits += [0] * (-len(bits) % 8)
    return bytes(
        sum(bit << place for place, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8)
    )


def entries() -> Iterator[Entry]:
    """Parser, name, input."""
    said = messages()
    for kind, signed in said.items():
        name = kind.name.lower().replace("_", "-")
        yield "cbor", name, _payload(kind, signed)
        if kind is not MessageType.READER_HELLO:
            yield "cose", name, signed
            yield "reader", name, joined([bytes([kind]) + signed])
    yield "reader", "all", joined([bytes([kind]) + signed for kind, signed in said.items()])
    for name, value in _values():
        yield "frames", name, value
    for name, value in _conversations():
        yield "channel", name, value
    yield "tracks", "both", SWIPE
    yield "tracks", "second", SWIPE[54:]
    yield "tracks", "first-failed", b"%E?" + SWIPE[54:]
    yield "tracks", "sealed", bytes(parse_swipe(bytearray(SWIPE)).card_plaintext())
    yield "tracks", "pin", bytes(pad_pin(bytearray(b"123456")))
    yield "raw-bits", "first", b"\x00" + _bits(SWIPE[:54], 0x20, 7)
    yield "raw-bits", "second", b"\x01" + _bits(SWIPE[54:-2], 0x30, 5)
    first, second = SWIPE[:54], SWIPE[54:-2]
    report = (
        bytes([0, 0, 0, len(first), len(second), 0, 0]) + first.ljust(110, b"\0") + second.ljust(220, b"\0")
    )
    yield "hid", "magtek", report
    yield (
        "hid",
        "keys",
        b"".join(
            code.to_bytes(2, "little") + bytes([way]) for code in (42, 6, 2, 3, 28, 56, 79) for way in (1, 0)
        ),
    )
    info = gatt.ReaderInfo((1,), key_offer().reader_id, 1, (1, 0))
    yield "gatt-values", "reader-info", info.encode()
    yield "gatt-values", "status", Status.WAITING_FOR_PIN.encode()
    code = EnrolmentCode(
        EnrolmentKind.READER, "https://issuer.example:8443", IssuerId("bank"), READER.public_key, bytes(16)
    )
    yield "codes", "reader", code.text().encode()
    for name, text in (
        ("phone", "+81 90-1234-5678"),
        ("amount", "12.500"),
        ("reader-id", "0a1b-2c3d-4e5f-6071"),
        ("order", "2 席 “A”"),
    ):
        yield "codes", name, text.encode()
    for name, value in _json():
        yield "socket-frames", name, json.dumps(value).encode()
    for name, value in _bodies():
        yield "http-bodies", name, json.dumps(value).encode()


def main() -> None:
    shutil.rmtree(CORPUS, ignore_errors=True)
    count = 0
    for parser, name, data in entries():
        (CORPUS / parser).mkdir(parents=True, exist_ok=True)
        (CORPUS / parser / name).write_bytes(data)
        count += 1
    print(f"{count} inputs in {CORPUS.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
