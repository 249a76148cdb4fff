"""`top`: the issuer live in a terminal, read from its database and its metrics; it changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

from issuer_server.commands.desk import Commands, add_data_option, issuer_url, settings_of
from issuer_server.operations import doctor_database
from issuer_server.operations.operating_settings import MetricsSettings
from issuer_server.operations.top_figures import Samples, Window, in_flight
from issuer_server.operations.top_view import Scene, lines
from issuer_server.settings import Settings
from issuer_server.storage.sqlite import recent
from issuer_server.storage.sqlite.inspection import looking_at
from protocol.errors import InputError

_ANSWER_WITHIN: Final = 2.0
_LARGEST_PAGE: Final = 4 * 2**20
_HOUR: Final = 3600.0
_COLUMNS: Final = 130
"""Where no terminal says: a payment's line goes in whole, its id is at the end."""
_OFF: Final = "Put [metrics] into the settings and restart: phones, latencies and load are shown then."
_SILENT: Final = "The metrics do not answer: see `issuer-server doctor`."
# Alternate screen and cursor, as xterm has them (and every terminal since).
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def add_parsers(commands: Commands) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser("top", help="the issuer live: payments, phones, latencies; q ends it")
    add_data_option(parser)
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between looks (default: 1)"
    )
    parser.add_argument("--once", action="store_true", help="print one screen and end; so does a pipe")
    parser.add_argument("--json", action="store_true", help="print the figures of one look as JSON")
    parser.set_defaults(handler=top_command)


async def top_command(arguments: argparse.Namespace) -> None:
    """Look and draw until q or Ctrl-C."""
    if not 0.2 <= arguments.interval <= 3600:
        raise InputError("invalid_interval", "--interval is 0.2 to 3600 seconds.")
    watcher = Watcher(settings_of(arguments))
    if arguments.json:
        print(json.dumps(asdict(await watcher.look()), ensure_ascii=False, indent=2))
        return
    if arguments.once or not sys.stdout.isatty():
        print("\n".join(lines(await watcher.look(), *shutil.get_terminal_size((_COLUMNS, 40)))))
        return
    quit_asked = asyncio.Event()
    with _screen(quit_asked):
        while not quit_asked.is_set():
            drawn = lines(await watcher.look(), *shutil.get_terminal_size())
            sys.stdout.write(_HOME + f"{_REST_OF_LINE}\r\n".join(drawn) + _REST_OF_LINE + _REST_OF_SCREEN)
            sys.stdout.flush()
            try:
                async with asyncio.timeout(arguments.interval):
                    await quit_asked.wait()
            except TimeoutError:
                pass  # time for the next look


class Watcher:
    """Looks at one issuer again and again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._window = Window()

    async def look(self) -> Scene:
        """What is now. Raises StorageError where the database cannot be read."""
        settings, now = self._settings, time.time()
        page = await asyncio.to_thread(_page, settings) if settings.metrics is not None else None
        if page is not None:
            self._window.add(now, page)
        with looking_at(settings.database) as connection:
            payments = recent.recent(connection, now - _HOUR)
            stored = recent.in_flight(connection)
            outbox = recent.outbox(connection)
        return Scene(
            issuer=settings.issuer_id,
            url=issuer_url(settings),
            now=now,
            running=page is not None or doctor_database.runs(settings.database),
            work=self._window.work() if page is not None else None,
            advice=_OFF if settings.metrics is None else _SILENT,
            in_flight=in_flight(page) if page is not None else stored,
            payments=payments,
            outbox=outbox,
        )


def _page(settings: Settings) -> Samples | None:
    """The metrics page; None where nobody answers."""
    from prometheus_client.parser import text_string_to_metric_families

    assert settings.metrics is not None
    context = None
    if not settings.metrics.is_loopback and settings.tls_certificate is not None:
        # Our own certificate is the one to trust here, under whatever name this machine has.
        context = ssl.create_default_context(cafile=str(settings.tls_certificate))
        context.check_hostname = False
    try:
        with urllib.request.urlopen(  # noqa: S310 - the address is the operator's own setting
            _address(settings.metrics, context is not None), timeout=_ANSWER_WITHIN, context=context
        ) as answer:
            text = answer.read(_LARGEST_PAGE).decode("utf-8")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    except (OSError, ValueError):
        return None


def _address(metrics: MetricsSettings, tls: bool) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(metrics.host, metrics.host)  # noqa: S104 - not listened on
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{metrics.port}/metrics"


@contextmanager
def _screen(quit_asked: asyncio.Event) -> Iterator[None]:
    """A screen of its own, and keys one by one; the terminal is as before at the end, whatever happens."""
    import termios
    import tty

    loop, keyboard = asyncio.get_running_loop(), sys.stdin.isatty()
    before = termios.tcgetattr(sys.stdin) if keyboard else None

    def typed() -> None:
        if os.read(sys.stdin.fileno(), 1) in (b"q", b"Q", b"\x03", b"\x04", b""):
            quit_asked.set()

    try:
        if keyboard:
            tty.setcbreak(sys.stdin)
            loop.add_reader(sys.stdin, typed)
        sys.stdout.write(_ENTER)
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        if before is not None:
            loop.remove_reader(sys.stdin)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
