"""`init`, `seed` and `run`: from nothing to a running issuer."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from issuer_server.commands.desk import (
    SETTINGS_FILE,
    Commands,
    add_data_option,
    issuer_url,
    open_desk,
    settings_of,
)
from issuer_server.commands.output import Fields, print_fields, print_json
from issuer_server.key_custody.key_opening import prepare_keys
from issuer_server.seed import UNKNOWN_CARD, SampleCard, Seeded, seed
from issuer_server.settings import Settings, settings_from
from issuer_server.storage.sqlite import SqliteStorage
from protocol.enrolment import check_issuer_url
from protocol.errors import InputError

KEYS_DIRECTORY = "keys"
DATABASE_FILE = "issuer.db"
_USUAL: Final[Mapping[str, object]] = {"issuer_id": "issuer.local", "host": "127.0.0.1", "port": 8480}
_NO_ADDRESS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)


def add_parsers(commands: Commands) -> None:
    """Declare the subcommands."""
    init = commands.add_parser("init", help="make a data directory: keys, database, settings; or upgrade one")
    add_data_option(init)
    init.epilog = f"The options are written to DIR/{SETTINGS_FILE}. Change them there once it exists."
    init.add_argument("--issuer-id", help=f"name that readers pin (default: {_USUAL['issuer_id']})")
    init.add_argument("--host", help=f"address to listen on (default: {_USUAL['host']})")
    init.add_argument("--port", type=int, help=f"port to listen on (default: {_USUAL['port']})")
    init.add_argument("--public-url", help="what phones and readers call, where it is not http://HOST:PORT")
    init.add_argument(
        "--tls-certificate", type=Path, help="certificate chain, PEM; needed beyond this machine"
    )
    init.add_argument("--tls-key", type=Path, help="its key, PEM")
    init.add_argument("--json", action="store_true", help="print JSON")
    init.set_defaults(handler=init_command)

    seeding = commands.add_parser("seed", help="add a test merchant, test cardholders and test cards")
    add_data_option(seeding)
    seeding.add_argument("--json", action="store_true", help="print JSON")
    seeding.set_defaults(handler=seed_command)

    run = commands.add_parser("run", help="serve merchants and phones")
    add_data_option(run)
    run.add_argument("--json", action="store_true", help="say in JSON where it listens")
    run.set_defaults(handler=run_command)


async def init_command(arguments: argparse.Namespace) -> None:
    """Make what is missing and upgrade the database; keys and settings that are there stay as they are.

    Raises InputError (settings_kept) before anything is done where an option contradicts a setting.
    """
    data: Path = arguments.data
    _make_directory(data)
    if not (data / SETTINGS_FILE).exists():
        _write_settings(arguments)
    settings = settings_of(arguments)
    _check_kept(arguments, settings)
    storage = await SqliteStorage.open(settings.database)
    try:
        keys = await prepare_keys(settings, storage.keys, secrets.token_bytes, time.time(), make=True)
    finally:
        await storage.close()
    print_fields(
        {
            "data": str(data),
            "settings": str(data / SETTINGS_FILE),
            "issuer_id": settings.issuer_id,
            "issuer_url": issuer_url(settings),
            "issuer_public_key": keys.signing.public_key.hex(),
        },
        arguments.json,
    )


async def seed_command(arguments: argparse.Namespace) -> None:
    """Add the test data and print its secrets, this once."""
    async with open_desk(arguments) as desk:
        cards = (await desk.keys()).cards
        seeded = await seed(desk.storage, cards, await desk.address(), desk.random, desk.now)
    if arguments.json:
        print_json(_seeded_document(seeded))
    else:
        _print_seeded(seeded)


async def run_command(arguments: argparse.Namespace) -> None:
    """Serve until told to stop; says where, once it takes requests."""
    settings = settings_of(arguments)
    # Here and not above: the administration commands start without the server's libraries.
    from issuer_server.operations.logs import formatter_for
    from issuer_server.service import RunningIssuer, run

    def say(issuer: RunningIssuer) -> None:
        if arguments.json:
            line = json.dumps({"event": "listening", "url": issuer.url, "issuer_id": settings.issuer_id})
        else:
            line = f"Issuer {settings.issuer_id} listens on {issuer.url} (Ctrl-C stops it)"
        print(line, flush=True)

    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(formatter_for(sys.stderr, settings.log.format))
    logging.basicConfig(level=settings.log.number, handlers=[to_stderr])
    try:
        await run(settings, on_started=say)
    except OSError as error:
        if error.errno not in _NO_ADDRESS:
            raise
        metrics = settings.metrics
        also = f" (or {metrics.host}:{metrics.port} for its metrics)" if metrics is not None else ""
        raise InputError(
            "cannot_listen",
            f"Cannot listen on {settings.host}:{settings.port}{also}: {os.strerror(error.errno)}."
            f" Stop the other program or change {arguments.data / SETTINGS_FILE}.",
        ) from None


def _make_directory(data: Path) -> None:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("invalid_data_directory", f"Cannot make {data}: {error.strerror}.") from None


def _given(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings that the command line names, as the settings file writes them."""
    given = {
        name: getattr(arguments, name)
        for name in ("issuer_id", "host", "port")
        if getattr(arguments, name) is not None
    }
    if arguments.public_url is not None:
        given["public_url"] = check_issuer_url(arguments.public_url)
    for name in ("tls_certificate", "tls_key"):
        if getattr(arguments, name) is not None:
            given[name] = str(getattr(arguments, name).resolve())
    return given


def _check_kept(arguments: argparse.Namespace, settings: Settings) -> None:
    """Refuse an option that the settings file, which stays as it is, contradicts."""
    contradicted = []
    for name, value in _given(arguments).items():
        kept = getattr(settings, name)
        if (str(kept.resolve()) if isinstance(kept, Path) else kept) != value:
            contradicted.append(f"{name} (now {'not set' if kept is None else kept})")
    if contradicted:
        raise InputError(
            "settings_kept",
            f"{arguments.data} is set up already; nothing was changed. To change {', '.join(contradicted)},"
            f" edit {arguments.data / SETTINGS_FILE} and start the issuer again.",
        )


def _write_settings(arguments: argparse.Namespace) -> None:
    """The settings file with what the command line said; checked before it is written."""
    places = {"database": DATABASE_FILE, "keys": KEYS_DIRECTORY}
    table: dict[str, object] = {**_USUAL, **places, **_given(arguments)}
    settings_from(table, arguments.data)
    # A JSON string or number is also a TOML one.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in table.items()]
    path = arguments.data / SETTINGS_FILE
    try:
        path.write_text("# Settings of this issuer; paths start at this folder.\n" + "".join(lines), "utf-8")
    except OSError as error:
        raise InputError("invalid_data_directory", f"Cannot write {path}: {error.strerror}.") from None


def _card_document(card: SampleCard) -> Fields:
    return {
        "label": card.label,
        "pan": card.pan,
        "pin": card.pin,
        "expiry": card.expiry,
        "stripe": card.stripe,
        "blocked": card.blocked,
    }


def _seeded_document(seeded: Seeded) -> Fields:
    return {
        "merchant": {
            "id": seeded.merchant.id,
            "name": seeded.merchant.name,
            "api_key": seeded.merchant.api_key,
        },
        "cardholders": [
            {
                "id": person.cardholder.id,
                "name": person.cardholder.name,
                "phone": person.cardholder.phone,
                "handset_code": person.handset_code.text(),
                "reader_code": person.reader_code.text(),
                "cards": [{"id": stored.id, **_card_document(card)} for card, stored in person.cards],
            }
            for person in seeded.cardholders
        ],
        "unknown_card": _card_document(UNKNOWN_CARD),
    }


def _print_seeded(seeded: Seeded) -> None:
    print("Keys and codes below are shown this once.\n")
    print(f"Merchant    {seeded.merchant.name}  {seeded.merchant.id}")
    print(f"  API key   {seeded.merchant.api_key}\n")
    for person in seeded.cardholders:
        print(f"Cardholder  {person.cardholder.name}  {person.cardholder.phone}  {person.cardholder.id}")
        print(f"  phone's code   {person.handset_code.text()}")
        print(f"  reader's code  {person.reader_code.text()}")
        for card, _ in person.cards:
            print(f"  card ({card.label})  PIN {card.pin}  swipe: {card.stripe}")
        print()
    print(f"Unknown card  PIN {UNKNOWN_CARD.pin}  swipe: {UNKNOWN_CARD.stripe}")
