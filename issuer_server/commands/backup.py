"""`backup` and `restore`: the database to one file while the issuer runs, and back while it does not."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

from issuer_server.commands.desk import Commands, add_data_option, settings_of
from issuer_server.commands.operator import operator_name
from issuer_server.commands.output import print_fields
from issuer_server.operations.doctor import day
from issuer_server.storage.key_records import Operator
from issuer_server.storage.sqlite.backup import Copied, back_up, restore

_KEYS_APART = (
    "The keys in {keys} are not in it, and must not lie beside it: whoever has both can try out every PIN."
)


def add_parsers(commands: Commands) -> None:
    """Declare the subcommands."""
    backup = commands.add_parser("backup", help="copy the database to a file, the issuer running or not")
    backup.add_argument("file", type=Path, metavar="FILE", help="a new file; its folder must exist")
    backup.set_defaults(handler=backup_command)
    restoring = commands.add_parser(
        "restore", help="put a backup in the database's place; stop the issuer first"
    )
    restoring.add_argument("file", type=Path, metavar="FILE", help="what `backup` wrote")
    restoring.set_defaults(handler=restore_command)
    for parser in (backup, restoring):
        add_data_option(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")


async def backup_command(arguments: argparse.Namespace) -> None:
    """Says what is in the copy, which was checked whole."""
    settings = settings_of(arguments)
    copied = back_up(settings.database, arguments.file)
    print_fields({"backup": str(copied.path), **_contents(copied)}, arguments.json)
    if not arguments.json:
        print(_KEYS_APART.format(keys=settings.keys))


async def restore_command(arguments: argparse.Namespace) -> None:
    """Says what is in place now, and where the former database is."""
    settings = settings_of(arguments)
    operator = Operator(operator_name(), time.time())
    stamp = datetime.fromtimestamp(operator.at, UTC).strftime("%Y%m%dT%H%M%SZ")
    restored = restore(arguments.file, settings.database, operator, stamp)
    fields = {
        "database": str(restored.copy.path),
        **_contents(restored.copy),
        "former_database": None if restored.set_aside is None else str(restored.set_aside),
        "codes_ended": restored.codes_ended,
    }
    print_fields(fields, arguments.json)
    if not arguments.json:
        print("What happened after the backup is not in it. Before you start it: issuer-server doctor")


def _contents(copied: Copied) -> dict[str, object]:
    known = copied.figures
    fields: dict[str, object] = {"bytes": copied.size, "schema_version": copied.version}
    if known is not None:
        last = None if known.last_payment_at is None else day(known.last_payment_at)
        fields |= {
            "payments": known.payments,
            "in_flight": known.in_flight,
            "transfers": known.transfers,
            "last_payment": last,
        }
    return fields
