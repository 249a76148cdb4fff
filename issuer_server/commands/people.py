"""`merchant`, `cardholder` and `balance`."""

from __future__ import annotations

import argparse

from issuer_server import administration
from issuer_server.commands import webhooks
from issuer_server.commands.desk import Commands, add_data_option, open_desk
from issuer_server.commands.output import print_fields, print_rows, status
from issuer_server.commands.webhooks import OVERLAP_HOURS, check_overlap_hours
from issuer_server.ledger import check_trial_balance
from protocol.errors import InputError
from protocol.identifiers import check_cardholder_id, check_merchant_id
from protocol.money import Currency, currency, format_money, parse_amount


def add_parsers(commands: Commands) -> None:
    """Declare the subcommands."""
    merchant = _subject(commands, "merchant", "who may ask for payments")
    add = _action(merchant, "add", "register a merchant; prints its API key once")
    add.add_argument(
        "--name", required=True, help="the name that phones and readers show, 1 to 40 characters"
    )
    add.add_argument(
        "--look-alike",
        action="store_true",
        help="take a name that looks like another merchant's: you have checked that both may have it",
    )
    add.set_defaults(handler=add_merchant)
    _action(merchant, "list", "who there is").set_defaults(handler=list_merchants)
    replace = _action(merchant, "new-key", "replace a merchant's API key; prints the new one once")
    replace.add_argument("id")
    replace.add_argument(
        "--overlap-hours",
        type=int,
        default=OVERLAP_HOURS,
        help="how long the old one works still; 0 for one that was stolen (default: %(default)s)",
    )
    replace.set_defaults(handler=replace_key)
    _add_blocking(merchant, "merchant")
    webhooks.add_parsers(merchant)

    cardholder = _subject(commands, "cardholder", "who pays")
    add = _action(cardholder, "add", "register a person")
    add.add_argument("--name", required=True)
    add.add_argument("--phone", required=True, help="with country code: '+81 90 1234 5678'")
    add.set_defaults(handler=add_cardholder)
    _action(cardholder, "list", "who there is").set_defaults(handler=list_cardholders)
    _add_blocking(cardholder, "cardholder")
    refused = _action(cardholder, "blocked-merchants", "whom a cardholder has blocked from the phone")
    refused.add_argument("id")
    refused.set_defaults(handler=list_blocked_merchants)
    unblock = _action(cardholder, "unblock-merchant", "let a merchant call a cardholder again")
    unblock.add_argument("id")
    unblock.add_argument("--merchant", required=True, metavar="ID")
    unblock.set_defaults(handler=unblock_merchant)
    fund = _action(cardholder, "fund", "put money at a cardholder's disposal")
    fund.add_argument("id")
    fund.add_argument("--amount", required=True, help="as people write it: 12.50")
    fund.add_argument("--currency", required=True, help="ISO 4217: JPY, USD …")
    fund.set_defaults(handler=fund_cardholder)

    balance = commands.add_parser("balance", help="every account, and whether the books balance")
    add_data_option(balance)
    balance.add_argument("--owner", help="only this merchant's or cardholder's accounts")
    balance.add_argument("--json", action="store_true", help="print JSON")
    balance.set_defaults(handler=show_balances)


def _subject(commands: Commands, name: str, about: str) -> Commands:
    return commands.add_parser(name, help=about).add_subparsers(required=True, metavar="ACTION")


def _action(subject: Commands, name: str, about: str) -> argparse.ArgumentParser:
    parser = subject.add_parser(name, help=about)
    add_data_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_blocking(subject: Commands, what: str) -> None:
    for name, blocked in (("block", True), ("unblock", False)):
        parser = _action(subject, name, f"{name} a {what}")
        parser.add_argument("id")
        parser.set_defaults(handler=set_blocked, subject=what, blocked=blocked)


async def set_blocked(arguments: argparse.Namespace) -> None:
    """Block or unblock a merchant or a cardholder."""
    async with open_desk(arguments) as desk:
        if arguments.subject == "merchant":
            await desk.storage.set_merchant_blocked(check_merchant_id(arguments.id), arguments.blocked)
        else:
            await desk.storage.set_cardholder_blocked(check_cardholder_id(arguments.id), arguments.blocked)
    print_fields({"id": arguments.id, "status": status(arguments.blocked)}, arguments.json)


async def add_merchant(arguments: argparse.Namespace) -> None:
    """Print the API key: this once, since only its hash is kept."""
    async with open_desk(arguments) as desk:
        try:
            added = await administration.add_merchant(
                desk.storage,
                arguments.name,
                desk.random,
                desk.now,
                look_alike_allowed=arguments.look_alike,
            )
        except InputError as error:
            if error.code != "merchant_name_looks_alike":
                raise
            raise InputError(
                error.code, f"{error} See 'merchant list'; if both may have it, say --look-alike."
            ) from None
    print_fields({"id": added.id, "name": added.name, "api_key": added.api_key}, arguments.json)


async def replace_key(arguments: argparse.Namespace) -> None:
    """Print the new API key: this once. Payments, refunds and webhooks stay the merchant's."""
    merchant_id, hours = check_merchant_id(arguments.id), check_overlap_hours(arguments.overlap_hours)
    async with open_desk(arguments) as desk:
        api_key = await administration.replace_api_key(
            desk.storage, merchant_id, desk.random, desk.now, hours * 3600.0
        )
    print_fields({"id": merchant_id, "api_key": api_key, "old_key_works_for_hours": hours}, arguments.json)


async def list_merchants(arguments: argparse.Namespace) -> None:
    """Table 31."""
    async with open_desk(arguments) as desk:
        merchants = await desk.storage.merchants()
    rows = [{"id": each.id, "name": each.name, "status": status(each.blocked)} for each in merchants]
    print_rows(rows, arguments.json, "No merchants yet: `issuer-server merchant add`.")


async def add_cardholder(arguments: argparse.Namespace) -> None:
    """A person, who then needs a card, a handset, a reader and money."""
    async with open_desk(arguments) as desk:
        added = await administration.add_cardholder(
            desk.storage, arguments.name, arguments.phone, desk.random, desk.now
        )
    print_fields({"id": added.id, "name": added.name, "phone": added.phone}, arguments.json)


async def list_cardholders(arguments: argparse.Namespace) -> None:
    """Table 32."""
    async with open_desk(arguments) as desk:
        cardholders = await desk.storage.cardholders()
    rows = [
        {"id": each.id, "name": each.name, "phone": each.phone, "status": status(each.blocked)}
        for each in cardholders
    ]
    print_rows(rows, arguments.json, "No cardholders yet: `issuer-server cardholder add`.")


async def list_blocked_merchants(arguments: argparse.Namespace) -> None:
    """Whom the cardholder does not want to be called for."""
    cardholder_id = check_cardholder_id(arguments.id)
    async with open_desk(arguments) as desk:
        merchants = await desk.storage.blocked_merchants(cardholder_id)
    rows = [{"id": each.id, "name": each.name} for each in merchants]
    print_rows(rows, arguments.json, "This cardholder has blocked no merchant.")


async def unblock_merchant(arguments: argparse.Namespace) -> None:
    """Take a cardholder's block of a merchant back, at the cardholder's wish."""
    cardholder_id, merchant_id = check_cardholder_id(arguments.id), check_merchant_id(arguments.merchant)
    async with open_desk(arguments) as desk:
        await desk.storage.unblock_merchant(cardholder_id, merchant_id)
    print_fields({"id": cardholder_id, "merchant": merchant_id, "status": status(False)}, arguments.json)


async def fund_cardholder(arguments: argparse.Namespace) -> None:
    """A posting from the issuer's funding account."""
    cardholder_id = check_cardholder_id(arguments.id)
    money = parse_amount(arguments.amount, currency(arguments.currency))
    async with open_desk(arguments) as desk:
        await desk.storage.fund(cardholder_id, money, desk.now)
        balances = await desk.storage.balances(cardholder_id)
    now = next(each for each in balances if each.currency == money.currency)
    print_fields(
        {"id": cardholder_id, "added": format_money(money), "balance": balance_text(now.minor, now.currency)},
        arguments.json,
    )


async def show_balances(arguments: argparse.Namespace) -> None:
    """All accounts are added up even where one owner's are shown; raises LedgerError after printing."""
    async with open_desk(arguments) as desk:
        everything = await desk.storage.balances()
    shown = [each for each in everything if arguments.owner in (None, each.owner)]
    rows = [
        {
            "owner": each.owner,
            "kind": each.kind,
            "currency": each.currency.code,
            "minor": each.minor,
            "balance": balance_text(each.minor, each.currency),
            "held": balance_text(each.held, each.currency),
            "available": balance_text(each.available, each.currency),
        }
        for each in shown
    ]
    print_rows(rows, arguments.json, "No accounts yet: money opens them.")
    check_trial_balance(everything)


def balance_text(minor: int, of: Currency) -> str:
    """A balance as people read it; unlike a payment's Money it may be zero, negative or longer."""
    whole, fraction = divmod(abs(minor), 10**of.exponent)
    decimals = f".{fraction:0{of.exponent}d}" if of.exponent else ""
    return f"{of.code} {'-' if minor < 0 else ''}{whole:,}{decimals}"
