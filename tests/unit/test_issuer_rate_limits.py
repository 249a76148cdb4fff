"""Limits: the bucket itself; then over HTTP, what a merchant and a phone are spared, and blocking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer_server import rate_limits
from issuer_server.handset_frames import Decline, FrameError, read_phone_message
from issuer_server.rate_limits import Limits, Rate, TokenBuckets
from tests.unit.issuer_bench import b64
from tests.unit.issuer_house import TOKEN, House, house

PAYMENT = "pay_" + "a" * 26


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    buckets: TokenBuckets[str] = TokenBuckets(Rate(2.0, 3.0))
    assert [buckets.take("a", 10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 10.0) == 0, "each key has its own"
    assert buckets.take("a", 10.25) == 0.25
    assert buckets.take("a", 10.5) == 0
    assert buckets.take("a", 10.5) == 0.5


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60), st.floats(0.1, 20), st.integers(1, 10))
def test_no_more_than_burst_and_rate_ever_passes_and_the_wait_told_is_enough(
    pauses: list[float], per_second: float, burst: int
) -> None:
    buckets: TokenBuckets[str] = TokenBuckets(Rate(per_second, float(burst)))
    now = passed = 0.0
    for pause in pauses:
        now += pause
        wait = buckets.take("a", now)
        passed += wait == 0
        assert passed <= burst + per_second * now + 1e-6
        if wait:
            now += wait + 1e-6
            assert buckets.take("a", now) == 0
            passed += 1


def test_what_was_not_done_is_given_back() -> None:
    buckets: TokenBuckets[str] = TokenBuckets(Rate(0.1, 1.0))
    buckets.take("a", 0.0)
    buckets.give_back("a", 0.0)
    buckets.give_back("stranger", 0.0)
    assert [buckets.take("a", 0.0) == 0 for _ in range(2)] == [True, False]


def test_no_limit_is_no_limit() -> None:
    buckets: TokenBuckets[str] = TokenBuckets(Rate.of_phone(Limits()))
    assert not any(buckets.take("a", 0.0) for _ in range(1000))
    assert len(buckets) == 0


def test_full_buckets_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "FORGET_ABOVE", 10)
    buckets: TokenBuckets[int] = TokenBuckets(Rate(1.0, 1.0))
    for name in range(100):
        buckets.take(name, float(name))
    assert len(buckets) <= 11


@pytest.mark.parametrize("value", [-1, 2_000_000])
def test_limits_that_make_no_sense(value: int) -> None:
    with pytest.raises(ValueError, match="must be 0"):
        Limits(calls_to_a_phone_at_once=value)


@pytest.fixture
async def home(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    async with house(tmp_path, limits=getattr(request, "param", Limits())) as made:
        yield made


def limits(**values: float) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("home", [Limits(**values)], indirect=True)  # type: ignore[arg-type]


def is_limited(answer: tuple[int, Any, Any], code: str) -> int:
    status, problem, response = answer
    assert (status, problem["code"]) == (429, code)
    return int(response.headers["Retry-After"])


@limits(merchant_requests_per_second=0.2)
async def test_a_merchant_who_asks_too_much_is_told_when_to_come_back(home: House) -> None:
    for _ in range(2):
        status, _, _ = await home.call("GET", "/v1/payments")
        assert status == 200
    wait = is_limited(await home.call("GET", "/v1/payments"), "rate_limited")
    assert wait == 5
    home.timers.advance(wait)
    assert (await home.call("GET", "/v1/payments"))[0] == 200


@limits(calls_to_a_phone_per_minute=2)
async def test_a_phone_is_not_called_all_the_time(home: House) -> None:
    for key in ("a", "b"):
        assert (await home.create(key))[0] == 201
    wait = is_limited(await home.create("c"), "too_many_calls")
    assert wait == 30
    assert (await home.create("a"))[0] == 201, "the first answer again, which calls nobody"
    home.timers.advance(wait)
    assert (await home.create("c"))[0] == 201
    is_limited(await home.create("d"), "too_many_calls")


@limits(calls_to_a_phone_per_minute=2)
async def test_what_calls_nobody_does_not_count(home: House) -> None:
    for _ in range(5):
        assert (await home.create("same"))[0] == 201
        assert (await home.create(amount=0))[0] == 422
    assert (await home.create("b"))[0] == 201


@limits(calls_to_a_phone_at_once=3)
async def test_so_many_call_a_phone_at_once_and_no_more(home: House) -> None:
    answers = await asyncio.gather(*(home.create(f"k{n}") for n in range(20)))
    made = [payment["id"] for status, payment, _ in answers if status == 201]
    assert len(made) == 3
    for answer in answers:
        if answer[0] != 201:
            is_limited(answer, "too_many_calls")
    await home.call("POST", f"/v1/payments/{made[0]}/cancel")
    assert (await home.create())[0] == 201


async def declined_and_blocked(home: House) -> str:
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.heard("payment_request", payment_id)
        await phone.say("decline", payment_id, reason="declined", block_merchant=True)
        await phone.heard("ack")
    return payment_id


async def test_a_cardholder_blocks_a_merchant_who_sees_an_unknown_phone(home: House) -> None:
    payment_id = await declined_and_blocked(home)
    _, payment, _ = await home.call("GET", f"/v1/payments/{payment_id}")
    assert (payment["status"], payment["reason"]) == ("not_settled", "declined")
    status, problem, _ = await home.create()
    assert (status, problem["code"]) == (422, "unknown_phone")
    storage = home.issuer.storage
    assert [each.id for each in await storage.blocked_merchants(home.cardholder)] == [home.merchant.id]
    await storage.unblock_merchant(home.cardholder, home.merchant.id)
    assert (await home.create())[0] == 201


async def test_a_lost_first_answer_is_given_again_to_a_merchant_blocked_since(home: House) -> None:
    status, first, _ = await home.create("key")
    await home.issuer.storage.block_merchant(home.cardholder, home.merchant.id, 1.0)
    assert (status, (await home.create("key"))[1]) == (201, first)


async def test_blocking_counts_also_when_the_payment_is_over(home: House) -> None:
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.heard("payment_request", payment_id)
        await home.call("POST", f"/v1/payments/{payment_id}/cancel")
        await phone.say("decline", payment_id, reason="declined", block_merchant=True)
        await phone.heard("payment_over", payment_id)
    assert len(await home.issuer.storage.blocked_merchants(home.cardholder)) == 1


async def test_a_stranger_blocks_nobody(home: House) -> None:
    payment_id = await home.charge()
    async with home.phone(TOKEN) as phone:
        await phone.say("decline", PAYMENT, reason="declined", block_merchant=True)
        await phone.heard("payment_over")
        await phone.heard("payment_request", payment_id)
        await phone.say("approve", payment_id, reader_hello=b64(home.reader.hello()))
        await phone.heard("key_offer")
    assert await home.issuer.storage.blocked_merchants(home.cardholder) == []


def test_the_frame() -> None:
    frame = {"type": "decline", "payment_id": PAYMENT, "reason": "declined"}
    for said in (True, False):
        message = read_phone_message({**frame, "block_merchant": said})
        assert isinstance(message, Decline)
        assert message.block_merchant is said
    for wrong in ({"block_merchant": "yes"}, {"block_merchant": True, "reason": "no_response"}):
        with pytest.raises(FrameError) as refused:
            read_phone_message({**frame, **wrong})
        assert refused.value.code == "invalid_block_merchant"
