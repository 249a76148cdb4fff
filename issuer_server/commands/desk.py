"""What every administration command works with: the data directory's settings, its keys and its database."""

from __future__ import annotations

import argparse
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from issuer_server.administration import RandomBytes
from issuer_server.commands.operator import operator_name
from issuer_server.enrolments import IssuerAddress
from issuer_server.key_custody.key_opening import open_keys
from issuer_server.key_custody.key_ring import KeyRing
from issuer_server.key_custody.key_store import KeyPurpose
from issuer_server.settings import Settings, load_settings
from issuer_server.storage.key_records import Operator
from issuer_server.storage.sqlite import SqliteStorage
from protocol.enrolment import check_issuer_url
from protocol.errors import InputError

if TYPE_CHECKING:
    # subscriptable for type checkers only
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction

DATA_VARIABLE: Final = "BLIND_RELAY_ISSUER_DATA"
DEFAULT_DATA: Final = Path("issuer-data")
SETTINGS_FILE: Final = "issuer.toml"


@dataclass(frozen=True, slots=True)
class Desk:
    """An open data directory; `random` gives n random bytes, `now` is epoch seconds."""

    settings: Settings
    storage: SqliteStorage
    now: float
    random: RandomBytes = field(default=secrets.token_bytes, repr=False)

    async def keys(self) -> KeyRing:
        """The issuer's keys; only commands that need them ask, so that others run without."""
        return await open_keys(self.settings, self.storage.keys, self.random)

    async def address(self) -> IssuerAddress:
        """What an enrolment code tells a device; raises InputError where it would not find the issuer."""
        if self.settings.public_url is None and self.settings.port == 0:
            raise InputError(
                "no_fixed_port",
                "Port 0 is another one at each start, so that no code can name it: set port or public_url in"
                f" {SETTINGS_FILE}.",
            )
        keys = await self.keys()
        return IssuerAddress(
            check_issuer_url(issuer_url(self.settings)),
            self.settings.issuer_id,
            keys.signing.public_key,
            keys.active(KeyPurpose.SIGNING),
        )


@asynccontextmanager
async def open_desk(arguments: argparse.Namespace) -> AsyncIterator[Desk]:
    """The data directory that the command line names, beside a running server or without one."""
    settings, now = settings_of(arguments), time.time()
    operator = Operator(operator_name(), now)
    storage = await SqliteStorage.open_beside_server(settings.database, operator)
    try:
        yield Desk(settings, storage, now)
    finally:
        await storage.close()


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """`--data`, the same for every subcommand."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA),
        metavar="DIR",
        help=f"the issuer's data directory (default: ${DATA_VARIABLE}, else {DEFAULT_DATA})",
    )


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings in the data directory; raises InputError that says how to make it."""
    data: Path = arguments.data
    path = data / SETTINGS_FILE
    if not path.exists():
        raise InputError(
            "no_data_directory",
            f"{data} is no issuer's data directory: run `issuer-server init --data {data}`.",
        )
    return load_settings(path)


def issuer_url(settings: Settings) -> str:
    """Where devices find the issuer."""
    if settings.public_url is not None:
        return settings.public_url
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.has_tls else 'http'}://{host}:{settings.port}"
