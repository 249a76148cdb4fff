"""`handset-client`: enrol this phone with its issuer, and run it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from handset_client.adapters.bleak_link import BleakReaderLink
from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.issuer_socket import IssuerSocket, SocketSettings
from handset_client.adapters.link_session import LinkSettings
from handset_client.adapters.preferences_file import PreferencesFile
from handset_client.adapters.radio import BLUETOOTH, open_radio
from handset_client.adapters.terminal_screen import TerminalScreen
from handset_client.commands import enrolment, readers
from handset_client.commands.page import page
from handset_client.effects import Notice, NoticeKind
from handset_client.issuer_frames import PaymentRequest
from handset_client.plain_lines import PlainLines
from handset_client.ports import CredentialRefusedError, Screen
from handset_client.relay_call import Patience
from handset_client.scripted import ScriptedScreen, approve_below
from handset_client.service import HandsetService
from handset_client.settings import DATA_VARIABLE, check_transport, data_directory, tls_context
from handset_client.wording import Language, notice_text, system_language
from protocol.errors import BlindRelayError, InputError
from protocol.identifiers import parse_reader_id
from protocol.money import currency, parse_amount

INTERRUPTED = 130
"""What a shell gives for a program ended by Ctrl-C."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. No option takes a secret: every user of the machine sees arguments."""
    parser = argparse.ArgumentParser(
        prog="handset-client",
        description="The phone: called by the issuer, it asks its owner and relays what it cannot read.",
        epilog="First: handset-client enrol (asks for the issuer's one-time code). Then: handset-client run",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    common, radio = _common(), _radio()

    enrolling = commands.add_parser(
        "enrol",
        parents=[common],
        help="take up the one-time code, from a picture, the prompt or standard input",
    )
    enrolling.add_argument(
        "--qr", metavar="PICTURE", help="a picture of the code: screenshot, photo or scan (PNG, JPEG …)"
    )
    enrolling.set_defaults(handler=enrolment.run_enrol)

    forgetting = commands.add_parser("forget", parents=[common], help="remove this phone's credential")
    forgetting.add_argument("--history", action="store_true", help="and the history and the settings")
    forgetting.set_defaults(handler=enrolment.run_forget)

    _add_readers(commands)

    running = commands.add_parser(
        "run", parents=[common, radio], help="connect to the issuer and wait to be called"
    )
    running.add_argument(
        "--terminal", action="store_true", help="the screen in this terminal, not in the browser"
    )
    running.add_argument(
        "--no-browser", action="store_true", help="print the link to the screen, but open no browser"
    )
    running.add_argument("--port", type=_port, metavar="PORT", help="where to serve the screen, on 127.0.0.1")
    running.add_argument("--reader", metavar="ID", help="only this reader: 0a1b-2c3d-4e5f-6071")
    running.add_argument(
        "--pair", action="store_true", help="pair with the reader first (nothing depends on it)"
    )
    running.add_argument(
        "--headless", action="store_true", help="no person: answers by rule (needs --approve-below)"
    )
    running.add_argument(
        "--approve-below",
        nargs=2,
        metavar=("AMOUNT", "CURRENCY"),
        help="with --headless: approve what is below this, decline the rest",
    )
    running.add_argument("--verbose", action="store_true", help="log what the connections do")
    running.set_defaults(handler=_run)
    return parser


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--data", metavar="DIR", help=f"where credential and history are kept (or {DATA_VARIABLE})"
    )
    common.add_argument("--ca-file", metavar="PEM", help="certificates to trust beside the system's own")
    common.add_argument(
        "--allow-unencrypted-issuer",
        action="store_true",
        help="plain http to an issuer on another machine: whoever listens can take this phone's credential",
    )
    return common


def _radio() -> argparse.ArgumentParser:
    radio = argparse.ArgumentParser(add_help=False)
    radio.add_argument(
        "--radio",
        default=BLUETOOTH,
        metavar="RADIO",
        help="bluetooth, or virtual:127.0.0.1:PORT where a reader serves a virtual radio",
    )
    radio.add_argument("--adapter", metavar="NAME", help="which Bluetooth adapter, on Linux: hci1")
    return radio


def _add_readers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listing = commands.add_parser(
        "readers",
        parents=[_common(), _radio()],
        help="list the card readers in range; choose or forget one",
        description="List the card readers in range with their signal. Or: readers choose ID",
    )
    listing.add_argument("--seconds", type=_seconds, default=readers.SCAN_SECONDS, help="how long to listen")
    listing.add_argument("--json", action="store_true", help="the list for a program")
    listing.set_defaults(handler=readers.run_list)
    doing = listing.add_subparsers(metavar="choose|forget")
    choosing = doing.add_parser("choose", parents=_without_defaults(), help="use this reader and no other")
    choosing.add_argument("reader", metavar="ID", help="its id or name, or the beginning of it")
    choosing.set_defaults(handler=readers.run_choose)
    dropping = doing.add_parser("forget", parents=_without_defaults(), help="choose none; with ID, forget it")
    dropping.add_argument("reader", metavar="ID", nargs="?")
    dropping.set_defaults(handler=readers.run_forget)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 60:  # which NaN is not, either
        raise argparse.ArgumentTypeError("give 0.1 to 60 seconds")
    return seconds


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError("give 0 to 65535; 0 takes a free one")
    return int(text)


def _without_defaults() -> list[argparse.ArgumentParser]:
    """The common options once more: behind `choose` they count; left out, they undo nothing before it."""
    parents = [_common(), _radio()]
    for action in (action for parent in parents for action in parent._actions):
        action.default = argparse.SUPPRESS
    return parents


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; exit status 0, 1 with the reason on standard error, or 2 for a wrong command line."""
    arguments = build_parser().parse_args(argv)
    try:
        asyncio.run(arguments.handler(arguments))
    except BlindRelayError as error:
        print(f"handset-client: {error}", file=sys.stderr)
        return 1
    except CredentialRefusedError as refusal:
        why = notice_text(Notice(NoticeKind.TURNED_AWAY, refusal.why), _language(arguments))
        print(f"handset-client: {why}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"handset-client: {where}{error.strerror or type(error).__name__}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)
        return INTERRUPTED
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.ERROR, format="%(asctime)s %(name)s: %(message)s"
    )
    decide = _headless_rule(arguments)
    reader_id = None if arguments.reader is None else parse_reader_id(arguments.reader)
    credential = enrolment.credentials(arguments).load()
    if credential is None:
        raise InputError(
            "not_enrolled",
            "This phone is not enrolled. Get a one-time code from the issuer, then run: handset-client enrol",
        )
    check_transport(credential.issuer_url, allow_unencrypted=arguments.allow_unencrypted_issuer)
    tls = tls_context(arguments.ca_file)
    link = LinkSettings(reader_id=reader_id, pair=arguments.pair, adapter=arguments.adapter)
    book = readers.ReaderBook(PreferencesFile(_data(arguments)), reader_id)
    async with open_radio(arguments.radio) as backends, contextlib.AsyncExitStack() as stack:
        stop = stack.enter_context(_stop_on_signals())
        screen: Screen
        if decide is not None:
            language = _language(arguments)
            screen = ScriptedScreen(decide, show=PlainLines(lambda: language, _print))
        elif arguments.terminal:
            screen = stack.enter_context(TerminalScreen(language=_language(arguments)))
        else:
            browser = not arguments.no_browser
            face = page(_data(arguments), port=arguments.port, browser=browser, stop=stop)
            screen = await stack.enter_async_context(face)
        service = HandsetService(
            BleakReaderLink(link, backends, choose=book.choose),
            IssuerSocket(credential.issuer_url, credential.token, SocketSettings(), tls=tls),
            screen,
            HistoryFile(_data(arguments)),
            Patience(),
            watch=book.watch,
        )
        await service.run(stop)


def _headless_rule(arguments: argparse.Namespace) -> Callable[[PaymentRequest], bool | None] | None:
    """Automation is off unless both options say so: nobody should approve payments by a slip."""
    if not arguments.headless and arguments.approve_below is None:
        return None
    if not arguments.headless or arguments.approve_below is None:
        raise InputError(
            "headless_needs_limit", "--headless and --approve-below AMOUNT CURRENCY go together: give both."
        )
    if arguments.terminal:
        raise InputError(
            "headless_or_terminal",
            "--headless asks nobody and --terminal asks the person at it: give one of them.",
        )
    amount, code = arguments.approve_below
    return approve_below(parse_amount(amount, currency(code)))


def _print(line: str) -> None:
    print(line, flush=True)


def _language(arguments: argparse.Namespace) -> Language:
    return PreferencesFile(_data(arguments)).load().language or system_language()


def _data(arguments: argparse.Namespace) -> Path:
    return data_directory(arguments.data)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set, so that the last words reach the issuer before the end."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    watched = []
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:
            continue  # Windows: Ctrl-C is a KeyboardInterrupt there, and asyncio.run cancels us
        watched.append(number)
    try:
        yield stop
    finally:
        for number in watched:
            loop.remove_signal_handler(number)


if __name__ == "__main__":
    sys.exit(main())
