"""The screen of `issuer-server top`: lines of text from figures, fitted to a terminal. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from issuer_server.operations.top_figures import RecentPayment, Span, Work, reasons, span
from issuer_server.payment import PaymentState
from issuer_server.storage.records import Outbox
from protocol.money import currency
from service_host.columns import fit, pad

SPANS: Final = ((60.0, "minute"), (600.0, "10 minutes"), (3600.0, "hour"))
_REASONS_OVER = 3600.0
_NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Scene:
    """All that one screen shows. `work` is None where the metrics are off or do not answer."""

    issuer: str
    url: str
    now: float
    running: bool
    work: Work | None
    advice: str
    in_flight: Mapping[str, int]
    payments: Sequence[RecentPayment]
    outbox: Outbox


def lines(scene: Scene, width: int, height: int) -> list[str]:
    """The screen from the top; as many of the latest payments as there is room for."""
    found = [*_head(scene), "", *_spans(scene), "", *_work(scene)]
    if why := reasons(scene.payments, scene.now, _REASONS_OVER):
        told = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in why)
        found += ["", f"Not settled, last hour: {told}"]
    found += ["", _row("TIME", "STATE", "REASON", "AMOUNT", "MERCHANT", "PAYMENT")]
    room = max(0, height - len(found))
    latest = sorted(scene.payments, key=lambda each: each.moved_at, reverse=True)[:room]
    found += [_payment(each) for each in latest] or ["no payments yet"][:room]
    return [fit(line, width) for line in found[:height]]


def _head(scene: Scene) -> list[str]:
    clock = datetime.fromtimestamp(scene.now).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    state = "serving" if scene.running else "NOT RUNNING"
    phones = ""
    if scene.work is not None:
        state = "STOPPING" if scene.work.stopping else "serving"
        if scene.work.started_at is not None:
            state += f" for {duration(scene.now - scene.work.started_at)}"
        phones = f"   phones connected {scene.work.phones}"
    states = [state for state in PaymentState if not state.is_final]
    where = "  ".join(f"{each.value.replace('_', ' ')} {scene.in_flight.get(each, 0)}" for each in states)
    return [
        f"Issuer {scene.issuer}   {scene.url}   {state}   {clock}",
        f"Payments in flight {sum(scene.in_flight.values())}{phones}",
        f"  {where}",
    ]


def _spans(scene: Scene) -> list[str]:
    over: list[tuple[str, Span]] = [
        (name, span(scene.payments, scene.now, seconds)) for seconds, name in SPANS
    ]
    rows = [
        ("asked for", [str(each.asked) for _, each in over]),
        ("a second", [f"{each.asked / each.seconds:.2f}" for _, each in over]),
        ("completed", [str(each.completed) for _, each in over]),
        ("not settled", [str(each.not_settled) for _, each in over]),
        ("took, median", [_seconds(each.median) for _, each in over]),
        ("took, 95 of 100", [_seconds(each.slowest) for _, each in over]),
    ]
    head = f"{'Payments, last':<18}" + "".join(f"{name:>12}" for name, _ in over)
    return [head, *(f"  {name:<16}" + "".join(f"{cell:>12}" for cell in cells) for name, cells in rows)]


def _work(scene: Scene) -> list[str]:
    outbox = scene.outbox
    waits = f", the longest for {duration(scene.now - outbox.oldest_at)}" if outbox.oldest_at else ""
    told = [f"Webhooks waiting {outbox.waiting}{waits}   given up {outbox.given_up}"]
    work = scene.work
    if work is None:
        return [*told, scene.advice]
    shared = _NOTHING if work.operations_a_commit is None else f"{work.operations_a_commit:.1f}"
    cpu = _NOTHING if work.cpu is None else f"{work.cpu * 100:.0f} %"
    return [
        *told,
        f"Requests {work.requests_per_second:.1f}/s, 95 of 100 within {_seconds(work.request_95)}"
        f"   limited {work.limited}",
        f"Commits {work.commits_per_second:.1f}/s of {shared} operations,"
        f" 95 of 100 within {_seconds(work.commit_95)}   settling {_seconds(work.settle_95)}",
        f"CPU {cpu}   memory {work.memory_bytes / 2**20:.0f} MiB",
    ]


def _payment(payment: RecentPayment) -> str:
    moment = datetime.fromtimestamp(payment.moved_at).astimezone().strftime("%H:%M:%S")
    digits = currency(payment.currency).exponent
    whole, fraction = divmod(payment.minor, 10**digits)
    amount = f"{payment.currency} {whole:,}" + (f".{fraction:0{digits}d}" if digits else "")
    state, reason = payment.state.replace("_", " "), (payment.reason or "").replace("_", " ")
    return _row(moment, state, reason, amount, payment.merchant_name, payment.id)


def _row(moment: str, state: str, reason: str, amount: str, merchant: str, payment: str) -> str:
    cells = ((moment, 8), (state, 13), (reason, 22), (amount, 18), (merchant, 20))
    return "  ".join(pad(fit(text, size), size) for text, size in cells) + f"  {payment}"


def _seconds(value: float | None) -> str:
    if value is None:
        return _NOTHING
    if math.isinf(value):
        return "> 10 s"
    return f"{value * 1000:g} ms" if value < 1 else f"{value:.1f} s"


def duration(seconds: float) -> str:
    """A span of time in its two largest units."""
    minutes, left = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
