"""The one-time code by which a handset or a reader gets to know its issuer, and the issuer it.

The issuer's administrator prints it (also as a QR code), the device's owner pastes it where the device asks.
It holds a secret for 24 hours: it is read from a prompt or a pipe, never from a command line.

    brh1.<base64url>    a handset's         base64url, without padding, of the deterministic CBOR
    brr1.<base64url>    a reader's          {1: issuer's URL, 2: issuer id, 3: issuer's public key, 4: secret}
                                            and the first 4 bytes of the SHA-256 of prefix and CBOR

The check bytes are against slips of the hand: a reader that pinned a mistyped key would refuse every offer.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Self
from urllib.parse import urlsplit

from protocol.encoding import decode, encode
from protocol.errors import InputError, MessageError
from protocol.identifiers import PUBLIC_KEY_SIZE, IssuerId, PublicKey, check_issuer_id

SECRET_SIZE: Final = 16
LONGEST_URL: Final = 200

_CHECK_SIZE: Final = 4
_LONGEST_CODE: Final = 1024
_VISIBLE_ASCII: Final = re.compile(r"[!-~]+")


class EnrolmentKind(Enum):
    """Whose code it is; the value is its prefix."""

    HANDSET = "brh1."
    READER = "brr1."


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """What a device needs to enrol. The secret admits a handset; a reader signs it as its challenge."""

    kind: EnrolmentKind
    issuer_url: str
    issuer_id: IssuerId
    issuer_public_key: PublicKey
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_issuer_id(self.issuer_id)
        check_issuer_url(self.issuer_url)
        if len(self.issuer_public_key) != PUBLIC_KEY_SIZE or len(self.secret) != SECRET_SIZE:
            raise ValueError(f"a public key is {PUBLIC_KEY_SIZE} bytes, a secret {SECRET_SIZE}")

    def text(self) -> str:
        """The code as it is printed."""
        content = encode({1: self.issuer_url, 2: self.issuer_id, 3: self.issuer_public_key, 4: self.secret})
        checked = content + _check_bytes(self.kind, content)
        return self.kind.value + base64.urlsafe_b64encode(checked).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The code that someone pasted, white space and line breaks aside.

        Raises InputError: not_an_enrolment_code, or mistyped_enrolment_code where a part is missing or wrong.
        """
        text = "".join(text[:_LONGEST_CODE].split())
        kind = next((kind for kind in EnrolmentKind if text.startswith(kind.value)), None)
        if kind is None:
            raise InputError(
                "not_an_enrolment_code",
                "An enrolment code begins with brh1. (phone) or brr1. (reader): paste it whole.",
            )
        try:
            code = cls._decode(kind, text.removeprefix(kind.value))
        except (MessageError, ValueError):
            code = None
        # Made again and compared: that checks the check bytes, and that there is one text for one code.
        if code is None or code.text() != text:
            raise InputError(
                "mistyped_enrolment_code",
                "A part of the enrolment code is missing or mistyped: copy it again, whole.",
            )
        return code

    @classmethod
    def _decode(cls, kind: EnrolmentKind, body: str) -> Self:
        checked = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        match decode(checked[:-_CHECK_SIZE], "enrolment code"):
            case {1: str(url), 2: str(issuer_id), 3: bytes(public_key), 4: bytes(secret)}:
                return cls(kind, url, check_issuer_id(issuer_id), PublicKey(public_key), secret)
            case _:
                raise MessageError("enrolment code", "is of another shape")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and no other. Names are not resolved: a resolver may lie."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_issuer_url(url: str) -> str:
    """`url` if it is an http or https address of an issuer; raises InputError (invalid_issuer_url)."""
    if len(url) > LONGEST_URL or not _VISIBLE_ASCII.fullmatch(url) or not _is_plain_http(url):
        raise InputError("invalid_issuer_url", "Give the issuer's address like https://issuer.example:8443.")
    return url


def _is_plain_http(url: str) -> bool:
    """Scheme, host, perhaps port and path: no credentials, query or fragment."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port that is no number, an IPv6 address without its end
        return False
    extras = parts.username is not None or parts.query or parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not extras


def _check_bytes(kind: EnrolmentKind, content: bytes) -> bytes:
    return hashlib.sha256(kind.value.encode("ascii") + content).digest()[:_CHECK_SIZE]
