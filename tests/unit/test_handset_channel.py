"""The phones' WebSocket: numbering, resuming, replacing, refusing, and what a hostile phone does to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from issuer_server.handset_channel import SESSION_MEMORY
from issuer_server.handset_session import MOST_UNACKNOWLEDGED
from issuer_server.storage.port import StorageError
from issuer_server.storage.records import PaymentRecord
from protocol.identifiers import PaymentId
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import PHONE, b64, unb64
from tests.unit.issuer_house import TOKEN, House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


async def test_hello_and_welcome(home: House) -> None:
    phone = home.phone()
    welcome = await phone.connect()
    assert welcome == {"type": "welcome", "session": phone.session, "received": 0, "phone": PHONE}
    assert phone.session
    assert home.issuer.channel.connected == 1
    await phone.__aexit__()


@pytest.mark.parametrize("token", ["", "wrong", "x" * 5000])
async def test_a_phone_without_its_token_is_refused(home: House, token: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await home.phone(token).open()
    assert refusal.value.status == 401


async def test_a_blocked_handset_is_refused_and_a_connected_one_is_not_called(home: House) -> None:
    phone = home.phone()
    await phone.connect()
    await home.issuer.storage.set_handset_blocked(home.handset.id, True)
    await home.charge()
    assert await phone.closed() == 4403
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await home.phone().open()
    assert refusal.value.status == 403


@pytest.mark.parametrize("at", ["approve", "card_envelope", "decline"])
async def test_a_handset_blocked_in_a_payment_is_heard_no_more(home: House, at: str) -> None:
    phone = home.phone()
    await phone.connect()
    payment_id = await home.charge()
    await phone.heard("payment_request")
    if at == "card_envelope":
        await phone.say("approve", payment_id, reader_hello=b64(home.reader.hello()))
        home.reader.take_offer(unb64((await phone.heard("key_offer"))["data"]))
    _, before, _ = await home.call("GET", f"/v1/payments/{payment_id}")
    await home.issuer.storage.set_handset_blocked(home.handset.id, True)
    if at == "approve":
        await phone.say("approve", payment_id, reader_hello=b64(home.reader.hello()))
    elif at == "decline":
        await phone.say("decline", payment_id, reason="declined")
    else:
        await phone.say("from_reader", payment_id, kind="card_envelope", data=b64(home.reader.swipe()))
    assert await phone.closed() == 4403
    _, after, _ = await home.call("GET", f"/v1/payments/{payment_id}")
    assert after["status"] == before["status"]


async def test_a_plain_request_is_told_what_this_address_is(home: House) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    status, problem, _ = await home.call("GET", "/v1/handset/channel", headers=headers)
    assert (status, problem["code"]) == (426, "websocket_required")


@pytest.mark.parametrize(
    "first",
    [
        "not json",
        "[]",
        "7",
        '{"type":"hello"}',
        '{"type":"hello","version":2,"session":"","received":0}',
        '{"type":"ack","received":0}',
        "[" * 10_000,
    ],
)
async def test_a_first_frame_that_is_no_hello(home: House, first: str) -> None:
    phone = home.phone()
    await phone.open()
    await phone.raw(first)
    assert await phone.closed() == 4400


async def test_a_binary_frame_and_an_oversized_one_close_the_socket(home: House) -> None:
    phone = home.phone()
    await phone.connect()
    assert phone.socket is not None
    await phone.socket.send_bytes(b"{}")
    assert await phone.closed() == 4400
    await phone.connect()
    await phone.raw(json.dumps({"type": "ack", "pad": "x" * 20_000}))
    assert await phone.closed() == 1009


async def test_a_payment_over_the_socket(home: House) -> None:
    async with home.phone() as phone:
        result = await phone.pay(home.reader, await home.charge())
        assert (result["outcome"], result["last_four"]) == ("completed", "7899")


async def test_a_phone_cut_at_every_step_resumes_and_pays(home: House) -> None:
    phone, reader = home.phone(), home.reader
    await phone.connect()
    payment_id = await home.charge()

    async def again() -> None:
        await phone.drop()
        session = phone.session
        welcome = await phone.connect()
        assert (welcome["session"], welcome["received"]) == (session, phone.sent)

    await phone.heard("payment_request")
    await again()
    await phone.say("approve", payment_id, reader_hello=b64(reader.hello()))
    await phone.heard("ack")
    await again()
    reader.take_offer(unb64((await phone.heard("key_offer"))["data"]))
    await again()
    await phone.say("from_reader", payment_id, kind="card_envelope", data=b64(reader.swipe()))
    await phone.heard("ack")
    await again()
    request = unb64((await phone.heard("pin_request"))["data"])
    await again()
    await phone.say("from_reader", payment_id, kind="pin_envelope", data=b64(reader.type_pin(request)))
    await phone.heard("ack")
    await again()
    assert (await phone.heard("result"))["outcome"] == "completed"
    await phone.__aexit__()


async def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(home: House) -> None:
    phone = home.phone()
    await phone.connect()
    first, second = await home.charge(), await home.charge()
    await phone.heard("payment_request", first)
    await phone.heard("payment_request", second, ack=False)
    await eventually(lambda: home.session().acknowledged == 1)
    await phone.drop()
    phone.received = 1  # the second was read from the socket and lost with the app
    await phone.connect()
    assert (await phone.heard("payment_request"))["payment_id"] == second
    await phone.__aexit__()


async def test_a_frame_sent_twice_is_taken_once(home: House) -> None:
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.heard("payment_request")
        frame = {"type": "approve", "seq": 1, "payment_id": payment_id}
        frame["reader_hello"] = b64(home.reader.hello())
        for _ in range(3):
            await phone.raw(json.dumps(frame))
        phone.sent = 1
        await phone.heard("key_offer")
        for _ in range(3):
            assert (await phone.heard("ack"))["received"] == 1
        assert [each["type"] for each in phone.frames] == ["payment_request", "to_reader"]


async def test_a_gap_in_the_numbers_closes_the_socket_and_the_session_goes_on(home: House) -> None:
    phone = home.phone()
    await phone.connect()
    phone.sent = 4
    await phone.say("outcome_wanted", "pay_" + "a" * 26)
    assert await phone.closed() == 4400
    phone.sent = 0
    session = phone.session
    assert (await phone.connect())["session"] == session
    await phone.say("outcome_wanted", "pay_" + "a" * 26)
    assert (await phone.heard("payment_over"))["reason"] == "unknown_payment"
    await phone.__aexit__()


@pytest.mark.parametrize("received", [5, -1, "1", None, True])
async def test_acknowledging_what_was_never_sent(home: House, received: object) -> None:
    phone = home.phone()
    await phone.connect()
    await phone.raw(json.dumps({"type": "ack", "received": received}))
    assert await phone.closed() == 4400


@pytest.mark.parametrize("seq", [None, 0, -1, "1", 1.0, True])
async def test_numbers_that_are_none(home: House, seq: object) -> None:
    phone = home.phone()
    await phone.connect()
    await phone.raw(json.dumps({"type": "decline", "seq": seq, "payment_id": "pay_" + "a" * 26}))
    assert await phone.closed() == 4400


async def test_an_unknown_session_begins_a_new_one(home: House) -> None:
    phone = home.phone()
    phone.session, phone.received = "from another life", 7
    welcome = await phone.connect()
    assert (welcome["received"], phone.received) == (0, 0)
    assert phone.session != "from another life"
    await phone.__aexit__()


async def test_a_second_socket_replaces_the_first(home: House) -> None:
    first = home.phone()
    await first.connect()
    second = home.phone()
    second.session = first.session
    await second.connect()
    assert await first.closed() == 4001
    third = home.phone()
    await third.connect()
    assert await second.closed() == 4001
    payment_id = await home.charge()
    await third.heard("payment_request", payment_id)
    assert home.issuer.channel.connected == 1
    await third.__aexit__()


async def test_an_app_restarted_in_the_middle_ends_its_payment(home: House) -> None:
    phone = home.phone()
    await phone.connect()
    payment_id = await home.charge()
    await phone.heard("payment_request")
    await phone.say("approve", payment_id, reader_hello=b64(home.reader.hello()))
    home.reader.take_offer(unb64((await phone.heard("key_offer"))["data"]))
    await phone.drop()
    fresh = home.phone()
    await fresh.connect()
    _, payment, _ = await home.call("GET", f"/v1/payments/{payment_id}?wait=10")
    assert payment["reason"] == "handset_fault"
    outcome = await fresh.heard("outcome")  # the reader may still be in the payment
    home.reader.read_outcome(unb64(outcome["data"]))
    await fresh.__aexit__()


async def test_an_app_restarted_while_it_rings_rings_again(home: House) -> None:
    phone = home.phone()
    await phone.connect()
    payment_id = await home.charge()
    await phone.heard("payment_request")
    await phone.drop()
    async with home.phone() as fresh:
        await fresh.pay(home.reader, payment_id)


async def test_a_session_is_kept_for_a_time_and_then_forgotten(home: House) -> None:
    phone = home.phone()
    await phone.connect()
    session = phone.session
    await phone.drop()
    home.timers.advance(SESSION_MEMORY - 1)
    await phone.connect()
    assert phone.session == session
    await phone.drop()
    home.timers.advance(SESSION_MEMORY + 1)
    await eventually(lambda: not home.issuer.channel._phones)
    await phone.connect()
    assert phone.session != session
    await phone.__aexit__()


async def test_what_happens_while_the_phone_is_away_waits_for_it(home: House) -> None:
    phone = home.phone()
    await phone.connect()
    payment_id = await home.charge()
    await phone.heard("payment_request")
    await phone.say("approve", payment_id, reader_hello=b64(home.reader.hello()))
    await phone.heard("key_offer")
    await phone.drop()
    await home.call("POST", f"/v1/payments/{payment_id}/cancel")
    await phone.connect()
    await phone.heard("outcome")
    assert (await phone.heard("result"))["reason"] == "cancelled_by_merchant"
    await phone.__aexit__()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "decline"}, "invalid_payment_id"),
        ({"type": "decline", "payment_id": 7}, "invalid_payment_id"),
        ({"type": "decline", "payment_id": "pay_" + "a" * 26}, "invalid_reason"),
        ({"type": "decline", "payment_id": "pay_" + "a" * 26, "reason": "bored"}, "invalid_reason"),
        ({"type": "pay", "payment_id": "pay_" + "a" * 26}, "unknown_type"),
        ({"type": "approve", "payment_id": "pay_" + "a" * 26}, "invalid_reader_hello"),
        ({"type": "approve", "payment_id": "pay_" + "a" * 26, "reader_hello": "A"}, "invalid_reader_hello"),
        ({"type": "approve", "payment_id": "pay_" + "a" * 26, "reader_hello": "+/"}, "invalid_reader_hello"),
        (
            {"type": "approve", "payment_id": "pay_" + "a" * 26, "reader_hello": "A" * 6000},
            "invalid_reader_hello",
        ),
        ({"type": "from_reader", "payment_id": "pay_" + "a" * 26, "kind": "outcome"}, "invalid_kind"),
        ({"type": "from_reader", "payment_id": "pay_" + "a" * 26, "kind": "refusal"}, "invalid_data"),
    ],
)
async def test_a_frame_with_a_bad_field_is_answered_and_dropped(
    home: House, frame: dict[str, object], code: str
) -> None:
    async with home.phone() as phone:
        await phone.raw(json.dumps({**frame, "seq": 1}))
        error = await phone.heard("error")
        assert error["code"] == code
        assert len(error["detail"]) <= 200


async def test_a_phone_that_never_acknowledges_loses_its_session_not_our_memory(home: House) -> None:
    phone = home.phone()
    await phone.connect()
    session = phone.session
    for seq in range(1, MOST_UNACKNOWLEDGED + 2):
        await phone.raw(json.dumps({"type": "outcome_wanted", "seq": seq, "payment_id": "pay_" + "a" * 26}))
    assert await phone.closed() == 4400
    phone.received = 0
    await phone.connect()
    assert phone.session != session
    await phone.__aexit__()


async def test_a_frame_that_could_not_be_dealt_with_comes_again(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = home.phone()
    await phone.connect()

    async def fail(*_: object) -> None:
        raise StorageError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(home.issuer.storage, "payment", fail)
        await phone.say("outcome_wanted", "pay_" + "a" * 26)
        assert await phone.closed() == 1011
    welcome = await phone.connect()
    assert welcome["received"] == 0
    phone.sent = 0
    await phone.say("outcome_wanted", "pay_" + "a" * 26)
    assert (await phone.heard("payment_over"))["reason"] == "unknown_payment"
    await phone.__aexit__()


async def test_a_frame_that_comes_again_while_it_is_dealt_with_is_taken_once(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, storage = home.phone(), home.issuer.storage
    await phone.connect()
    payment_id = "pay_" + "a" * 26
    asked, go_on, look_up = asyncio.Semaphore(0), asyncio.Event(), storage.payment

    async def slowly(wanted: PaymentId) -> PaymentRecord | None:
        asked.release()
        await go_on.wait()
        return await look_up(wanted)

    monkeypatch.setattr(storage, "payment", slowly)
    await phone.say("outcome_wanted", payment_id)
    await asyncio.wait_for(asked.acquire(), 10)
    phone.cut()
    assert (await phone.connect())["received"] == 0
    phone.sent = 0
    await phone.say("outcome_wanted", payment_id)
    # Nothing tells that it is not dealt with twice: where it is, this is when.
    again = asyncio.create_task(asked.acquire())
    await asyncio.wait([again], timeout=0.2)
    go_on.set()
    await phone.heard("ack")
    again.cancel()
    await phone.say("outcome_wanted", "pay_" + "b" * 25 + "a")
    await phone.heard("payment_over", "pay_" + "b" * 25 + "a")
    assert [frame["payment_id"] for frame in phone.frames].count(payment_id) == 1
    await phone.__aexit__()


async def test_stopping_closes_the_sockets(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        async with house(tmp_path) as home:
            phone = home.phone()
            phone.http = http
            await phone.connect()
            payment_id = await home.charge()
            await phone.heard("payment_request")
        assert (await phone.heard("result", payment_id, ack=False))["reason"] == "issuer_restarted"
        assert await phone.closed() == 1001
