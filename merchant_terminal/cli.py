"""The command `merchant-terminal`: login, charge, status, cancel, refund, refunds, list, listen."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from merchant_terminal.charging import claim, describe_earlier, progress, settle_charge
from merchant_terminal.errors import IssuerError, ProblemError
from merchant_terminal.failures import Exit, Failure, failure_of, interrupted
from merchant_terminal.issuer_api import ApiKey, IssuerApi, Retry, RetryPolicy, check_issuer_url
from merchant_terminal.listening import listen
from merchant_terminal.listing import payment_document, refund_document, refund_line, summary
from merchant_terminal.payment import Charge, Payment
from merchant_terminal.receipt import receipt, refunded_money
from merchant_terminal.refunding import claim as claim_refund
from merchant_terminal.refunding import settle_refund
from merchant_terminal.sentences import problem_sentence, reason_sentence
from merchant_terminal.settings import Places, Settings, absolute, load_key, load_settings, save
from merchant_terminal.status_line import StatusLine
from merchant_terminal.unanswered import UnansweredCharges
from merchant_terminal.webhooks import WebhookSecret
from protocol.errors import InputError
from protocol.identifiers import check_payment_id, parse_phone_number
from protocol.messages import LONGEST_ORDER
from protocol.money import currency, format_money, parse_amount
from protocol.text import check_shown_text

EXIT_TEXT = """\
exit status:
  0  charge, status: the payment completed. Other commands: done
  1  charge, status: the payment was not settled. cancel: too late, it is paid
  2  usage or input was wrong, or the issuer refused; nothing was charged
  3  the issuer cannot be reached, so that the outcome may not be known; or
     (status) the payment is still running

A charge whose answer got lost is remembered. Give the same command again: it
asks about the same payment and does not charge twice.
"""


def build_parser() -> argparse.ArgumentParser:
    """Every command and option; the API key is never one of them, as other users can read a command line."""
    parser = argparse.ArgumentParser(
        prog="merchant-terminal",
        description="Charge a customer by phone number. They pay with their own phone and card reader.",
        epilog=EXIT_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", help="configuration file (the key is kept beside it)")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for scripts instead of text"
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    shared.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON for scripts"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    login = commands.add_parser("login", parents=[shared], help="store the issuer's address and your API key")
    login.add_argument(
        "--issuer", required=True, metavar="URL", help="https://… (http:// on this machine only)"
    )
    login.add_argument(
        "--ca-file", metavar="PEM", help="certificates to trust, for an issuer with its own authority"
    )

    charge = commands.add_parser(
        "charge",
        parents=[shared],
        help="ask a customer to pay and wait for the outcome",
        epilog=EXIT_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    charge.add_argument("--phone", required=True, help="the customer's phone number with country code: +81…")
    charge.add_argument("--amount", required=True, help="as people write it: 1200 or 12.50")
    charge.add_argument(
        "--currency", required=True, metavar="CODE", help="ISO 4217 code: JPY, USD, EUR … (or jpy)"
    )
    charge.add_argument(
        "--order", required=True, metavar="TEXT", help="what is bought; shown to the customer"
    )
    charge.add_argument(
        "--new", action="store_true", help="charge anew even if the same charge is unanswered"
    )

    status = commands.add_parser("status", parents=[shared], help="show one payment")
    status.add_argument("payment", metavar="ID", help="pay_…")
    cancel = commands.add_parser("cancel", parents=[shared], help="cancel a payment that is still running")
    cancel.add_argument("payment", metavar="ID", help="pay_…")
    refund = commands.add_parser(
        "refund", parents=[shared], help="give the money of a payment back, all of it or a part"
    )
    refund.add_argument("payment", metavar="ID", help="pay_…")
    refund.add_argument("--amount", help="as people write it: 1200 or 12.50 (default: all that is left)")
    refunds = commands.add_parser("refunds", parents=[shared], help="show what was given back of a payment")
    refunds.add_argument("payment", metavar="ID", help="pay_…")
    listing = commands.add_parser("list", parents=[shared], help="show the latest payments")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="how many (1 to 100, default 20)")
    listen = commands.add_parser(
        "listen", parents=[shared], help="show the issuer's webhooks as they arrive, for development"
    )
    listen.add_argument("--port", type=int, default=8490, help="on this machine (default: %(default)s)")
    for several in (listing, refunds):
        several.add_argument("--cursor", metavar="TEXT", help="where the last list ended")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        return asyncio.run(_run(arguments))
    except (InputError, IssuerError) as error:
        return _say(arguments, failure_of(arguments.command, error))
    except KeyboardInterrupt:
        if arguments.command == "listen":
            return Exit.COMPLETED
        return _say(arguments, interrupted(arguments.command))


async def _run(arguments: argparse.Namespace) -> int:
    places = Places.find(arguments.config, os.environ)
    if arguments.command == "login":
        return await _login(arguments, places)
    if arguments.command == "listen":
        return await _listen(arguments)
    if arguments.command in ("status", "cancel", "refund", "refunds"):
        check_payment_id(arguments.payment)  # a slip of the hand is said before anything else may be wrong
    settings = load_settings(places)
    key = load_key(places)
    async with StatusLine(silent=arguments.json) as line:

        def announce(retry: Retry) -> None:
            line.show(f"{retry.why}, trying again in {max(1, round(retry.delay))} s")

        retries = RetryPolicy(give_up_after=_give_up_after())
        async with IssuerApi(
            settings.issuer_url, key, retries=retries, on_retry=announce, tls=settings.tls()
        ) as api:
            match arguments.command:
                case "charge":
                    return await _charge(arguments, places, settings, api, line)
                case "status":
                    line.show("asking the issuer")
                    payment = await api.payment(check_payment_id(arguments.payment))
                    await line.close()
                    return _show_payment(arguments, payment)
                case "cancel":
                    return await _cancel(arguments, api, line)
                case "refund":
                    return await _refund(arguments, places, api, line)
                case "refunds":
                    return await _refunds(arguments, api, line)
                case _:
                    return await _list(arguments, api, line)


def _give_up_after() -> float:
    """Seconds of retrying, from MERCHANT_TERMINAL_PATIENCE; an issuer restart must fit into the default."""
    text = os.environ.get("MERCHANT_TERMINAL_PATIENCE", "45")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= 3600.0:
        raise InputError("invalid_patience", "MERCHANT_TERMINAL_PATIENCE must be seconds from 0 to 3600.")
    return seconds


async def _login(arguments: argparse.Namespace, places: Places) -> int:
    settings = Settings(check_issuer_url(arguments.issuer), absolute(arguments.ca_file))
    tls = settings.tls()
    key = ApiKey(await _secret("API key (not shown): "))
    async with IssuerApi(
        settings.issuer_url,
        key,
        retries=RetryPolicy(give_up_after=min(5.0, _give_up_after())),
        tls=tls,
    ) as api:
        await api.payments(limit=1)
    save(places, settings, key)
    if arguments.json:
        print(json.dumps({"issuer": settings.issuer_url, "config": str(places.config)}))
    else:
        print(
            f"The issuer at {settings.issuer_url} accepts the key.\n"
            f"It is stored in {places.key}, readable by you alone."
        )
    return Exit.COMPLETED


async def _listen(arguments: argparse.Namespace) -> int:
    if not 0 <= arguments.port <= 65535:
        raise InputError("invalid_port", "A port is 0 (any) to 65535.")
    await listen(WebhookSecret(await _secret("Webhook secret (not shown): ")), arguments.port, arguments.json)
    return Exit.COMPLETED


async def _secret(prompt: str) -> str:
    if sys.stdin.isatty():
        return (await asyncio.to_thread(getpass.getpass, prompt)).strip()
    return sys.stdin.readline().strip()


async def _charge(
    arguments: argparse.Namespace, places: Places, settings: Settings, api: IssuerApi, line: StatusLine
) -> int:
    charge = Charge(
        parse_phone_number(arguments.phone),
        parse_amount(arguments.amount, currency(arguments.currency.upper())),
        check_shown_text(arguments.order.strip(), LONGEST_ORDER, "order"),
    )
    charges = UnansweredCharges(places.unanswered)
    held, again = claim(charges, settings.issuer_url, charge, time.time(), new=arguments.new)
    try:
        if again:
            line.keep(describe_earlier(held))
        payment = await settle_charge(api, held, line.show)
        await line.close()
        if arguments.json:
            _print_json(payment.completed, payment, taken_up_again=again)
        else:
            print(receipt(payment), end="", flush=True)
        held.answered()
    finally:
        held.release()
    return Exit.COMPLETED if payment.completed else Exit.NOT_SETTLED


async def _cancel(arguments: argparse.Namespace, api: IssuerApi, line: StatusLine) -> int:
    payment_id = check_payment_id(arguments.payment)
    line.show("cancelling at the issuer")
    try:
        payment = await api.cancel(payment_id)
    except ProblemError as problem:
        if problem.status != 409:
            raise
        payment = await api.payment(payment_id)
    await line.close()
    if payment.completed:
        if arguments.json:
            _print_json(True, payment)
        else:
            print(f"Too late to cancel: {payment.id} had completed ({format_money(payment.amount)}).")
        return Exit.NOT_SETTLED
    if not payment.over:
        if arguments.json:
            _print_json(None, payment)
        else:
            print(f"{payment.id} is being settled this moment. See: merchant-terminal status {payment.id}")
        return Exit.UNKNOWN
    if arguments.json:
        _print_json(False, payment)
    else:
        print(f"{payment.id} is not settled. {reason_sentence(payment.reason)} No money has moved.")
    return Exit.COMPLETED


async def _refund(arguments: argparse.Namespace, places: Places, api: IssuerApi, line: StatusLine) -> int:
    payment_id = check_payment_id(arguments.payment)
    held, amount = await claim_refund(api, places.unanswered, payment_id, arguments.amount, line.show)
    try:
        if held.taken_up:
            line.keep(
                "The same refund was sent before and its answer never came back. Asking about that one again."
            )
        line.show("refunding")
        refund = await settle_refund(api, payment_id, amount, held)
        payment = await api.payment(payment_id)
        await line.close()
        if arguments.json:
            document = {
                "outcome": "refunded",
                "refund": refund_document(refund),
                "payment": payment_document(payment),
                "taken_up_again": held.taken_up,
            }
            print(json.dumps(document, ensure_ascii=False), flush=True)
        else:
            of = f"{format_money(refunded_money(payment))} of {format_money(payment.amount)}"
            print(f"{format_money(refund.amount)} refunded: {refund.id}\nRefunded so far: {of}.", flush=True)
        held.answered()
    finally:
        held.release()
    return Exit.COMPLETED


async def _refunds(arguments: argparse.Namespace, api: IssuerApi, line: StatusLine) -> int:
    line.show("asking the issuer")
    page = await api.refunds(check_payment_id(arguments.payment), limit=100, cursor=arguments.cursor)
    await line.close()
    if arguments.json:
        _print_page("refunds", [refund_document(each) for each in page.refunds], page.next_cursor)
    else:
        older = f"refunds {arguments.payment}"
        _show_page(map(refund_line, page.refunds), "No refunds of this payment.", older, page.next_cursor)
    return Exit.COMPLETED


def _show_payment(arguments: argparse.Namespace, payment: Payment) -> int:
    if arguments.json:
        _print_json(payment.completed if payment.over else None, payment)
    elif payment.over:
        print(receipt(payment), end="")
    else:
        print(f"{payment.id} is still running. {progress(payment)}.")
    if not payment.over:
        return Exit.UNKNOWN
    return Exit.COMPLETED if payment.completed else Exit.NOT_SETTLED


async def _list(arguments: argparse.Namespace, api: IssuerApi, line: StatusLine) -> int:
    if not 1 <= arguments.limit <= 100:
        raise InputError("invalid_limit", problem_sentence("invalid_limit", ""))
    line.show("asking the issuer")
    page = await api.payments(limit=arguments.limit, cursor=arguments.cursor)
    await line.close()
    if arguments.json:
        _print_page("payments", [payment_document(each) for each in page.payments], page.next_cursor)
    else:
        _show_page(map(summary, page.payments), "No payments yet.", "list", page.next_cursor)
    return Exit.COMPLETED


def _print_page(name: str, documents: list[dict[str, object]], next_cursor: str | None) -> None:
    print(json.dumps({name: documents, "next_cursor": next_cursor}, ensure_ascii=False))


def _show_page(lines: Iterable[str], none: str, command: str, next_cursor: str | None) -> None:
    """A line each, newest first, and the command that shows the older ones."""
    print(*([*lines] or [none]), sep="\n")
    if next_cursor:
        print(f"Older ones: merchant-terminal {command} --cursor {next_cursor}")


def _print_json(completed: bool | None, payment: Payment, *, taken_up_again: bool = False) -> None:
    outcome = "running" if completed is None else "completed" if completed else "not_settled"
    document = {"outcome": outcome, "payment": payment_document(payment), "taken_up_again": taken_up_again}
    print(json.dumps(document, ensure_ascii=False), flush=True)


def _say(arguments: argparse.Namespace, failure: Failure) -> int:
    if arguments.json:
        error = {"code": failure.code, "message": failure.message}
        print(json.dumps({"outcome": failure.outcome, "error": error}, ensure_ascii=False))
    else:
        # Ctrl-C leaves "^C" on the line.
        with suppress(OSError):
            paragraphs = f"merchant-terminal: {failure.message}".splitlines()
            # Not at a hyphen: who copies `merchant-terminal login` must get it whole.
            lines = [textwrap.fill(each, 78, break_on_hyphens=False) for each in paragraphs]
            print("\n".join(lines), file=sys.stderr)
    return failure.status
