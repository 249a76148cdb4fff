"""Random walks over the real issuer: whatever phone, reader, merchant and clock do, books and words agree."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from issuer_server.application import NotCancellable
from issuer_server.payment import PaymentState
from protocol.identifiers import PaymentId
from protocol.messages import RefusalReason, Verdict
from tests.unit.issuer_bench import PIN, Bench, Reader, b64, bench, unb64

STEPS = 60


class Walk:
    """One seed's walk: up to three payments under way, every actor acting at random."""

    def __init__(self, issuer: Bench, seed: int) -> None:
        self.issuer = issuer
        self.random = random.Random(seed)
        self.payments: list[PaymentId] = []
        self.sent: list[tuple[str, bytes]] = []
        # One enrolled key; the memory of each payment apart, as if the reader had gone through them in turn.
        self.readers: defaultdict[PaymentId, Reader] = defaultdict(self.reader)
        self.actions: list[Callable[[PaymentId], Awaitable[None]]] = [
            *[self.go_on] * 16,
            self.approve,
            self.swipe,
            self.type_pin,
            self.type_wrong_pin,
            self.refuse,
            self.replay,
            self.flip,
            self.decline,
            self.ask_outcome,
            self.cancel,
            self.lose_reader,
            self.pass_time,
            self.come_back,
        ]

    def reader(self) -> Reader:
        reader = Reader(self.issuer.reader.issuer_key)
        reader.key = self.issuer.reader.key
        return reader

    async def run(self) -> None:
        for _ in range(STEPS):
            if len(self.payments) < 8 and self.random.random() < 0.25:
                self.payments.append(await self.issuer.charge(minor=100))
            elif self.payments:
                await self.random.choice(self.actions)(self.random.choice(self.payments[-3:]))
        for _ in range(5):
            self.issuer.timers.advance(600)
            for payment_id in self.payments:
                await self.issuer.shown(payment_id)  # a turn of the loop
        await self.issuer.application._background.idle()

    def last(self, kind: str, payment_id: PaymentId) -> bytes | None:
        found = [
            frame["data"]
            for frame in self.issuer.phone.frames
            if frame.get("kind") == kind and frame["payment_id"] == payment_id
        ]
        return unb64(found[-1]) if found else None

    async def send(self, payment_id: PaymentId, kind: str, signed: bytes) -> None:
        self.sent.append((kind, signed))
        await self.issuer.from_reader(payment_id, kind, signed)

    async def go_on(self, payment_id: PaymentId) -> None:
        """What honest people would do next."""
        match (await self.issuer.shown(payment_id)).state:
            case PaymentState.CALLING:
                await self.approve(payment_id)
            case PaymentState.KEY_OFFERED if self.readers[payment_id].offer is not None:
                await self.send(payment_id, "card_envelope", self.readers[payment_id].swipe())
            case PaymentState.PIN_REQUESTED:
                await self.type_pin(payment_id)

    async def approve(self, payment_id: PaymentId) -> None:
        reader = self.readers[payment_id]
        before = self.last("key_offer", payment_id)
        await self.issuer.phone.say("approve", payment_id, reader_hello=b64(reader.hello()))
        offer = self.last("key_offer", payment_id)
        if offer is not None and before is None:
            reader.take_offer(offer)

    async def swipe(self, payment_id: PaymentId) -> None:
        if self.readers[payment_id].offer is not None:
            pan = self.random.choice(["4000001234567899", "4000009999999999"])
            await self.send(payment_id, "card_envelope", self.readers[payment_id].swipe(pan))

    async def type_pin(self, payment_id: PaymentId, pin: str = PIN) -> None:
        request = self.last("pin_request", payment_id)
        if request is not None:
            await self.send(payment_id, "pin_envelope", self.readers[payment_id].type_pin(request, pin))

    async def type_wrong_pin(self, payment_id: PaymentId) -> None:
        await self.type_pin(payment_id, "0000")

    async def refuse(self, payment_id: PaymentId) -> None:
        if self.readers[payment_id].offer is not None and self.random.random() < 0.3:
            reason = self.random.choice(list(RefusalReason))
            await self.send(payment_id, "refusal", self.readers[payment_id].refuse(reason))

    async def replay(self, payment_id: PaymentId) -> None:
        if self.sent:
            kind, signed = self.random.choice(self.sent)
            await self.issuer.from_reader(payment_id, kind, signed)

    async def flip(self, payment_id: PaymentId) -> None:
        if self.sent:
            kind, signed = self.random.choice(self.sent)
            at = self.random.randrange(len(signed) * 8)
            forged = bytearray(signed)
            forged[at // 8] ^= 1 << at % 8
            await self.issuer.from_reader(payment_id, kind, bytes(forged))

    async def decline(self, payment_id: PaymentId) -> None:
        if self.random.random() < 0.3:
            reason = self.random.choice(["declined", "no_response"])
            await self.issuer.phone.say("decline", payment_id, reason=reason)

    async def ask_outcome(self, payment_id: PaymentId) -> None:
        await self.issuer.phone.say("outcome_wanted", payment_id)

    async def cancel(self, payment_id: PaymentId) -> None:
        if self.random.random() < 0.3:
            try:
                await self.issuer.application.cancel(self.issuer.merchant.id, payment_id)
            except NotCancellable:
                pass

    async def lose_reader(self, payment_id: PaymentId) -> None:
        if self.random.random() < 0.2:
            await self.issuer.phone.say("reader_unavailable", payment_id)

    async def pass_time(self, _: PaymentId) -> None:
        self.issuer.timers.advance(self.random.choice([1, 5, 11, 25]))

    async def come_back(self, _: PaymentId) -> None:
        if self.random.random() < 0.5:
            await self.issuer.phone.disconnect()
        else:
            await self.issuer.phone.connect(resumed=self.random.random() < 0.7)


@pytest.mark.parametrize("seed", range(40))
async def test_books_and_words_agree_after_any_walk(tmp_path: Path, seed: int) -> None:
    async with bench(tmp_path, pin_attempts=1 + seed % 3) as issuer:
        walk = Walk(issuer, seed)
        await walk.run()
        assert issuer.application.in_flight == 0
        ended = [await issuer.shown(payment_id) for payment_id in walk.payments]
        paid = [payment for payment in ended if payment.state is PaymentState.COMPLETED]
        for payment in ended:
            assert payment.state.is_final
            assert (payment.reason is None) is (payment.state is PaymentState.COMPLETED)
            kinds = Counter(issuer.phone.heard_kinds(payment.id))
            assert kinds["result"] <= 1
            assert kinds["key_offer"] <= 1
            for frame in issuer.phone.frames:
                if frame["payment_id"] == payment.id and frame["type"] == "result":
                    assert (frame["outcome"], frame["reason"]) == (payment.state.value, payment.reason)
        balances = await issuer.balances()
        assert balances["cardholder"] == 100_000 - 100 * len(paid)
        assert balances.get("merchant", 0) == 100 * len(paid)
        assert sum(balances.values()) == 0


async def test_the_walks_reach_both_ends(tmp_path: Path) -> None:
    """A walk that never pays, or never fails, would prove nothing."""
    reasons: Counter[str] = Counter()
    for seed in range(12):
        (tmp_path / str(seed)).mkdir()
        async with bench(tmp_path / str(seed), pin_attempts=2) as issuer:
            walk = Walk(issuer, seed)
            await walk.run()
            for payment_id in walk.payments:
                payment = await issuer.shown(payment_id)
                reasons[payment.reason or Verdict.APPROVED.name] += 1
    assert reasons[Verdict.APPROVED.name] >= 3
    assert len(reasons) >= 8, reasons
