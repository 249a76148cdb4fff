"""`doctor`: what keeps the issuer from working, each with its remedy."""

from __future__ import annotations

import argparse
import secrets

from issuer_server.commands.desk import SETTINGS_FILE, Commands, add_data_option, settings_of
from issuer_server.key_custody.key_opening import open_keys
from issuer_server.key_custody.key_store import KeyPurpose
from issuer_server.operations import doctor, doctor_database
from issuer_server.settings import Settings
from issuer_server.storage.sqlite import SqliteStorage
from protocol.errors import BlindRelayError
from service_host import findings
from service_host.findings import Finding, Level
from service_host.machine import service

_INSTALL = "Run, in a clone of Blind Relay: sudo packaging/install-issuer.sh"


def add_parsers(commands: Commands) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser("doctor", help="what keeps the issuer from working, and the remedy")
    add_data_option(parser)
    parser.add_argument(
        "--quick", action="store_true", help="leave the database's indexes out: large ones take long"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = "Exit status 1 where anything keeps the issuer from working."
    parser.set_defaults(handler=doctor_command)


async def doctor_command(arguments: argparse.Namespace) -> int:
    """Print every finding; the exit status."""
    found = await examine(arguments, doctor.Machine())
    print(findings.document(found) if arguments.json else "\n".join(findings.lines(found)))
    return findings.worst(found)


async def examine(arguments: argparse.Namespace, machine: doctor.Machine) -> list[Finding]:
    """Every check, in the order in which one would repair things."""
    try:
        settings = settings_of(arguments)
    except BlindRelayError as problem:
        path = arguments.data / SETTINGS_FILE
        # Where there is none, the problem itself says how one is made.
        remedy = f"Correct {path}." if path.exists() else "Or name the right folder with --data DIR."
        return [Finding("settings", Level.FAULT, str(problem), remedy)]
    running = doctor_database.runs(settings.database)
    found = [
        *doctor.settings_file(arguments.data / SETTINGS_FILE, settings),
        *doctor.data_directory(arguments.data),
        *doctor.disk(machine, settings),
    ]
    of_database, known = doctor_database.database(settings.database, running=running, quick=arguments.quick)
    found += of_database
    if known is not None:
        found += [await _keys(settings), *doctor_database.outbox(known, machine.now())]
    return [
        *found,
        *doctor.clock(machine, known.last_payment_at if known is not None else None),
        *doctor.tls(machine, settings),
        *doctor.ports(settings, running),
        *service(machine, doctor.SERVICE, _INSTALL),
        *doctor.limits_of_files(machine),
    ]


async def _keys(settings: Settings) -> Finding:
    """Opened as the issuer does, and compared with what the database knows of them."""
    try:
        storage = await SqliteStorage.open_beside_server(settings.database)
        try:
            keys = await open_keys(settings, storage.keys, secrets.token_bytes)
        finally:
            await storage.close()
    except BlindRelayError as problem:
        return Finding(
            "keys", Level.FAULT, str(problem), "Without its keys no card pays: docs/issuer-keys.md"
        )
    place = keys.cabinet.where(KeyPurpose.SIGNING, keys.active(KeyPurpose.SIGNING))
    return Finding("keys", Level.OK, f"{place}: those that the database was made with")
