"""What can be set at a handset, and the rule about plain HTTP."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from protocol.enrolment import check_issuer_url, is_loopback
from protocol.errors import InputError

DATA_VARIABLE = "BLIND_RELAY_HANDSET_DATA"


def data_directory(given: str | None) -> Path:
    """Where credential and history are kept: as given, by the environment, or the user's own folder."""
    if given:
        return Path(given).expanduser()
    from_environment = os.environ.get(DATA_VARIABLE)
    if from_environment:
        return Path(from_environment).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "blind-relay" / "handset"


def check_transport(url: str, *, allow_unencrypted: bool) -> str:
    """`url` if a credential may travel to it: https, or plain http to this machine itself.

    Raises InputError (invalid_issuer_url, unencrypted_issuer_url).
    """
    parts = urlsplit(check_issuer_url(url))
    if parts.scheme == "http" and not allow_unencrypted and not is_loopback(parts.hostname or ""):
        raise InputError(
            "unencrypted_issuer_url",
            "The issuer's address is plain http, and anyone on the way could take this phone's credential. "
            "Use https (with --ca-file for a private certificate), or, on a network that is yours alone, "
            "--allow-unencrypted-issuer.",
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
