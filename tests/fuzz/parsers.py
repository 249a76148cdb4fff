"""Everything that takes a stranger's bytes, as functions of bytes: each returns, whatever it is given.

A parser may refuse with the errors that it documents; these are caught here. Anything else that comes out,
and every AssertionError of a check made here, is a crash. The checks say what must hold of what is accepted:
it has one encoding, it fits its bounds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from handset_client.issuer_frames import parse_issuer_frame
from handset_client.page_commands import CommandError, parse_command
from issuer_server.enrolment_api import _octets
from issuer_server.handset_channel import _object
from issuer_server.handset_frames import FrameError, read_phone_message
from issuer_server.handset_session import HandsetSession, SessionBroken
from issuer_server.payment_fields import json_object, only_fields, payload_digest, payment_request, text_field
from issuer_server.problems import Problem
from issuer_server.refund_api import refund_amount
from merchant_terminal.errors import NotAnIssuerError
from merchant_terminal.payment import Payment, Refund
from protocol import gatt, messages
from protocol.enrolment import EnrolmentCode
from protocol.errors import FramingError, InputError, MessageError, SealError, SignatureError
from protocol.frames import parse
from protocol.framing import Channel, Link, Role
from protocol.identifiers import PublicKey, parse_phone_number, parse_reader_id
from protocol.messages import Message, MessageType
from protocol.money import Money, currency, format_money, parse_amount
from protocol.raw_stripe import RawTrack, decode_bits
from protocol.sealing import unpad_pin
from protocol.signing import open_enrolment, verify
from protocol.text import check_shown_text, shown
from protocol.track_data import CARD_PLAINTEXT_SIZE, CardData, TrackError, parse_swipe
from protocol.wire_message import Message as WireMessage
from reader_peripheral import screens
from reader_peripheral.adapters.key_map import UsKeyboard
from reader_peripheral.adapters.magtek_hid import typed_by
from reader_peripheral.transitions import State
from tests.explorer.reader_in_hand import ReaderInHand
from tests.machines.reader_bench import ISSUER, READER, bench_in

Parser = Callable[[bytes], None]

MESSAGES: Final[tuple[type[Message], ...]] = tuple(
    kind for kind in WireMessage.__subclasses__() if kind.__module__ == messages.__name__
)


def pieces(data: bytes) -> Iterator[bytes]:
    """Several values in one input: two bytes of length before each, the last one cut as it comes."""
    while len(data) > 2:
        size = int.from_bytes(data[:2], "big")
        yield data[2 : 2 + size]
        data = data[2 + size :]


def joined(values: list[bytes]) -> bytes:
    """The input that `pieces` takes apart."""
    return b"".join(len(value).to_bytes(2, "big") + value for value in values)


def frames(data: bytes) -> None:
    """One GATT value of the channel."""
    try:
        frame = parse(data)
    except FramingError:
        return
    assert parse(frame.encode()) == frame


def channel(data: bytes) -> None:
    """What a hostile phone, or a false reader, writes value by value; a piece of one byte lets time pass."""
    for role in Role:
        end = Channel(role, session=7 if role is Role.CENTRAL else 0)
        now = 0.0
        end.connected(now, 244)
        for value in pieces(data):
            if len(value) == 1:
                now += value[0] / 16
                end.handle_timer(now)
            elif not value:
                end.disconnected(now)
                end.connected(now, 23)
            else:
                end.receive(value, now)
            if end.link is Link.OPEN and now < 3 and end.idle:
                end.send(MessageType.OUTCOME if role is Role.CENTRAL else MessageType.REFUSAL, b"x" * 30, now)
            assert all(len(out) <= end.largest_value for out in end.values_to_send())
            assert end._inbox.held()[1] <= 4096
            if end.link is Link.FAILED:
                end.disconnected(now)
                end.connected(now, 244)


def cbor(data: bytes) -> None:
    """A message's payload, taken for each kind of message."""
    for kind in MESSAGES:
        try:
            message = kind.decode(data)
        except MessageError:
            continue
        assert message.encode() == data


def cose(data: bytes) -> None:
    """A COSE_Sign1. Whatever verifies was signed by the key: only what is in the corpus can."""
    for key in (ISSUER.public_key, READER.public_key, PublicKey(data[:32].ljust(32, b"\0"))):
        try:
            payload = verify(key, data)
        except SignatureError:
            continue
        assert ISSUER.sign(payload) == data or READER.sign(payload) == data
    try:
        open_enrolment(data)
    except (SignatureError, MessageError):
        pass


KINDS: Final = frozenset(int(kind) for kind in MessageType)


def reader(data: bytes) -> None:
    """Messages that a phone brings the reader's machine: the first byte of each is its kind."""
    for ready in _readers_that_wait():
        session = ready.copied().session
        for value in pieces(data):
            if value[:1] and value[0] in KINDS:
                session.message(MessageType(value[0]), value[1:], 1000.0)
        assert len(session.owed) <= 9


@cache
def _readers_that_wait() -> tuple[ReaderInHand, ...]:
    """Made once: bringing one there takes a hundred times as long as what it is then given."""
    states = (State.GREETED, State.AWAITING_PIN_REQUEST, State.AWAITING_OUTCOME)
    return tuple(ReaderInHand(bench_in(state).session, screens.Idle()) for state in states)


def tracks(data: bytes) -> None:
    """What a swiper typed, and what an enrolled reader sealed."""
    buffer = bytearray(data)
    try:
        swipe = parse_swipe(buffer)
    except TrackError:
        pass
    else:
        plaintext = bytearray(swipe.card_plaintext())
        assert len(plaintext) == CARD_PLAINTEXT_SIZE
        card = CardData.parse(plaintext)
        assert 8 <= len(card.pan()) <= 19
        assert bytes(card.pan()).isdigit()
        swipe.wipe()
    assert len(buffer) == len(data)
    try:
        card = CardData.parse(bytearray(data[:CARD_PLAINTEXT_SIZE].ljust(CARD_PLAINTEXT_SIZE, b"\0")))
        assert bytes(card.pan()).isdigit()
        assert card.expiry.isdigit()
        assert f"{card!r}".count(bytes(card.pan()).decode()) == 0
    except TrackError:
        pass
    try:
        assert 4 <= len(unpad_pin(bytearray(data[:16]))) <= 12
    except SealError:
        pass


def raw_bits(data: bytes) -> None:
    """Which track a head reads, and the bits under it: a third more than the longest has."""
    track = tuple(RawTrack)[data[0] % 3] if data else RawTrack.TWO
    bits = [byte >> place & 1 for byte in data[1:90] for place in range(8)]
    into = bytearray(track.value.longest)
    try:
        count = decode_bits(bits, track, into)
    except TrackError:
        assert not any(into)
    else:
        assert 2 <= count <= track.value.longest


def hid(data: bytes) -> None:
    """A MagTek's report, and a keyboard's key events: two bytes of code, one of value."""
    for report in (data, data[:337].ljust(337, b"\0")):
        try:
            typed = bytearray(typed_by(memoryview(report)))
        except TrackError:
            continue
        assert len(typed) <= 330
        try:
            parse_swipe(typed)
        except TrackError:
            pass
    keys = UsKeyboard()
    for at in range(0, len(data) - 2, 3):
        character = keys.feed(int.from_bytes(data[at : at + 2], "little"), data[at + 2] % 3)
        assert character is None or 0 <= character < 256


def gatt_values(data: bytes) -> None:
    """Reader Info and Status, as a phone reads them off any peripheral."""
    try:
        info = gatt.ReaderInfo.decode(data)
        assert info.encode() == data
    except MessageError:
        pass
    try:
        assert gatt.Status.decode(data).encode() == data
    except MessageError:
        pass


def codes(data: bytes) -> None:
    """Enrolment codes, and what else people paste and type."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        assert EnrolmentCode.parse(text).text() == "".join(text.split())
    except InputError:
        pass
    for read in (parse_phone_number, parse_reader_id, currency):
        try:
            read(text)
        except InputError:
            pass
    try:
        money = parse_amount(text, currency("KWD"))
        assert parse_amount(format_money(money).split()[1].replace(",", ""), currency("KWD")) == money
    except InputError:
        pass
    assert len(shown(text)) <= 80
    try:
        assert shown(check_shown_text(text, 80, "order")) == text
    except InputError:
        pass


def socket_frames(data: bytes) -> None:
    """A text frame of the handset channel, at either end, and one of the phone's own page."""
    text = data.decode("utf-8", "replace")
    session = HandsetSession("s")
    session.push(b'{"type":"x"}')
    try:
        frame = _object(text)
        for field in ("received", "seq"):
            try:
                session.can_resume(frame.get(field))
                session.took(frame.get(field))
                session.acknowledge(frame.get(field))
            except SessionBroken:
                pass
        read_phone_message(frame)
    except (SessionBroken, FrameError):
        pass
    try:
        value: Any = json.loads(text)
        if isinstance(value, dict):
            parse_issuer_frame(value)
    except (ValueError, RecursionError, MessageError):
        pass
    try:
        parse_command(text)
    except CommandError:
        pass


class _Request:
    """As much of an aiohttp request as `json_object` reads."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


def _fields(body: bytes) -> dict[str, Any] | None:
    try:
        json_object(_Request(body)).send(None)  # type: ignore[arg-type]
    except StopIteration as done:
        fields: dict[str, Any] = done.value
        return fields
    except Problem:
        return None
    raise AssertionError("it waits")


def http_bodies(data: bytes) -> None:
    """Bodies that merchants and devices send, and the issuer's answers as a terminal reads them."""
    fields = _fields(data)
    if fields is not None:
        try:
            request = payment_request(fields)
            assert request.money.minor > 0
            payload_digest(request)
        except InputError:
            pass
        try:
            refund_amount(fields)
        except InputError:
            pass
        for name in ("secret", "proof"):
            try:
                only_fields(fields, (name,))
                _octets(text_field(fields, name), name, 16 if name == "secret" else None)
            except InputError:
                pass
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return
    for kind in (Payment, Refund):
        try:
            parsed = kind.parse(answer)
            assert isinstance(parsed.amount, Money)
        except NotAnIssuerError:
            pass


PARSERS: Final[dict[str, Parser]] = {
    "frames": frames,
    "channel": channel,
    "cbor": cbor,
    "cose": cose,
    "reader": reader,
    "tracks": tracks,
    "raw-bits": raw_bits,
    "hid": hid,
    "gatt-values": gatt_values,
    "codes": codes,
    "socket-frames": socket_frames,
    "http-bodies": http_bodies,
}
