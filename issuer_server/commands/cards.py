"""`card`: its number and PIN come from a prompt or a pipe and are gone when the command ends."""

from __future__ import annotations

import argparse

from issuer_server import administration
from issuer_server.cards import DEFAULT_PIN_TRIES
from issuer_server.commands import pins
from issuer_server.commands.desk import Commands, add_data_option, open_desk
from issuer_server.commands.output import print_fields, print_rows, status
from issuer_server.commands.secret_input import card_and_pin
from protocol.identifiers import check_card_id, check_cardholder_id


def add_parsers(commands: Commands) -> None:
    """Declare the subcommands."""
    actions = commands.add_parser("card", help="what is swiped").add_subparsers(
        required=True, metavar="ACTION"
    )
    add = actions.add_parser("add", help="register a card; asks for its number and PIN, or reads two lines")
    add.add_argument("--cardholder", required=True, metavar="ID")
    add.add_argument("--expiry", required=True, help="month/year as on the card: 12/29")
    add.add_argument("--pin-tries", type=int, default=DEFAULT_PIN_TRIES, help="default: %(default)s")
    add.set_defaults(handler=add_card)
    listing = actions.add_parser("list", help="the cards there are, by their last four digits")
    listing.set_defaults(handler=list_cards)
    block = actions.add_parser("block", help="refuse a card from now on")
    block.add_argument("id")
    block.set_defaults(handler=set_blocked, blocked=True)
    unblock = actions.add_parser("unblock", help="accept a card again, with all its PIN tries")
    unblock.add_argument("id")
    unblock.set_defaults(handler=set_blocked, blocked=False)
    pins.add_parsers(actions)
    for parser in (add, listing, block, unblock):
        add_data_option(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")


async def add_card(arguments: argparse.Namespace) -> None:
    """Neither number nor PIN is stored or printed."""
    cardholder_id = check_cardholder_id(arguments.cardholder)
    async with open_desk(arguments) as desk:
        keys = (await desk.keys()).cards
        with card_and_pin() as (pan, pin):
            added = await administration.add_card(
                desk.storage,
                keys,
                cardholder_id,
                pan,
                arguments.expiry,
                pin,
                desk.random,
                desk.now,
                arguments.pin_tries,
            )
    print_fields(
        {
            "id": added.id,
            "cardholder": added.cardholder_id,
            "last_four": added.last_four,
            "expiry": _embossed(added.expiry),
        },
        arguments.json,
    )


async def list_cards(arguments: argparse.Namespace) -> None:
    """What is known of a card, which is not its number."""
    async with open_desk(arguments) as desk:
        cards = await desk.storage.cards()
    rows = [
        {
            "id": each.id,
            "cardholder": each.cardholder_id,
            "last_four": each.last_four,
            "expiry": _embossed(each.expiry),
            "pin_tries_left": each.pin_tries_left,
            "status": status(each.blocked),
        }
        for each in cards
    ]
    print_rows(rows, arguments.json, "No cards yet: `issuer-server card add`.")


async def set_blocked(arguments: argparse.Namespace) -> None:
    """Block or unblock; a payment in flight with a card just blocked does not settle."""
    card_id = check_card_id(arguments.id)
    async with open_desk(arguments) as desk:
        await desk.storage.set_card_blocked(card_id, arguments.blocked)
    print_fields({"id": card_id, "status": status(arguments.blocked)}, arguments.json)


def _embossed(expiry: str) -> str:
    return f"{expiry[2:]}/{expiry[:2]}"
