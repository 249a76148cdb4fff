"""`keys` and `audit`: the issuer's own keys, replaced while it runs, and who did what as its operator."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from issuer_server.commands.desk import Commands, add_data_option, open_desk
from issuer_server.commands.operator import operator_name
from issuer_server.commands.output import print_fields, print_rows
from issuer_server.key_custody import key_rotation
from issuer_server.key_custody.key_opening import cabinet_of
from issuer_server.key_custody.key_store import KeyPurpose
from issuer_server.storage.key_records import KeyState

ENTRIES_SHOWN = 100

_WHAT_NOW = {
    KeyPurpose.SIGNING: (
        "Codes made from now on carry the new key. Readers go on with the key they were enrolled with;"
        " to move one, enrol it again, then block its old entry."
    ),
    KeyPurpose.PAN_INDEX: "Cards move to it when they are swiped, or by `issuer-server card reindex`.",
    KeyPurpose.PIN_PEPPER: "Cards move to it when their right PIN is typed, or is reset.",
    KeyPurpose.WEBHOOK_SEAL: "The stored secrets are sealed with it already.",
}


def add_parsers(commands: Commands) -> None:
    """Declare the subcommands."""
    actions = commands.add_parser(
        "keys", help="the issuer's own keys: list, rotate, retire; a running server goes on"
    ).add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every version, and how much depends on it")
    listing.set_defaults(handler=list_keys)
    rotate = actions.add_parser("rotate", help="a new version for what is made from now on")
    rotate.set_defaults(handler=rotate_key)
    retire = actions.add_parser("retire", help="destroy a version that nothing needs any more")
    retire.set_defaults(handler=retire_key)
    for parser in (rotate, retire):
        parser.add_argument("purpose", choices=[each.value for each in KeyPurpose], metavar="PURPOSE")
        parser.epilog = f"PURPOSE is one of {', '.join(KeyPurpose)}."
    retire.add_argument("version", type=int)
    retire.add_argument(
        "--abandon", action="store_true", help="also where readers or cards need it: they can pay no more"
    )
    audit = commands.add_parser("audit", help="who did what as the operator; latest first")
    audit.add_argument("--last", type=int, default=ENTRIES_SHOWN, help="how many (default: %(default)s)")
    audit.set_defaults(handler=show_audit)
    for parser in (listing, rotate, retire, audit):
        add_data_option(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")


async def list_keys(arguments: argparse.Namespace) -> None:
    """No key is shown, and none is read."""
    async with open_desk(arguments) as desk:
        cabinet = cabinet_of(desk.settings, desk.random)
        lines = await key_rotation.survey(desk.storage.keys, cabinet, desk.now)
    rows = [
        {
            "purpose": each.purpose.value,
            "version": each.version,
            "state": each.state.value,
            "since": _day(each.since),
            "needed_by": key_rotation.counted(each.purpose, each.uses) if each.uses else None,
            "kept_in": _place(each),
        }
        for each in lines
    ]
    print_rows(rows, arguments.json, "No keys yet: `issuer-server init`.")


async def rotate_key(arguments: argparse.Namespace) -> None:
    """Safe beside a running server, and safe to repeat."""
    purpose = KeyPurpose(arguments.purpose)
    async with open_desk(arguments) as desk:
        done = await key_rotation.rotate(await desk.keys(), purpose, desk.random, operator_name(), desk.now)
    print_fields(
        {
            "purpose": purpose.value,
            "version": done.version,
            "kept_in": done.kept_in,
            f"version_{done.before}_needed_by": key_rotation.counted(purpose, done.left),
        },
        arguments.json,
    )
    if not arguments.json:
        print(_WHAT_NOW[purpose])
        print("Back the keys up now: what is made with the new one is lost without it.")


async def retire_key(arguments: argparse.Namespace) -> None:
    """For good: neither the version nor what it made comes back."""
    purpose, version = KeyPurpose(arguments.purpose), arguments.version
    async with open_desk(arguments) as desk:
        left = await key_rotation.retire(
            await desk.keys(),
            purpose,
            version,
            desk.random,
            operator_name(),
            desk.now,
            abandon=arguments.abandon,
        )
    print_fields(
        {"purpose": purpose.value, "version": version, "state": "retired", "abandoned": left}, arguments.json
    )
    if not arguments.json:
        print("The key is destroyed. A backup of the database made before now needs the keys of that time.")


async def show_audit(arguments: argparse.Namespace) -> None:
    """Ids and names, no secrets."""
    async with open_desk(arguments) as desk:
        entries = await desk.storage.keys.audit_log(max(1, arguments.last))
    rows = [
        {
            "at": datetime.fromtimestamp(each.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "operator": each.operator,
            "action": each.action,
            "subject": each.subject,
        }
        for each in entries
    ]
    print_rows(rows, arguments.json, "Nobody has done anything yet.")


def _day(stamp: float) -> str:
    return datetime.fromtimestamp(stamp, UTC).date().isoformat()


def _place(line: key_rotation.KeyLine) -> str:
    if line.state is KeyState.RETIRED:
        return "destroyed" if line.kept_in is None else f"{line.kept_in} still: run `keys retire` again"
    return line.kept_in or "MISSING: restore it from its backup"
