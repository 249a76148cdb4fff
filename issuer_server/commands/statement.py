"""`statement`: a merchant's or a cardholder's money over a period, as CSV."""

from __future__ import annotations

import argparse
import csv
import os
import sys
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TextIO

from issuer_server.commands.desk import Commands, add_data_option, settings_of
from issuer_server.statements import COLUMNS, Period, account_lines
from issuer_server.storage.sqlite.inspection import looking_at
from issuer_server.storage.sqlite.lost_commits import check_unless_served
from issuer_server.storage.sqlite.statements import accounts_over
from protocol.errors import InputError

_BYTE_ORDER_MARK = "\ufeff"


def add_parsers(commands: Commands) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "statement", help="a merchant's or cardholder's entries and balances, as CSV"
    )
    add_data_option(parser)
    parser.add_argument("--owner", required=True, metavar="ID", help="mer_… or chd_…")
    parser.add_argument("--from", dest="first", metavar="DAY", help="2026-11-01 (default: the first entry)")
    parser.add_argument(
        "--to", dest="last", metavar="DAY", help="that day included (default: the last entry)"
    )
    parser.add_argument("--time-zone", default="UTC", help="of the days: Asia/Tokyo … (default: UTC)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a new file (default: standard output)")
    parser.add_argument("--excel", action="store_true", help="mark the file as UTF-8, as Excel wants it")
    parser.set_defaults(handler=statement_command)


async def statement_command(arguments: argparse.Namespace) -> None:
    """Lines are written as they are read: a statement may be long. Raises LedgerError where it is wrong."""
    period = Period(_day(arguments.first), _day(arguments.last), _zone(arguments.time_zone))
    database = settings_of(arguments).database
    check_unless_served(database)
    with looking_at(database) as connection, _output(arguments.output) as out:
        accounts = accounts_over(connection, arguments.owner, period)
        first = next(accounts, None)  # an owner that is not there is said before anything is written
        if arguments.excel:
            out.write(_BYTE_ORDER_MARK)
        lines = csv.writer(out, lineterminator="\r\n")  # RFC 4180
        lines.writerow(COLUMNS)
        while first is not None:
            lines.writerows(account_lines(*first, period))
            first = next(accounts, None)


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a new private file that is gone again where the statement failed."""
    if path is None:
        yield sys.stdout
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError("cannot_write", f"Cannot write {path}: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise InputError("invalid_day", f"{text!r} is no day: write it as 2026-11-30.") from None


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(
            "invalid_time_zone", f"There is no time zone {name!r}: write one like Asia/Tokyo or UTC."
        ) from None
