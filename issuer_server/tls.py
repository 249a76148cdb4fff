"""TLS from a certificate chain and its key by file; a renewed certificate is taken up without a restart."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509

from issuer_server.settings import Settings
from protocol.errors import InputError


class ServerTls:
    """The context that listeners share. Connections that are open keep the certificate they began with."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate, self._key = certificate, key
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.ends_at = 0.0
        self.reload()

    def reload(self) -> None:
        """Read both files again; raises InputError (invalid_tls), and what was in use stays in use."""
        # Into a context of its own first: half a renewal must not reach the one that serves.
        load_chain(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), self._certificate, self._key)
        load_chain(self.context, self._certificate, self._key)
        self.ends_at = read_certificate(self._certificate).not_valid_after_utc.timestamp()


def server_tls(settings: Settings) -> ServerTls | None:
    """As the settings say; raises InputError (invalid_tls)."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return ServerTls(settings.tls_certificate, settings.tls_key)


def read_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file, the server's own; raises InputError (invalid_tls)."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise _invalid(f"cannot read the TLS certificate {path}: {error.strerror}") from None
    except ValueError:
        raise _invalid(f"{path} is no certificate chain in PEM") from None


def load_chain(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Put a certificate and its key into a context; raises InputError (invalid_tls)."""
    for what, path in (("certificate", certificate), ("key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise _invalid(f"cannot read the TLS {what} {path}: {error.strerror}") from None
    try:
        # A key with a passphrase would ask for it at the terminal of a service that has none.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            raise _invalid(f"the TLS key {key} is not that of the certificate {certificate}") from None
        raise _invalid(
            f"the TLS certificate {certificate} and key {key} cannot be used: both must be PEM, the key"
            " without a passphrase"
        ) from None


def _invalid(advice: str) -> InputError:
    return InputError("invalid_tls", advice)
