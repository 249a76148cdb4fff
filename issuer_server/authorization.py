"""Bearer credentials (RFC 6750): of merchants and handsets alike only the SHA-256 is stored."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from issuer_server.enrolments import secret_digest
from issuer_server.problems import unauthorized
from protocol.identifiers import Digest

_LONGEST_CREDENTIAL: Final = 256


def bearer_digest(request: web.Request) -> Digest:
    """The digest of the request's bearer credential; raises Problem (unauthorized).

    Looking a digest up needs no constant time: whoever can steer it already knows the credential.
    """
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise unauthorized("Send the header Authorization: Bearer and your key.")
    if len(credential) > _LONGEST_CREDENTIAL or not credential.isascii():
        raise unauthorized("That is not a key of this issuer: copy it whole.")
    return secret_digest(credential)
