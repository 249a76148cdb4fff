"""The issuer under load: memory a phone, CPU a payment, payments a second.

    python -m benchmarks.issuer_under_load --phones 1000 --at-once 200 --seconds 10

The issuer is a process of its own, as `issuer-server run` starts it, on a real database with full synchronous
commits; phones, readers and shops share this process. All phones stay connected throughout. First so many
payments come at the same moment; then shops charge one after the other for a while. What counts is the
issuer's own CPU time: phones and readers seal on the same machine and take more of it than the issuer does,
so payments a second as seen here say little on a small machine, and `payments_per_core` (one second divided
by the CPU time a payment) is what a core of the issuer can do. The crypto floor is measured in the same run:
what the cryptography alone of one payment costs, key pair to outcome. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from protocol.identifiers import IssuerId, MerchantId, Nonce, PaymentId, ReaderId, mint
from protocol.messages import CardEnvelope, KeyOffer, Outcome, PinEnvelope, PinRequest, Verdict
from protocol.money import Money, currency
from protocol.sealing import PaymentKey, card_info, pin_info, seal_card, seal_pin
from protocol.signing import SigningKey, digest, open_message, sign_message
from tests.crash.people import Shop
from tests.crash.server_process import ServerProcess
from tests.crash.town import Town, town

TICKS = os.sysconf("SC_CLK_TCK")
FLOOR_PAYMENTS = 100
DESIGN_PER_CORE, DESIGN_OVER_FLOOR = 450, 2.0


@dataclass
class Usage:
    """What the issuer's process has used."""

    cpu: float
    resident: int
    wall: float

    @classmethod
    def of(cls, server: ServerProcess) -> Usage:
        """Now; from /proc."""
        fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
        resident = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * resource.getpagesize()
        return cls((int(fields[11]) + int(fields[12])) / TICKS, resident, time.perf_counter())


def crypto_floor() -> float:
    """CPU seconds of one payment's cryptography at the issuer, and nothing else."""
    issuer, reader = SigningKey.from_seed(bytes(32)), SigningKey.from_seed(bytes(31) + b"\1")
    spent = 0.0
    for _ in range(FLOOR_PAYMENTS):
        seed = os.urandom(96)
        started = time.process_time()
        key = PaymentKey.from_seed(seed)
        offer = KeyOffer(
            IssuerId("bank.example"),
            PaymentId(mint("pay", bytes(16))),
            ReaderId(reader.key_id),
            Nonce(bytes(16)),
            MerchantId(mint("mer", bytes(16))),
            "Cafe Relay",
            "tea",
            Money(1, currency("JPY")),
            key.public_key,
            60,
        )
        signed_offer = sign_message(issuer, offer)
        spent += time.process_time() - started
        about = digest(signed_offer)
        card_binding = card_info(offer, about, reader.public_key)
        sealed = seal_card(key.public_key, bytes(128), card_binding)
        envelope = sign_message(reader, CardEnvelope(about, sealed))
        started = time.process_time()
        key.open_card(open_message(reader.public_key, envelope, CardEnvelope).sealed, card_binding)
        request = sign_message(issuer, PinRequest(about, digest(envelope), None, "1111", 3))
        spent += time.process_time() - started
        pin_binding = pin_info(offer, about, reader.public_key, digest(request))
        sealed = seal_pin(key.public_key, bytes(16), pin_binding)
        pin_envelope = sign_message(reader, PinEnvelope(about, digest(request), sealed))
        started = time.process_time()
        key.open_pin(open_message(reader.public_key, pin_envelope, PinEnvelope).sealed, pin_binding)
        sign_message(issuer, Outcome(about, digest(pin_envelope), Verdict.APPROVED, None))
        key.drop()
        spent += time.process_time() - started
    return spent / FLOOR_PAYMENTS


async def measure(
    folder: Path, phones: int, at_once: int, seconds: float, *, webhooks: bool
) -> dict[str, object]:
    """The figures; raises AssertionError where anybody met an error."""
    async with town(folder / "data", phones, seed=1, webhooks=webhooks) as here:
        here.server.start()
        await here.server.ready(here.http)
        empty = Usage.of(here.server)
        here.living = [asyncio.create_task(each.run()) for each in here.cardholders]
        started = time.perf_counter()
        await asyncio.gather(*(each.connected.wait() for each in here.cardholders))
        connected_in = time.perf_counter() - started
        connected = Usage.of(here.server)
        for shop in here.shops:
            shop.habits = {"pay": 1}
        burst = await payments_at_once(here, here.shops[:at_once])
        steady = await one_after_the_other(here, here.shops[:at_once], seconds)
        most = Usage.of(here.server)
        books = here.books()
        found = [*books.problems, *here.seen.wrong, *here.ear.wrong]
        assert not found, found
        assert not books.in_flight
        assert len(books.transfers) == len(books.states)
        await here.send_home()
        assert await here.server.stop() == 0
    floor = crypto_floor()
    cpu = steady["cpu_ms_per_payment"] / 1000
    return {
        "machine": {"cpus": os.cpu_count(), "load_average": os.getloadavg()[0]},
        "webhooks": webhooks,
        "phones": {
            "connected": phones,
            "connected_in_seconds": round(connected_in, 2),
            "kib_each": round((connected.resident - empty.resident) / phones / 1024, 1),
            "cpu_ms_each": round((connected.cpu - empty.cpu) / phones * 1000, 2),
        },
        "resident_mib": {
            "empty": empty.resident >> 20,
            "connected": connected.resident >> 20,
            "after": most.resident >> 20,
        },
        "at_once": burst,
        "one_after_the_other": steady,
        "crypto_floor_cpu_ms": round(floor * 1000, 3),
        "payments_per_core": round(1 / cpu),
        "times_the_crypto_floor": round(cpu / floor, 2),
        "design": {"payments_per_core": DESIGN_PER_CORE, "times_the_crypto_floor": DESIGN_OVER_FLOOR},
    }


async def timed(shop: Shop) -> float:
    """One payment from the shop's request to its answer; seconds."""
    started = time.perf_counter()
    await shop.one_payment()
    return time.perf_counter() - started


def figures(before: Usage, after: Usage, times: list[float]) -> dict[str, float]:
    """Of so many payments between two moments."""
    ordered = sorted(times)
    return {
        "payments": len(times),
        "payments_per_second": round(len(times) / (after.wall - before.wall), 1),
        "cpu_ms_per_payment": round((after.cpu - before.cpu) / len(times) * 1000, 3),
        "growth_kib_per_payment": round((after.resident - before.resident) / len(times) / 1024, 1),
        "seconds_median": round(statistics.median(ordered), 3),
        "seconds_99th": round(ordered[int(len(ordered) * 0.99)], 3),
        "seconds_longest": round(ordered[-1], 3),
    }


async def payments_at_once(here: Town, shops: list[Shop]) -> dict[str, float]:
    """Every shop's request at the same moment."""
    before = Usage.of(here.server)
    times = await asyncio.gather(*(timed(shop) for shop in shops))
    assert here.seen.counts["ended completed"] == len(shops), here.seen.counts
    return figures(before, Usage.of(here.server), list(times))


async def one_after_the_other(here: Town, shops: list[Shop], seconds: float) -> dict[str, float]:
    """Every shop charges as fast as it is answered."""
    times: list[float] = []
    before = Usage.of(here.server)
    until = time.perf_counter() + seconds

    async def charge(shop: Shop) -> None:
        while time.perf_counter() < until:
            times.append(await timed(shop))

    await asyncio.gather(*(charge(shop) for shop in shops))
    assert set(here.seen.counts) <= {
        "ended completed",
        "shop told completed",
        "phone told completed",
        "reader told completed",
    }, here.seen.counts
    return figures(before, Usage.of(here.server), times)


def allow_sockets(phones: int) -> None:
    """Each phone takes one here and one at the issuer, which inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * phones + 1024
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description="The issuer under load.")
    parser.add_argument("--phones", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--no-webhooks", action="store_true", help="a merchant who is told by HTTP alone")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    allow_sockets(options.phones)
    with TemporaryDirectory() as folder:
        found = asyncio.run(
            measure(
                Path(folder),
                options.phones,
                options.at_once,
                options.seconds,
                webhooks=not options.no_webhooks,
            )
        )
    text = json.dumps(found, indent=2)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
