"""`merchant webhook`: where a merchant is told of its payments, and the secrets that sign it."""

from __future__ import annotations

import argparse

from issuer_server import administration
from issuer_server.commands.desk import Commands, add_data_option, open_desk
from issuer_server.commands.output import print_fields, print_rows
from issuer_server.operations.doctor import day
from protocol.errors import InputError
from protocol.identifiers import check_merchant_id, check_webhook_endpoint_id

OVERLAP_HOURS = 24
MOST_OVERLAP_HOURS = 24 * 30
MESSAGES_SHOWN = 100


def add_parsers(merchant: Commands) -> None:
    """Declare the subcommands of `merchant webhook`."""
    actions = merchant.add_parser("webhook", help="where a merchant is told of its payments").add_subparsers(
        required=True, metavar="ACTION"
    )
    add = actions.add_parser("add", help="tell a merchant at an address; prints the signing secret once")
    add.add_argument("--merchant", required=True, metavar="ID")
    add.add_argument("--url", required=True, help="https://…")
    add.set_defaults(handler=add_endpoint)
    listing = actions.add_parser("list", help="the endpoints, and what did not arrive")
    listing.add_argument("--merchant", metavar="ID", help="only this merchant's")
    listing.set_defaults(handler=list_endpoints)
    rotate = actions.add_parser("rotate", help="a new secret; the old one signs as well for a while")
    rotate.add_argument("id")
    rotate.add_argument(
        "--overlap-hours", type=int, default=OVERLAP_HOURS, help="how long (default: %(default)s)"
    )
    rotate.set_defaults(handler=rotate_secret)
    remove = actions.add_parser("remove", help="forget an endpoint and what waits for it")
    remove.add_argument("id")
    remove.set_defaults(handler=remove_endpoint)
    undelivered = actions.add_parser("undelivered", help="an endpoint's messages that did not arrive")
    undelivered.add_argument("id")
    undelivered.add_argument(
        "--first", type=int, default=MESSAGES_SHOWN, help="how many (default: %(default)s)"
    )
    undelivered.set_defaults(handler=list_undelivered)
    redeliver = actions.add_parser(
        "redeliver", help="send what did not arrive again now, also what was given up"
    )
    redeliver.add_argument("id")
    redeliver.add_argument("--message", metavar="ID", help="only this one: msg_…")
    redeliver.set_defaults(handler=send_again)
    for parser in (add, listing, rotate, remove, undelivered, redeliver):
        add_data_option(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")


async def add_endpoint(arguments: argparse.Namespace) -> None:
    """Print the secret: this once."""
    merchant_id = check_merchant_id(arguments.merchant)
    async with open_desk(arguments) as desk:
        added = await administration.add_webhook(
            desk.storage,
            merchant_id,
            arguments.url,
            (await desk.keys()).seal,
            desk.random,
            desk.now,
            private_allowed=desk.settings.webhooks_to_private_addresses,
        )
    print_fields({"id": added.id, "url": added.url, "secret": added.secret}, arguments.json)


async def list_endpoints(arguments: argparse.Namespace) -> None:
    """With the latest thing that went wrong."""
    merchant_id = None if arguments.merchant is None else check_merchant_id(arguments.merchant)
    async with open_desk(arguments) as desk:
        endpoints = await desk.storage.webhook_endpoints(merchant_id)
    rows = [
        {
            "id": each.id,
            "merchant": each.merchant_id,
            "url": each.url,
            "status": "gone" if each.disabled else "active",
            "waiting": each.waiting,
            "given_up": each.failed,
            "problem": each.problem,
        }
        for each in endpoints
    ]
    print_rows(rows, arguments.json, "No webhooks yet: `issuer-server merchant webhook add`.")


async def rotate_secret(arguments: argparse.Namespace) -> None:
    """Print the new secret: this once."""
    endpoint_id = check_webhook_endpoint_id(arguments.id)
    hours = check_overlap_hours(arguments.overlap_hours)
    async with open_desk(arguments) as desk:
        seal = (await desk.keys()).seal
        secret = await administration.rotate_webhook_secret(
            desk.storage, endpoint_id, seal, desk.random, desk.now, hours * 3600.0
        )
    print_fields(
        {"id": endpoint_id, "secret": secret, "old_secret_signs_for_hours": hours},
        arguments.json,
    )


async def list_undelivered(arguments: argparse.Namespace) -> None:
    """The longest waiting first."""
    endpoint_id = check_webhook_endpoint_id(arguments.id)
    async with open_desk(arguments) as desk:
        messages = await desk.storage.undelivered.of_endpoint(endpoint_id, max(1, arguments.first))
    rows = [
        {
            "id": each.message_id,
            "tells": each.event,
            "made": day(each.created_at),
            "attempts": each.attempts,
            "next_attempt": "given up" if each.next_at is None else day(each.next_at),
            "problem": each.problem,
        }
        for each in messages
    ]
    print_rows(rows, arguments.json, "Everything has arrived.")


async def send_again(arguments: argparse.Namespace) -> None:
    """The running issuer sends them within a second, else the next start does; each has all its attempts."""
    endpoint_id = check_webhook_endpoint_id(arguments.id)
    async with open_desk(arguments) as desk:
        count = await desk.storage.undelivered.send_again(endpoint_id, arguments.message, desk.now)
    print_fields({"id": endpoint_id, "status": "active", "sent_again": count}, arguments.json)


def check_overlap_hours(hours: int) -> int:
    """For how long what was replaced goes on; raises InputError."""
    if not 0 <= hours <= MOST_OVERLAP_HOURS:
        raise InputError("invalid_overlap_hours", f"The overlap is 0 to {MOST_OVERLAP_HOURS} hours.")
    return hours


async def remove_endpoint(arguments: argparse.Namespace) -> None:
    """Nothing is sent there any more."""
    endpoint_id = check_webhook_endpoint_id(arguments.id)
    async with open_desk(arguments) as desk:
        await desk.storage.remove_webhook_endpoint(endpoint_id)
    print_fields({"id": endpoint_id, "status": "removed"}, arguments.json)
