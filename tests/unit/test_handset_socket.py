"""The handset's socket against a real aiohttp server: cuts, duplicates, gaps, other sessions, refusals."""

from __future__ import annotations

import asyncio
import errno
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.test_utils import TestServer

from handset_client.adapters import issuer_socket
from handset_client.adapters.issuer_socket import CHANNEL_PATH, LARGEST_FRAME, IssuerSocket, SocketSettings
from handset_client.effects import Notice, NoticeKind, TurnedAway, WhyAway
from handset_client.issuer_frames import OutcomeWanted, PaymentOver, ReaderUnavailable
from handset_client.ports import CredentialRefusedError, IssuerEvent, IssuerUp
from handset_client.wording import notice_text
from tests.unit.handset_socket_issuer import QUICK, TOKEN, Issuer, payment


@pytest.fixture
async def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def url(issuer: Issuer) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get(CHANNEL_PATH, issuer.handle)
    server = TestServer(application)
    await server.start_server()
    yield str(server.make_url(""))
    await server.close()


@pytest.fixture
async def phone(url: str) -> AsyncIterator[IssuerSocket]:
    socket = IssuerSocket(url, TOKEN, QUICK, jitter=lambda: 0.0)
    yield socket
    await socket.close()


async def until(socket: IssuerSocket, wanted: type | NoticeKind) -> list[IssuerEvent]:
    events: list[IssuerEvent] = []
    async with asyncio.timeout(5):
        while True:
            events.append(await socket.next_event())
            last = events[-1]
            if isinstance(wanted, NoticeKind):
                if isinstance(last, Notice) and last.kind is wanted:
                    return events
            elif isinstance(last, wanted):
                return events


def over(number: int) -> dict[str, Any]:
    return {"type": "payment_over", "payment_id": payment(number), "reason": "declined"}


async def test_it_says_who_it_is_and_is_welcomed(issuer: Issuer, phone: IssuerSocket) -> None:
    phone.start()
    events = await until(phone, IssuerUp)
    assert events == [
        Notice(NoticeKind.ISSUER_CONNECTED, "+81901234567"),
        IssuerUp(fresh=True, phone="+81901234567"),
    ]
    assert issuer.headers == [f"Bearer {TOKEN}"]
    assert issuer.hellos == [{"type": "hello", "version": 1, "session": "", "received": 0}]


async def test_frames_go_both_ways(issuer: Issuer, phone: IssuerSocket) -> None:
    phone.start()
    await until(phone, IssuerUp)
    phone.send(ReaderUnavailable(payment(1)))
    await issuer.until(lambda: issuer.received == 1)
    await issuer.push(over(2))
    assert (await until(phone, PaymentOver))[-1] == PaymentOver(payment(2), "declined")
    await issuer.until(lambda: issuer.acknowledged == 1)


@pytest.mark.parametrize("nth", range(1, 9))
async def test_a_cut_after_any_frame_loses_and_doubles_nothing(
    issuer: Issuer, phone: IssuerSocket, nth: int
) -> None:
    taken = 0

    async def cut_once() -> None:
        nonlocal taken
        taken += 1
        if taken == nth:
            await issuer.cut()

    issuer.after_each = cut_once
    phone.start()
    await until(phone, IssuerUp)
    heard: list[IssuerEvent] = []
    for number in range(1, 5):
        phone.send(OutcomeWanted(payment(number)))
        await issuer.push(over(number))
    while len(heard) < 4:
        heard.append((await until(phone, PaymentOver))[-1])
    await issuer.until(lambda: issuer.received == issuer.acknowledged == 4)
    await issuer.until(lambda: taken >= nth and len(issuer.hellos) == 2)
    assert heard == [PaymentOver(payment(number), "declined") for number in range(1, 5)]
    assert [frame["payment_id"] for frame in issuer.phone_frames] == [payment(n) for n in range(1, 5)]
    assert [frame["seq"] for frame in issuer.phone_frames] == [1, 2, 3, 4]


async def test_frames_queued_while_away_are_sent_on_return(issuer: Issuer, phone: IssuerSocket) -> None:
    phone.start()
    await until(phone, IssuerUp)
    await issuer.cut()
    await until(phone, NoticeKind.ISSUER_AWAY)
    phone.send(ReaderUnavailable(payment(1)))
    up = (await until(phone, IssuerUp))[-1]
    assert up == IssuerUp(fresh=False, phone="+81901234567")
    await issuer.until(lambda: issuer.received == 1)


async def test_a_repeated_frame_is_heard_once(issuer: Issuer, phone: IssuerSocket) -> None:
    phone.start()
    await until(phone, IssuerUp)
    await issuer.push(over(1))
    await issuer.sockets[0].send_str(json.dumps(issuer.to_phone[0]))
    await issuer.push(over(2))
    events = [*await until(phone, PaymentOver), *await until(phone, PaymentOver)]
    assert events == [PaymentOver(payment(1), "declined"), PaymentOver(payment(2), "declined")]


async def test_a_gap_is_closed_by_resuming(issuer: Issuer, phone: IssuerSocket) -> None:
    phone.start()
    await until(phone, IssuerUp)
    issuer.to_phone.append({**over(1), "seq": 1})  # never sent on this socket
    await issuer.push(over(2))
    events = [*await until(phone, PaymentOver), *await until(phone, PaymentOver)]
    heard = [event for event in events if isinstance(event, PaymentOver)]
    assert heard == [PaymentOver(payment(1), "declined"), PaymentOver(payment(2), "declined")]
    assert len(issuer.hellos) == 2


async def test_another_session_is_told(issuer: Issuer, phone: IssuerSocket) -> None:
    phone.start()
    await until(phone, IssuerUp)
    await issuer.push(over(1))
    await until(phone, PaymentOver)
    issuer.forget()
    await issuer.cut()
    assert (await until(phone, IssuerUp))[-1] == IssuerUp(fresh=True, phone="+81901234567")
    phone.send(ReaderUnavailable(payment(2)))
    await issuer.until(lambda: issuer.received == 1)
    assert issuer.phone_frames[0]["seq"] == 1


@pytest.mark.parametrize(("status", "why"), [(401, TurnedAway.CREDENTIAL_UNKNOWN), (403, TurnedAway.BLOCKED)])
async def test_a_refused_credential_ends_it(
    issuer: Issuer, phone: IssuerSocket, status: int, why: TurnedAway
) -> None:
    issuer.refuse_with = status
    phone.start()
    with pytest.raises(CredentialRefusedError) as refused:
        await until(phone, IssuerUp)
    assert refused.value.why is why
    assert TOKEN not in str(refused.value)


async def test_another_program_with_the_same_credential_ends_this_one(
    issuer: Issuer, phone: IssuerSocket
) -> None:
    phone.start()
    await until(phone, IssuerUp)
    await issuer.sockets[0].close(code=4001)
    with pytest.raises(CredentialRefusedError) as refused:
        await until(phone, IssuerUp)
    assert refused.value.why is TurnedAway.REPLACED
    phone.send(ReaderUnavailable(payment(1)))
    async with asyncio.timeout(QUICK.farewell):
        await phone.close()  # nobody will take it any more


NOWHERE = ConnectionKey("no-such-issuer.invalid", 443, True, True, None, None, None)


def away(why: WhyAway) -> Notice:
    return Notice(NoticeKind.ISSUER_AWAY, why)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TimeoutError(), WhyAway.NO_ANSWER),
        (OSError(errno.ENETUNREACH, "unreachable"), WhyAway.NO_NETWORK),
        (ConnectionResetError(errno.ECONNRESET, "reset"), WhyAway.HUNG_UP),
        (aiohttp.ServerDisconnectedError(), WhyAway.HUNG_UP),
        (
            aiohttp.ClientConnectorDNSError(NOWHERE, OSError(-2, "Name or service not known")),
            WhyAway.NO_SUCH_NAME,
        ),
        (OSError(errno.EACCES, "a firewall"), WhyAway.FAILED),
        (aiohttp.ClientError("anything"), WhyAway.FAILED),
    ],
    ids=lambda each: type(each).__name__,
)
def test_why_there_is_no_connection(error: Exception, why: WhyAway) -> None:
    assert issuer_socket._why_away(error) is why


async def test_an_issuer_in_trouble_is_tried_again(issuer: Issuer, phone: IssuerSocket) -> None:
    issuer.refuse_with = 503
    phone.start()
    assert (await until(phone, NoticeKind.ISSUER_AWAY))[-1] == away(WhyAway.IN_TROUBLE)
    issuer.refuse_with = None
    events = await until(phone, IssuerUp)
    assert [event for event in events if isinstance(event, Notice)] == [
        Notice(NoticeKind.ISSUER_CONNECTED, "+81901234567")
    ]


async def test_nobody_listening_is_said_once_and_tried_again(unused_tcp_port: int) -> None:
    socket = IssuerSocket(f"http://127.0.0.1:{unused_tcp_port}", TOKEN, QUICK, jitter=lambda: 0.0)
    socket.start()
    assert (await until(socket, NoticeKind.ISSUER_AWAY))[-1] == away(WhyAway.REFUSED)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await socket.next_event()
    await socket.close()


async def test_how_long_the_next_try_is_off_is_said_once_the_pauses_are_long(
    unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_socket, "WORTH_SAYING", 0.0)
    socket = IssuerSocket(f"http://127.0.0.1:{unused_tcp_port}", TOKEN, QUICK, jitter=lambda: 0.0)
    socket.start()
    events = await until(socket, NoticeKind.ISSUER_RETRY)
    assert [event.kind for event in events if isinstance(event, Notice)] == [
        NoticeKind.ISSUER_AWAY,
        NoticeKind.ISSUER_RETRY,
    ]
    assert notice_text(Notice(NoticeKind.ISSUER_RETRY, "8")).endswith("Next try in 8 s.")
    await socket.close()


async def test_an_issuer_that_never_says_welcome_is_left(issuer: Issuer, phone: IssuerSocket) -> None:
    issuer.say_welcome = False
    phone.start()
    assert (await until(phone, NoticeKind.ISSUER_AWAY))[-1] == away(WhyAway.NO_ANSWER)
    issuer.say_welcome = True
    await until(phone, IssuerUp)


@pytest.mark.parametrize(
    "garbage",
    [
        "no json",
        "[]",
        "[" * 20_000,
        "x" * (LARGEST_FRAME + 1),
        '{"type": "welcome", "session": "s", "received": 0, "phone": "+81"}',
        '{"type": "x"}',
        '{"type": "ack", "received": 99}',
    ],
    ids=["text", "list", "deep", "long", "welcome", "unnumbered", "ack"],
)
async def test_garbage_is_left_and_the_session_resumed(
    issuer: Issuer, phone: IssuerSocket, garbage: str
) -> None:
    phone.start()
    await until(phone, IssuerUp)
    await issuer.sockets[0].send_str(garbage)
    assert (await until(phone, IssuerUp))[-1] == IssuerUp(fresh=False, phone="+81901234567")


async def test_binary_is_left_and_the_session_resumed(issuer: Issuer, phone: IssuerSocket) -> None:
    phone.start()
    await until(phone, IssuerUp)
    await issuer.sockets[0].send_bytes(b"\x00")
    assert (await until(phone, IssuerUp))[-1] == IssuerUp(fresh=False, phone="+81901234567")


async def test_an_unusable_frame_is_told_acknowledged_and_does_not_come_again(
    issuer: Issuer, phone: IssuerSocket
) -> None:
    phone.start()
    await until(phone, IssuerUp)
    await issuer.push({"type": "to_reader", "payment_id": "nonsense"})
    await until(phone, NoticeKind.ISSUER_COMPLAINED)
    await issuer.push(over(1))
    await until(phone, PaymentOver)
    await issuer.until(lambda: issuer.acknowledged == 2)


async def test_closing_lets_the_last_word_leave(issuer: Issuer, url: str) -> None:
    socket = IssuerSocket(url, TOKEN, QUICK)
    socket.start()
    await until(socket, IssuerUp)
    socket.send(ReaderUnavailable(payment(1)))
    await socket.close()
    assert issuer.received == 1


async def test_closing_does_not_wait_for_ever(issuer: Issuer, url: str) -> None:
    issuer.acknowledge = False
    socket = IssuerSocket(url, TOKEN, QUICK)
    socket.start()
    await until(socket, IssuerUp)
    socket.send(ReaderUnavailable(payment(1)))
    async with asyncio.timeout(2):
        await socket.close()
    assert socket.unheard() == {payment(1)}


async def test_closing_waits_for_a_connection_that_is_coming_back(issuer: Issuer, url: str) -> None:
    socket = IssuerSocket(url, TOKEN, QUICK)
    socket.start()
    await until(socket, IssuerUp)
    await issuer.cut()
    await until(socket, NoticeKind.ISSUER_AWAY)
    socket.send(ReaderUnavailable(payment(1)))
    await socket.close()
    assert issuer.received == 1
    assert socket.unheard() == frozenset()


async def test_pauses_grow_and_are_drawn() -> None:
    settings = SocketSettings(first_pause=0.5, longest_pause=30)
    low = IssuerSocket("http://127.0.0.1", TOKEN, settings, jitter=lambda: 0.0)
    high = IssuerSocket("http://127.0.0.1", TOKEN, settings, jitter=lambda: 1.0)
    assert [low._pause(n) for n in (0, 1, 2, 50)] == [0.25, 0.5, 1.0, 15.0]
    assert [high._pause(n) for n in (0, 1, 2, 50)] == [0.5, 1.0, 2.0, 30.0]


async def test_the_token_is_in_no_repr(phone: IssuerSocket) -> None:
    assert TOKEN not in repr(phone)


async def test_a_port_that_speaks_plain_http_is_not_said_to_lack_a_certificate(
    issuer: Issuer, url: str
) -> None:
    socket = IssuerSocket(url.replace("http://", "https://"), TOKEN, QUICK, jitter=lambda: 0.0)
    socket.start()
    assert (await until(socket, NoticeKind.ISSUER_AWAY))[-1] == away(WhyAway.IN_TROUBLE)
    await socket.close()


async def test_a_certificate_nobody_vouches_for_is_not_spoken_to(
    issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _self_signed(context, tmp_path_factory)
    application = web.Application()
    application.router.add_get(CHANNEL_PATH, issuer.handle)
    server = TestServer(application, scheme="https")
    await server.start_server(ssl=context)
    socket = IssuerSocket(str(server.make_url("")), TOKEN, QUICK, jitter=lambda: 0.0)
    socket.start()
    assert (await until(socket, NoticeKind.ISSUER_AWAY))[-1] == away(WhyAway.CERTIFICATE)
    assert issuer.headers == []
    await socket.close()
    await server.close()


def _self_signed(context: ssl.SSLContext, tmp_path_factory: pytest.TempPathFactory) -> None:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
