"""`card reset-pin` and `card reindex`: what rotation and forgetful people ask of cards that are there."""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import Final

from issuer_server import administration
from issuer_server.commands.desk import Commands, add_data_option, open_desk
from issuer_server.commands.operator import operator_name
from issuer_server.commands.output import print_fields
from issuer_server.commands.secret_input import new_pin
from issuer_server.storage.key_records import AuditEntry
from protocol.errors import InputError
from protocol.identifiers import check_card_id

GENERATED_DIGITS: Final = 4
_LONGEST_LINE: Final = 64


def add_parsers(actions: Commands) -> None:
    """Declare the subcommands of `card`."""
    reset = actions.add_parser(
        "reset-pin", help="another PIN, with all its tries; asks for it twice, or reads one line"
    )
    reset.add_argument("id")
    reset.add_argument("--generate", action="store_true", help="make a PIN and show it, this once")
    reset.add_argument("--unblock", action="store_true", help="also accept the card again if it is blocked")
    reset.set_defaults(handler=reset_pin)
    reindex = actions.add_parser(
        "reindex", help="move cards to the present pan-index key; reads their numbers, one a line"
    )
    reindex.set_defaults(handler=reindex_cards)
    for parser in (reset, reindex):
        add_data_option(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")


async def reset_pin(arguments: argparse.Namespace) -> None:
    """Only a verifier is stored; the PIN is in this process alone, and on the screen if it was made here."""
    card_id = check_card_id(arguments.id)
    async with open_desk(arguments) as desk:
        card = next((each for each in await desk.storage.cards() if each.id == card_id), None)
        if card is None:
            raise InputError("unknown_card", "There is no card with this id: see `issuer-server card list`.")
        keys = (await desk.keys()).cards
        made = bytearray()
        if arguments.generate:
            made += "".join(str(secrets.randbelow(10)) for _ in range(GENERATED_DIGITS)).encode("ascii")
        with new_pin(made) as pin:
            await administration.reset_pin(
                desk.storage.keys,
                keys,
                card_id,
                pin,
                AuditEntry(operator_name(), "reset pin", card_id, desk.now),
            )
            shown = pin.decode("ascii") if arguments.generate else None
        if arguments.unblock:
            await desk.storage.set_card_blocked(card_id, False)
        cards = {each.id: each for each in await desk.storage.cards()}
    fields: dict[str, object] = {"id": card_id, "last_four": card.last_four}
    if shown is not None:
        fields["pin"] = shown
    fields["pin_tries_left"] = cards[card_id].pin_tries_left
    fields["status"] = "blocked" if cards[card_id].blocked else "active"
    print_fields(fields, arguments.json)
    if not arguments.json:
        if shown is not None:
            print("The PIN is shown this once: hand it to the cardholder and nobody else.")
        if cards[card_id].blocked:
            print(
                "The card, or its cardholder, is blocked still: `issuer-server card unblock ID` accepts it."
            )


async def reindex_cards(arguments: argparse.Namespace) -> None:
    """For whoever has the numbers in another system: a rotation ends without waiting for every swipe."""
    if sys.stdin.isatty():
        print("Card numbers, one a line; end with Ctrl-D. They are not stored.", file=sys.stderr)
    counts = dict.fromkeys(("moved", "there_already", "unknown"), 0)
    async with open_desk(arguments) as desk:
        keys = await desk.keys()
        while line := sys.stdin.readline(_LONGEST_LINE):
            pan = bytearray(line.strip().replace(" ", ""), "utf-8")
            if pan:
                counts[await administration.reindex_card(desk.storage, keys, pan)] += 1
            pan[:] = bytes(len(pan))
    print_fields(counts, arguments.json)
