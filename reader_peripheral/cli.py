"""`reader-peripheral`: run the reader, enrol it, show who it is. Adapters are named here and nowhere else."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from protocol import gatt
from protocol.errors import BlindRelayError, InputError
from protocol.identifiers import key_id, reader_id, reader_id_text
from protocol.messages import PROTOCOL_VERSION
from protocol.signing import SigningKey
from reader_peripheral import enrolment, settings
from reader_peripheral.adapters.absent_display import AbsentDisplay
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.adapters.owed_file import OwedFile
from reader_peripheral.adapters.peripheral_radio import PeripheralRadio, RadioError
from reader_peripheral.commands import hardware, learn
from reader_peripheral.devices import input_devices
from reader_peripheral.input_settings import KeypadKind, SwiperKind
from reader_peripheral.ports import Display
from reader_peripheral.process_hardening import harden_process
from reader_peripheral.remedies import guide, install_extra, ours
from reader_peripheral.service import ReaderService
from reader_peripheral.session import Session
from reader_peripheral.settings_file import SETTINGS_VARIABLE, SYSTEM_SETTINGS, settings_path
from reader_peripheral.texts import Language
from service_host.service_manager import ServiceManager

log = logging.getLogger(__name__)

_NOT_ENROLLED = (
    "This reader is not enrolled yet. Get a code from the issuer (issuer-server reader add), then run: "
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0, 1 when it failed with a message, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    _set_up_logging(options.verbose)
    try:
        status: int = options.command(options)
    except BlindRelayError as problem:
        print(f"reader-peripheral: {problem}", file=sys.stderr)
        return 2 if isinstance(problem, InputError) and problem.code == "invalid_radio" else 1
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        print(f"reader-peripheral: {where}{problem.strerror or problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reader-peripheral",
        description="The card reader of Blind Relay: reads card and PIN and seals them for the issuer.",
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data", metavar="DIR", help=f"where identity and issuer are kept (or {settings.DATA_VARIABLE})"
    )
    shared.add_argument(
        "--settings", metavar="FILE", help=f"which devices it has (or {SETTINGS_VARIABLE}, {SYSTEM_SETTINGS})"
    )
    shared.add_argument("--verbose", action="store_true", help="log what happens (never card data or PINs)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", parents=[shared], help="be a card reader until stopped")
    run.add_argument(
        "--radio",
        default="bluetooth",
        metavar="RADIO",
        help="bluetooth (default), or virtual-serve:127.0.0.1:PORT for phones in other processes",
    )
    run.add_argument(
        "--radio-interval",
        metavar="MS",
        type=float,
        help="with virtual-serve: milliseconds between two moments of sending (default: no delay)",
    )
    run.add_argument(
        "--radio-loss",
        metavar="FRACTION",
        type=float,
        help="with virtual-serve: the part of its packets that must be sent again, such as 0.2 (default: 0)",
    )
    run.add_argument(
        "--adapter", metavar="NAME", help="the Bluetooth adapter, such as hci1 (else that of FILE)"
    )
    run.add_argument("--language", choices=[language.value for language in Language])
    run.add_argument("--btsnoop", metavar="FILE", type=Path, help="with a virtual radio: keep its traffic")
    run.set_defaults(command=_run)

    enrol = commands.add_parser("enrol", parents=[shared], help="enrol with an issuer; asks for its code")
    enrol.add_argument(
        "--replace",
        action="store_true",
        help="a new identity and issuer: the present ones go once the new issuer has agreed",
    )
    enrol.add_argument("--ca-file", metavar="FILE", help="trust the certificates in this file too")
    enrol.add_argument(
        "--allow-unencrypted-issuer", action="store_true", help="plain http to another machine"
    )
    enrol.set_defaults(command=_enrol)

    identity = commands.add_parser("identity", parents=[shared], help="show this reader's id and its issuer")
    identity.set_defaults(command=_identity)
    learn.add_commands(commands, shared)
    hardware.add_commands(commands, shared)
    return parser


def _set_up_logging(verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(name)s: %(message)s",
    )
    # These log values at DEBUG and below; nobody shall turn that on.
    for name in ("bleak", "bless", "bumble", "dbus_next"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _identity(options: argparse.Namespace) -> int:
    harden_process()
    store = FileKeyStore(settings.data_directory(options.data))
    seed, issuer = store.seed(), store.issuer()
    if seed is None:
        raise BlindRelayError(_NOT_ENROLLED + ours("enrol"))
    print(f"Reader {reader_id_text(reader_id(SigningKey.from_seed(seed).public_key))}")
    if issuer is None:
        print("Not enrolled yet.")
    else:
        print(f"Issuer {issuer.issuer_id}, key {key_id(issuer.public_key).hex('-', 2)}, at {issuer.url}")
    return 0


def _enrol(options: argparse.Namespace) -> int:
    harden_process()
    code = enrolment.read_code(_ask_code())
    tls = settings.tls_context(options.ca_file)
    store = FileKeyStore(settings.data_directory(options.data))
    candidate = enrolment.prepare(
        store,
        code,
        os.urandom,
        replace=options.replace,
        unencrypted=options.allow_unencrypted_issuer,
    )
    print(f"Reader {reader_id_text(candidate.reader_id)}")
    print(f"Issuer {code.issuer_id}, key {key_id(code.issuer_public_key).hex('-', 2)}, at {code.issuer_url}")
    try:
        asyncio.run(enrolment.enrol(store, candidate, tls))
    except enrolment.EnrolmentError as problem:
        if not options.replace:
            raise
        raise enrolment.EnrolmentError(f"{problem} Nothing is replaced: this reader is as it was.") from None
    print("Enrolled. The issuer's list of readers must show this reader's id.")
    return 0


def _ask_code() -> str:
    """From a prompt or a pipe; never from the command line, which every process can read."""
    try:
        if sys.stdin is None:
            return ""
        if not sys.stdin.isatty():
            # As bytes: what is no text is no code, and said so like any other.
            return sys.stdin.buffer.read(4096).decode("utf-8", "replace")
        return getpass.getpass("Enrolment code (brr1.…, not shown): ")
    except (EOFError, OSError, UnicodeDecodeError):
        return ""


def _run(options: argparse.Namespace) -> int:
    harden_process()
    place = settings.parse_radio(options.radio)
    if place is None and (options.radio_interval is not None or options.radio_loss is not None):
        raise InputError(
            "invalid_radio",
            "--radio-interval and --radio-loss are for a virtual radio: real air makes its own delay and"
            " loss. Use them with --radio virtual-serve:127.0.0.1:7901.",
        )
    store = FileKeyStore(settings.data_directory(options.data))
    seed, issuer = store.seed(), store.issuer()
    if seed is None or issuer is None:
        raise BlindRelayError(_NOT_ENROLLED + ours("enrol"))
    devices = settings.read_settings(settings_path(options.settings))
    key = SigningKey.from_seed(seed)
    owed = OwedFile(settings.data_directory(options.data))
    session = Session(key, issuer.issuer_id, issuer.public_key, settings.Limits(), owed.load())
    radio = _radio(place, options, devices.bluetooth.adapter)
    language = Language(options.language) if options.language else devices.display.language
    display = _display(devices, language, settings_path(options.settings))
    return asyncio.run(_serve(session, key, radio, language, owed, devices, display))


def _radio(
    place: settings.VirtualRadioPlace | None, options: argparse.Namespace, adapter: str | None
) -> PeripheralRadio:
    """The radio that was asked for. Imported here: each needs libraries that the other's machine may lack."""
    if place is not None:
        try:
            from reader_peripheral.adapters.simulated_radio import ServedVirtualRadio
        except ModuleNotFoundError:
            raise RadioError(f"The virtual radio is not installed. {install_extra('demo')}") from None
        return ServedVirtualRadio(
            place.host, place.port, options.btsnoop, options.radio_interval or 0.0, options.radio_loss or 0.0
        )
    if sys.platform != "linux":
        raise RadioError("Real Bluetooth needs Linux with BlueZ. Use --radio virtual-serve:127.0.0.1:7901.")
    from reader_peripheral.adapters.bluez_radio import BluezRadio

    return BluezRadio(options.adapter or adapter)


def _display(devices: settings.ReaderSettings, language: Language, written: Path | None) -> Display:
    """The display of the settings. A service has no terminal to be one: a journal would keep every screen."""
    if not os.environ.get("NOTIFY_SOCKET") or sys.stdout.isatty():
        return hardware.display_of(devices.display, language)
    unset = [
        name
        for name, kind, terminal in (
            ("display", devices.display.kind, settings.DisplayKind.TERMINAL),
            ("swiper", devices.swiper.kind, SwiperKind.TERMINAL),
            ("keypad", devices.keypad.kind, KeypadKind.TERMINAL),
        )
        if kind is terminal
    ]
    if unset:
        log.warning(
            "Not set: %s. A service has no terminal to stand for it, so that no payment can be made. Set it"
            " in %s as in %s; for swiper and keypad, run: %s",
            ", ".join(unset),
            written or SYSTEM_SETTINGS,
            guide(),
            ours("learn", root=True),
        )
    if devices.display.kind is settings.DisplayKind.TERMINAL:
        return AbsentDisplay()
    return hardware.display_of(devices.display, language)


async def _serve(
    session: Session,
    key: SigningKey,
    radio: PeripheralRadio,
    language: Language,
    owed: OwedFile,
    devices: settings.ReaderSettings,
    display: Display,
) -> int:
    """Run until SIGTERM or Ctrl-C; both hang up and wipe."""
    from reader_peripheral.adapters.bless_link import BlessLink
    from reader_peripheral.adapters.terminal import standard_terminal

    identity = reader_id(key.public_key)
    info = gatt.ReaderInfo((PROTOCOL_VERSION,), identity, settings.MODEL_CODE, settings.FIRMWARE)
    terminal, _ = standard_terminal(language)
    swiper, keypad = input_devices(devices.swiper, devices.keypad, terminal)
    link = BlessLink(radio, info, encrypt=devices.bluetooth.encrypt)
    service = ReaderService(session, link, swiper, keypad, display, os.urandom, owed)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    manager = ServiceManager()
    await service.start()
    try:
        who = f"Reader {reader_id_text(identity)}, advertising as {gatt.device_name(identity)}"
        print(who, flush=True)
        manager.ready(lambda: who)
        await _until(stop, radio)
    finally:
        manager.stopping()
        await service.stop()
    return 0


async def _until(stop: asyncio.Event, radio: PeripheralRadio) -> None:
    """Returns when the reader shall end; raises RadioError when its radio is gone for good."""
    asked, lost = asyncio.create_task(stop.wait()), asyncio.create_task(radio.lost())
    try:
        await asyncio.wait((asked, lost), return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            lost.result()
    finally:
        asked.cancel()
        lost.cancel()
