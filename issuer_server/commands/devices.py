"""`handset` and `reader`: one-time codes to bring them in, lists, and blocking."""

from __future__ import annotations

import argparse
import sys

from issuer_server import administration
from issuer_server.commands.desk import Commands, add_data_option, open_desk
from issuer_server.commands.output import print_fields, print_rows, status
from issuer_server.enrolments import CODE_LIFE
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import check_cardholder_id, check_handset_id, parse_reader_id, reader_id_text


def add_parsers(commands: Commands) -> None:
    """Declare the subcommands."""
    for kind, about in (
        (EnrolmentKind.HANDSET, "cardholders' phones"),
        (EnrolmentKind.READER, "card readers"),
    ):
        name = kind.name.lower()
        actions = commands.add_parser(name, help=about).add_subparsers(required=True, metavar="ACTION")
        add = actions.add_parser("add", help=f"print a one-time code that enrols a {name}")
        add.add_argument("--cardholder", required=True, metavar="ID")
        add.add_argument("--qr", action="store_true", help="also as a QR code")
        add.set_defaults(handler=add_device, kind=kind)
        listing = actions.add_parser("list", help="what is enrolled")
        listing.set_defaults(handler=list_handsets if kind is EnrolmentKind.HANDSET else list_readers)
        block = actions.add_parser("block", help=f"refuse a {name} from now on")
        block.set_defaults(handler=set_blocked, kind=kind, blocked=True)
        unblock = actions.add_parser("unblock", help=f"accept a {name} again")
        unblock.set_defaults(handler=set_blocked, kind=kind, blocked=False)
        for parser in (block, unblock):
            parser.add_argument("id")
        for parser in (add, listing, block, unblock):
            add_data_option(parser)
            parser.add_argument("--json", action="store_true", help="print JSON")


async def add_device(arguments: argparse.Namespace) -> None:
    """Print the code: this once, since only its hash is kept."""
    cardholder_id = check_cardholder_id(arguments.cardholder)
    async with open_desk(arguments) as desk:
        code = await administration.add_device(
            desk.storage, arguments.kind, cardholder_id, await desk.address(), desk.random, desk.now
        )
    fields = {"code": code.text(), "good_for_hours": int(CODE_LIFE // 3600)}
    print_fields(fields, arguments.json)
    if arguments.qr:
        # Here and not above: the other commands start without it.
        import segno

        segno.make(code.text()).terminal(out=sys.stderr if arguments.json else None, compact=True)


async def list_handsets(arguments: argparse.Namespace) -> None:
    """The phones that hold a token."""
    async with open_desk(arguments) as desk:
        handsets = await desk.storage.handsets()
    rows = [
        {"id": each.id, "cardholder": each.cardholder_id, "phone": each.phone, "status": status(each.blocked)}
        for each in handsets
    ]
    print_rows(rows, arguments.json, "No handsets yet: `issuer-server handset add`.")


async def list_readers(arguments: argparse.Namespace) -> None:
    """The readers whose keys are known."""
    async with open_desk(arguments) as desk:
        readers = await desk.storage.readers()
    rows = [
        {
            "id": reader_id_text(each.id),
            "cardholder": each.cardholder_id,
            "model": each.model,
            "issuer_key": each.issuer_key,
            "status": status(each.blocked),
        }
        for each in readers
    ]
    print_rows(rows, arguments.json, "No readers yet: `issuer-server reader add`.")


async def set_blocked(arguments: argparse.Namespace) -> None:
    """Block or unblock a phone or a reader."""
    async with open_desk(arguments) as desk:
        if arguments.kind is EnrolmentKind.HANDSET:
            await desk.storage.set_handset_blocked(check_handset_id(arguments.id), arguments.blocked)
        else:
            await desk.storage.set_reader_blocked(parse_reader_id(arguments.id), arguments.blocked)
    print_fields({"id": arguments.id, "status": status(arguments.blocked)}, arguments.json)
