"""What can be set at a reader: times, counts, its files, its radio, and the rule about plain HTTP."""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from protocol.enrolment import check_issuer_url
from protocol.errors import InputError

DATA_VARIABLE = "BLIND_RELAY_READER_DATA"
MODEL = "BR-1"
MODEL_CODE = 1
FIRMWARE = (0, 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the reader waits (seconds), and how many bad swipes it takes."""

    swipes: int = 3
    pin_seconds: float = 60.0
    # From the reader's last message to 'unknown: do not pay again'. All being well the answer takes a second.
    answer_seconds: float = 30.0
    result_seconds: float = 10.0
    # Section 6 of the design: a dropped link keeps the payment this long, then the key is forgotten.
    resume_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.swipes <= 9:
            raise InputError("invalid_swipes", "The number of swipes must be from 1 to 9.")
        for name in ("pin_seconds", "answer_seconds", "result_seconds", "resume_seconds"):
            if not 0 < getattr(self, name) <= 600:
                raise InputError(f"invalid_{name}", f"{name} must be more than 0 and at most 600 seconds.")


def data_directory(given: str | None) -> Path:
    """Where identity and issuer are kept: as given, by BLIND_RELAY_READER_DATA, or the user's own folder."""
    if given:
        return Path(given).expanduser()
    from_environment = os.environ.get(DATA_VARIABLE)
    if from_environment:
        return Path(from_environment).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "blind-relay" / "reader"


@dataclass(frozen=True, slots=True)
class VirtualRadioPlace:
    """Where this reader serves a virtual ether, for phones in other processes of this machine."""

    host: str
    port: int


def parse_radio(text: str) -> VirtualRadioPlace | None:
    """`bluetooth` (None) or `virtual-serve:HOST:PORT`. Raises InputError (invalid_radio)."""
    if text == "bluetooth":
        return None
    kind, _, endpoint = text.partition(":")
    host, _, port = endpoint.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536
    if kind == "virtual-serve" and _is_loopback(host) and is_port:
        return VirtualRadioPlace(host, int(port))
    raise InputError(
        "invalid_radio",
        "Give --radio bluetooth, or --radio virtual-serve:127.0.0.1:PORT with a free port of this machine.",
    )


def check_transport(url: str, *, allow_unencrypted: bool) -> str:
    """`url` if an enrolment code may travel to it: https, or plain http to this machine itself.

    Raises InputError (invalid_issuer_url, unencrypted_issuer_url).
    """
    parts = urlsplit(check_issuer_url(url))
    if parts.scheme == "http" and not allow_unencrypted and not _is_loopback(parts.hostname or ""):
        raise InputError(
            "unencrypted_issuer_url",
            "The issuer's address is plain http, and not this machine. Ask for a code with an https address"
            " (--ca-file trusts a private certificate), or, on a network that is yours alone, add"
            " --allow-unencrypted-issuer.",
        )
    return url


def tls_context(ca_file: str | None) -> ssl.SSLContext | None:
    """TLS that also trusts the certificates in `ca_file`, or None for the system's own list alone."""
    if ca_file is None:
        return None
    try:
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise InputError("invalid_ca_file", f"Cannot read certificates from {ca_file}.") from None
    return context


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
