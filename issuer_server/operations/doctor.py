"""`issuer-server doctor`: what keeps the issuer from working, or soon will, each with its remedy.

The checks of the machine are here, those of the database in `doctor_database.py`. What they ask of the
machine goes through `Machine`, so that a test can set one up.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from issuer_server.settings import Settings
from issuer_server.tls import ServerTls, read_certificate
from protocol.errors import InputError
from service_host.findings import Finding, Level
from service_host.machine import AnyMachine

SERVICE: Final = "blind-relay-issuer.service"
_DAY = 86_400.0
CERTIFICATE_NOTE: Final = 21 * _DAY
DISK_FAULT: Final = 100 * 2**20
DISK_NOTE: Final = 2**30
FILES_NOTE: Final = 4096
"""Each connected phone is an open file."""


class Machine(AnyMachine):
    """The machine looked at."""

    def now(self) -> float:
        return time.time()

    def free_bytes(self, folder: Path) -> int:
        return shutil.disk_usage(folder).free

    def open_files(self) -> int:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def settings_file(path: Path, settings: Settings) -> Iterator[Finding]:
    """Who may read and change what the operator decided, and what is only for development."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o022:
        seen = f"{path} may be changed by other users (mode {mode:04o})"
        yield Finding("settings", Level.FAULT, seen, f"Run: chmod go-w {path}")
    else:
        yield Finding("settings", Level.OK, str(path))
    if settings.webhooks_to_private_addresses:
        yield Finding(
            "webhooks",
            Level.NOTE,
            "a merchant's webhooks may go to private addresses: for development",
            f"Take webhooks_to_private_addresses out of {path}.",
        )


def data_directory(data: Path) -> Iterator[Finding]:
    """The folder of the database is nobody else's."""
    mode = stat.S_IMODE(data.stat().st_mode)
    if mode & 0o077:
        seen = f"{data} is open to other users (mode {mode:04o})"
        yield Finding("data directory", Level.NOTE, seen, f"Run: chmod 700 {data}")
    elif not os.access(data, os.W_OK):
        seen = f"{data} may not be written by this user"
        yield Finding("data directory", Level.FAULT, seen, "Run doctor as the service's account.")
    else:
        yield Finding("data directory", Level.OK, str(data))


def disk(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Room for what is committed next; a backup and an upgrade want as much again."""
    folder = settings.database.parent
    free = machine.free_bytes(folder)
    seen = f"{free / 2**30:.1f} GiB free at {folder}"
    remedy = "Make room, or move the data directory to a larger disk."
    if free < DISK_FAULT:
        yield Finding("disk", Level.FAULT, seen, remedy)
    elif free < DISK_NOTE:
        yield Finding("disk", Level.NOTE, seen, remedy)
    else:
        yield Finding("disk", Level.OK, seen)


def clock(machine: Machine, last_payment_at: float | None) -> Iterator[Finding]:
    """Cards expire, codes end and statements are dated by this clock."""
    if last_payment_at is not None and last_payment_at > machine.now() + 5.0:
        ahead = last_payment_at - machine.now()
        seen = f"the last payment is {ahead:.0f} s in the future: the clock went back"
        yield Finding(
            "clock", Level.FAULT, seen, "Set the clock, and let systemd-timesyncd or chrony keep it."
        )
        return
    synchronized = machine.run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if synchronized == "yes":
        yield Finding("clock", Level.OK, "synchronized")
    elif synchronized == "no":
        remedy = "Run: sudo timedatectl set-ntp true"
        yield Finding("clock", Level.NOTE, "not synchronized", remedy)
    else:
        yield Finding("clock", Level.UNKNOWN, "timedatectl does not answer here")


def tls(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """The certificate: usable, of the right name, and for how long."""
    if settings.tls_certificate is None or settings.tls_key is None:
        if settings.is_loopback:
            yield Finding("TLS", Level.OK, "none: only this machine can connect")
        else:
            seen = f"plain HTTP on {settings.host}: API keys and tokens can be read on the way"
            remedy = "Set tls_certificate and tls_key, or listen on 127.0.0.1 behind a proxy that has them."
            yield Finding("TLS", Level.NOTE, seen, remedy)
        return
    try:
        ServerTls(settings.tls_certificate, settings.tls_key)
        certificate = read_certificate(settings.tls_certificate)
    except InputError as problem:
        yield Finding("TLS", Level.FAULT, str(problem), "Correct the files or the settings that name them.")
        return
    left = certificate.not_valid_after_utc.timestamp() - machine.now()
    seen = f"the certificate ends on {certificate.not_valid_after_utc:%Y-%m-%d}"
    renew = f"Renew it, then: sudo systemctl reload {SERVICE}"
    if left <= 0:
        yield Finding("TLS", Level.FAULT, f"{seen}: it has ended", renew)
    elif certificate.not_valid_before_utc.timestamp() > machine.now():
        yield Finding("TLS", Level.FAULT, "the certificate is not valid yet", "Check the clock.")
    elif left < CERTIFICATE_NOTE:
        yield Finding("TLS", Level.NOTE, f"{seen}, in {left / _DAY:.0f} days", renew)
    else:
        yield Finding("TLS", Level.OK, seen)
    yield from _names(certificate, settings)
    mode = stat.S_IMODE(settings.tls_key.stat().st_mode)
    if mode & 0o007:
        seen = f"{settings.tls_key} may be read by every user (mode {mode:04o})"
        yield Finding("TLS key", Level.FAULT, seen, f"Run: chmod o= {settings.tls_key}, and get a new key.")


def _names(certificate: x509.Certificate, settings: Settings) -> Iterator[Finding]:
    host = urlsplit(settings.public_url).hostname if settings.public_url else None
    if host is None:
        return
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        known: list[str] = []
    else:
        known = [
            *names.get_values_for_type(x509.DNSName),
            *map(str, names.get_values_for_type(x509.IPAddress)),
        ]
    if host not in known and f"*.{host.partition('.')[2]}" not in known:
        seen = f"the certificate is for {', '.join(known) or 'no name'}, and public_url says {host}"
        yield Finding(
            "TLS name", Level.FAULT, seen, "Get a certificate for that name, or correct public_url."
        )


def ports(settings: Settings, running: bool) -> Iterator[Finding]:
    """Free where the issuer is to be started, taken by it where it runs."""
    wanted = [("port", settings.host, settings.port)]
    if settings.metrics is not None:
        wanted.append(("metrics port", settings.metrics.host, settings.metrics.port))
    for what, host, port in wanted:
        taken = port != 0 and _taken(host, port)
        if running:
            if taken or port == 0:
                yield Finding(what, Level.OK, f"the issuer listens on {host}:{port}")
            else:
                remedy = "Restart it: its settings were changed since it started."
                yield Finding(what, Level.NOTE, f"an issuer runs, and not on {host}:{port}", remedy)
        elif taken:
            remedy = f"Find it with: sudo ss -ltnp 'sport = :{port}'; stop it, or set another port."
            yield Finding(what, Level.FAULT, f"{host}:{port} is taken by another program", remedy)
        else:
            yield Finding(what, Level.OK, f"{host}:{port} is free")


def _taken(host: str, port: int) -> bool:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def limits_of_files(machine: Machine) -> Iterator[Finding]:
    """Open files: the service's where it is installed, else this shell's."""
    if machine.run("systemctl", "is-enabled", SERVICE) in ("enabled", "disabled"):
        of_service = machine.run("systemctl", "show", "--property=LimitNOFILESoft", "--value", SERVICE)
        if not of_service:
            yield Finding("open files", Level.UNKNOWN, "systemd does not say how many the service may have")
        elif of_service.isdecimal() and int(of_service) < FILES_NOTE:
            remedy = f"Set LimitNOFILE=65536: sudo systemctl edit {SERVICE}"
            yield Finding("open files", Level.NOTE, f"{of_service} for the service", remedy)
        else:
            yield Finding("open files", Level.OK, f"{of_service} for the service")
        return
    files = machine.open_files()
    if 0 <= files < FILES_NOTE:
        seen = f"{files} in this shell: each phone and each request takes one"
        remedy = "Run it as the service (LimitNOFILE), or: ulimit -n 65536"
        yield Finding("open files", Level.NOTE, seen, remedy)
    else:
        yield Finding("open files", Level.OK, "unlimited" if files < 0 else str(files))


def day(seconds: float) -> str:
    """A moment as people read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
