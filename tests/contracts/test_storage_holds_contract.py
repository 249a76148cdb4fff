"""What any storage promises of holds: no balance is spent twice, and no hold outlives its payment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuer_server.ledger import check_trial_balance
from issuer_server.payment import PaymentState
from issuer_server.storage.records import HoldResult, PaymentChanges, PaymentRecord, SettleResult
from issuer_server.storage.sqlite import SqliteStorage
from protocol.messages import NotSettled
from protocol.money import Money, currency
from tests.contracts.conftest import OPENERS
from tests.contracts.world import World

S = PaymentState
DECLINED = PaymentChanges(reason=NotSettled.DECLINED)


async def standing(world: World) -> tuple[int, int]:
    """The cardholder's balance, and what of it is held."""
    [account] = [each for each in await world.storage.balances(world.cardholder) if each.held or each.minor]
    assert account.available == account.minor - account.held
    return account.minor, account.held


async def held(world: World, minor: int) -> PaymentRecord:
    """A payment with its money set aside."""
    payment = await world.create(world.yen(minor))
    assert await world.storage.hold(payment.id, S.REQUESTED, world.now) is HoldResult.HELD
    stored = await world.storage.payment(payment.id)
    assert stored is not None
    return stored


async def test_a_hold_sets_money_aside_and_the_state_pin_requested(world: World) -> None:
    payment = await held(world, 4_000)
    assert payment.state is S.PIN_REQUESTED
    assert await standing(world) == (10_000, 4_000)
    check_trial_balance(await world.storage.balances())


async def test_what_is_held_settles_and_is_held_no_more(world: World) -> None:
    payment = await held(world, 10_000)  # all there is: the transfer must find it
    result = await world.storage.settle(payment.id, S.PIN_REQUESTED, world.card, world.now)
    assert result is SettleResult.SETTLED
    assert await world.balance(world.cardholder) == 0
    assert [each.held for each in await world.storage.balances()] == [0, 0, 0]


async def test_an_end_without_money_releases_the_hold(world: World) -> None:
    payment = await held(world, 10_000)
    assert await world.storage.advance(payment.id, S.PIN_REQUESTED, S.NOT_SETTLED, DECLINED, world.now)
    assert await standing(world) == (10_000, 0)
    await held(world, 10_000)


async def test_the_sweep_of_a_crash_leaves_no_hold_behind(world: World) -> None:
    for _ in range(4):
        await held(world, 2_500)
    assert len(await world.storage.sweep(world.now)) == 4
    assert await standing(world) == (10_000, 0)


async def test_what_others_hold_cannot_be_held_again(world: World) -> None:
    await held(world, 6_000)
    second = await world.create(world.yen(4_001))
    assert await world.storage.hold(second.id, S.REQUESTED, world.now) is HoldResult.INSUFFICIENT_FUNDS
    stored = await world.storage.payment(second.id)
    assert stored == second
    assert await standing(world) == (10_000, 6_000)


async def test_what_others_hold_cannot_be_spent_without_a_hold_either(world: World) -> None:
    await held(world, 6_000)
    second = await world.create(world.yen(4_001))
    result = await world.storage.settle(second.id, S.REQUESTED, world.card, world.now)
    assert result is SettleResult.INSUFFICIENT_FUNDS
    assert await standing(world) == (10_000, 6_000)


async def test_of_many_at_once_as_many_are_held_as_the_balance_bears(world: World) -> None:
    payments = [await world.create(world.yen(3_000)) for _ in range(8)]
    results = await asyncio.gather(
        *(world.storage.hold(payment.id, S.REQUESTED, world.now) for payment in payments)
    )
    assert sorted(result.value for result in results) == ["held"] * 3 + ["insufficient_funds"] * 5
    assert await standing(world) == (10_000, 9_000)


async def test_a_payment_holds_once_however_often_it_is_asked(world: World) -> None:
    payment = await world.create(world.yen(1_000))
    results = await asyncio.gather(
        *(world.storage.hold(payment.id, S.REQUESTED, world.now) for _ in range(10))
    )
    assert sorted(result.value for result in results) == ["held"] + ["stale"] * 9
    assert await standing(world) == (10_000, 1_000)


async def test_money_of_another_currency_is_not_held(world: World) -> None:
    payment = await world.create(Money(1, currency("USD")))
    assert await world.storage.hold(payment.id, S.REQUESTED, world.now) is HoldResult.INSUFFICIENT_FUNDS


async def test_a_refund_becomes_available(world: World) -> None:
    payment = await held(world, 10_000)
    await world.storage.settle(payment.id, S.PIN_REQUESTED, world.card, world.now)
    await world.refund(payment, 700)
    await held(world, 700)
    assert await standing(world) == (700, 700)


@dataclass
class Model:
    """What the books must say: one balance, and the payments that hold of it."""

    balance: int = 10_000
    asked: dict[int, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)

    @property
    def available(self) -> int:
        return self.balance - sum(self.held.values())


STEP = st.tuples(
    st.sampled_from(["ask", "hold", "settle", "end", "fund", "crash"]),
    st.integers(0, 7),
    st.integers(1, 6_000),
)


@pytest.mark.parametrize("database", sorted(OPENERS))
@given(steps=st.lists(STEP, max_size=40))
@settings(max_examples=8, deadline=None)
def test_any_order_of_steps_keeps_to_the_model(database: str, steps: list[tuple[str, int, int]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(keep_to_the_model(database, Path(folder), steps))


async def keep_to_the_model(database: str, folder: Path, steps: list[tuple[str, int, int]]) -> None:
    """Take the steps in storage and in the model, and compare after each."""
    storage = await OPENERS[database](folder)
    try:
        world, model = World(storage), Model()
        await world.populate()
        payments: dict[int, PaymentRecord] = {}
        for what, which, minor in steps:
            await take(world, model, payments, what, which, minor)
            balances = await storage.balances()
            check_trial_balance(balances)
            [account] = [each for each in balances if each.kind == "cardholder"]
            assert (account.minor, account.held) == (model.balance, sum(model.held.values()))
            assert 0 <= account.available == model.available
    finally:
        await storage.close()


async def take(
    world: World, model: Model, payments: dict[int, PaymentRecord], what: str, which: int, minor: int
) -> None:
    """One step, in both."""
    storage: SqliteStorage = world.storage
    state = S.PIN_REQUESTED if which in model.held else S.REQUESTED
    if what == "fund":
        await storage.fund(world.cardholder, world.yen(minor), world.now)
        model.balance += minor
    elif what == "crash":
        swept = await storage.sweep(world.now)
        assert len(swept) == len(model.asked)
        model.asked, model.held = {}, {}
    elif what == "ask" and which not in model.asked:
        payments[which] = await world.create(world.yen(minor))
        model.asked[which] = minor
    elif which not in model.asked:
        return
    elif what == "hold":
        bears = which not in model.held and model.asked[which] <= model.available
        result = await storage.hold(payments[which].id, S.REQUESTED, world.now)
        assert (result is HoldResult.HELD) is bears
        if bears:
            model.held[which] = model.asked[which]
    elif what == "settle":
        price = model.asked[which]
        bears = price <= model.available + model.held.get(which, 0)
        result = await storage.settle(payments[which].id, state, world.card, world.now)
        assert result is (SettleResult.SETTLED if bears else SettleResult.INSUFFICIENT_FUNDS)
        if bears:
            del model.asked[which]
            model.held.pop(which, None)
            model.balance -= price
    elif what == "end":
        assert await storage.advance(payments[which].id, state, S.NOT_SETTLED, DECLINED, world.now)
        del model.asked[which]
        model.held.pop(which, None)
