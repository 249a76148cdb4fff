"""One charge from request to known outcome, through lost answers, crashes and Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from merchant_terminal.errors import NeverSentError, ProblemError, UnreachableError
from merchant_terminal.issuer_api import IssuerApi
from merchant_terminal.payment import Charge, Payment
from merchant_terminal.receipt import moment
from merchant_terminal.sentences import STATUS_SENTENCES
from merchant_terminal.unanswered import Held, UnansweredCharges
from protocol.errors import InputError
from protocol.money import format_money

WAIT_SECONDS = 20
"""One long poll. Shorter than the 30 s at which middle boxes start to cut idle connections."""

SHORTEST_POLL_SECONDS = 0.3
"""Should an issuer answer long polls at once, do not spin."""


def claim(
    charges: UnansweredCharges, issuer_url: str, charge: Charge, now: float, *, new: bool
) -> tuple[Held, bool]:
    """The charge to work on, and whether it is an earlier one taken up again.

    `new` makes a new charge whatever went before. An old unanswered charge for the same raises InputError:
    only a person knows whether the customer is buying again.
    """
    for held in charges.abandoned(issuer_url):
        if new or held.entry.charge != charge:
            held.release()
        elif held.entry.recent(now):
            held.taken_up = True
            return held, True
        else:
            held.release()
            raise InputError(
                "earlier_charge_unanswered",
                "The same charge was sent earlier and its outcome was never seen here. Look for it with "
                "`merchant-terminal list`, then charge again with --new if the customer is buying again.",
            )
    return charges.begin(issuer_url, charge, now), False


def describe_earlier(held: Held) -> str:
    """What the person is told when an earlier charge is taken up again."""
    since = moment_of(held.entry.since)
    return (
        f"The same charge was sent at {since} and its answer never came back. Asking about that one again,\n"
        "so that the customer is not charged twice. (A second, separate charge: --new)"
    )


def moment_of(epoch: float) -> str:
    """Epoch seconds on this machine's clock."""
    return moment(datetime.fromtimestamp(epoch, UTC).isoformat(), None)


def progress(payment: Payment) -> str:
    """The status line's text."""
    doing = STATUS_SENTENCES.get(payment.status, payment.status.replace("_", " "))
    return f"{format_money(payment.amount)}: {doing}"


async def settle_charge(api: IssuerApi, held: Held, show: Callable[[str], None]) -> Payment:
    """Ask, wait until the payment is over and return it. Ctrl-C cancels it at the issuer first.

    Raises what `IssuerApi` raises. The charge stays among the unanswered ones unless it is sure that it was
    never made; the caller marks it answered once the outcome has been shown.
    """
    show("asking the issuer")
    asking = asyncio.ensure_future(api.create_payment(held.entry.charge, held.entry.key))
    try:
        try:
            payment = await asyncio.shield(asking)
            return await wait_until_over(api, payment, show)
        except asyncio.CancelledError:
            return await _interrupted(api, asking, show)
    except ProblemError as problem:
        # Who may not ask at all hears nothing of the charge: an earlier attempt may still have gone through.
        if not asking.done() or (asking.exception() is problem and problem.status not in (401, 403)):
            held.answered()
        raise
    except UnreachableError as failure:
        if failure.never_sent and asking.done() and asking.exception() is failure and not held.taken_up:
            held.answered()
            raise NeverSentError(failure) from None
        raise
    finally:
        if not asking.done():
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking


async def wait_until_over(api: IssuerApi, payment: Payment, show: Callable[[str], None]) -> Payment:
    """Follow a payment with long polls; the issuer's deadlines end it, so this needs none of its own."""
    loop = asyncio.get_running_loop()
    while not payment.over:
        show(progress(payment))
        asked_at = loop.time()
        news = await api.payment(payment.id, wait=WAIT_SECONDS, seen=payment.status)
        if news.status == payment.status:
            await asyncio.sleep(max(0.0, asked_at + SHORTEST_POLL_SECONDS - loop.time()))
        payment = news
    return payment


async def _interrupted(api: IssuerApi, asking: asyncio.Task[Payment], show: Callable[[str], None]) -> Payment:
    """After Ctrl-C: find out which payment it is, cancel it, and return it as it ended."""
    task = asyncio.current_task()
    if task is None or task.uncancel():
        raise asyncio.CancelledError
    show("cancelling at the issuer (Ctrl-C again: leave without knowing)")
    payment = await asking
    try:
        payment = await api.cancel(payment.id)
    except ProblemError:
        payment = await api.payment(payment.id)
    # A cancel may arrive while the issuer is settling: its answer then is not the last word.
    return await wait_until_over(api, payment, show)
